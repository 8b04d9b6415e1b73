"""What people are asked, and what they answer: the label scheme, batches and their life, gold, and the consensus of several answers."""

from __future__ import annotations

from service.annotation.consensus import Accuracy, Agreement, GoldAnswer, agreed, annotators, answers, gold_answers, resolved
from service.annotation.life import (
    ENDED,
    OUT,
    Reason,
    approve,
    cancel,
    close,
    drop,
    prioritise,
    propose,
    propose_apart,
    restore,
    returned,
    send,
)
from service.annotation.pricing import labels_asked, price_of, waits_for
from service.annotation.returning import TakenBack, recount, take_back, tend
from service.annotation.scheme import NEW, NONE, UNUSABLE, Words, canonical, naming, trains
from service.annotation.schemes import in_force, scheme_of
from service.annotation.sending import Leaving, leaving
from service.annotation.shown import items_by_shown, outgoing, reordered, withdrawn

__all__ = [
    "ENDED",
    "NEW",
    "NONE",
    "OUT",
    "UNUSABLE",
    "Accuracy",
    "Agreement",
    "GoldAnswer",
    "Leaving",
    "Reason",
    "TakenBack",
    "Words",
    "agreed",
    "annotators",
    "answers",
    "approve",
    "cancel",
    "canonical",
    "close",
    "drop",
    "gold_answers",
    "in_force",
    "items_by_shown",
    "labels_asked",
    "leaving",
    "naming",
    "outgoing",
    "price_of",
    "prioritise",
    "propose",
    "propose_apart",
    "recount",
    "reordered",
    "resolved",
    "restore",
    "returned",
    "scheme_of",
    "send",
    "take_back",
    "tend",
    "trains",
    "waits_for",
    "withdrawn",
]
