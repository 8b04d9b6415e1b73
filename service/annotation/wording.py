"""Annotators' own words, as they may be kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from service.annotation.scheme import Meaning, Words
from service.annotation.schemes import scheme_of
from service.errors import NotFoundError
from service.ports import Store
from service.records import Declaration, Label
from service.redaction import NOTHING, Redaction
from service.settings import PrivacySettings

_FREE = frozenset({Meaning.UNKNOWN, Meaning.NEW})


def worded(store: Store, monitor: str, labels: Sequence[Label]) -> Sequence[Label]:
    """What is found in free words is replaced; a class of the label scheme stays as it is called, also where it looks like a number."""
    rules = _rules(store, monitor)
    if not rules.finders:
        return labels
    scheme = scheme_of(store, monitor)
    words = Words(scheme) if scheme and scheme.classes else None
    return [_worded(label, words, rules) for label in labels]


def _rules(store: Store, monitor: str) -> Redaction:
    """Also of a monitor that is withdrawn meanwhile: those it had last."""
    try:
        declared = store.get(Declaration, monitor).settings
    except NotFoundError:
        return NOTHING
    return Redaction.of(PrivacySettings.model_validate(declared.get("privacy", {})))


def _worded(label: Label, words: Words | None, rules: Redaction) -> Label:
    if not label.label or (words and words.resolve(label.label).meaning not in _FREE):
        return label
    found = rules.text(label.label)
    return label if found == label.label else replace(label, label=found)
