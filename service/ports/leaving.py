"""Where things leave to, and how answers come back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from service.records import (
    AnnotationBatch,
    DeadLetter,
    Delivery,
    Label,
    OutboxItem,
)


class DeadLetterTopic(Protocol):
    """Where dead letters go besides the store."""

    def send(self, letters: Sequence[DeadLetter]) -> Sequence[DeadLetter]:
        """Returns those that have not arrived."""

    def close(self) -> None: ...


class Destination(Protocol):
    """Somewhere that outbox items go: a signed webhook, a folder."""

    def deliver(self, item: OutboxItem, *, now: float) -> str | None:
        """Returns when the other side has taken it; DeliveryError says whether trying again can help and when. A string is a receipt: once
        it is kept, `deliver` is called again with the item that carries it, as often as it takes, and must not begin anew."""

    def close(self) -> None: ...


class Annotator(Destination, Protocol):
    """A destination of annotation batches that can be asked for the answers, too: some tools tell them once at most."""

    poll_seconds: float
    """How often it is asked."""

    def answers(self, batches: Sequence[AnnotationBatch], *, now: float) -> Sequence[Delivery]:
        """The labels that it holds of these, each batch's as one delivery whose id follows from them; DeliveryError as for `deliver`.
        A sample that is there and has no answer is among them as taken back by nobody."""


class Hook(Protocol):
    """The door through which an annotators' tool tells us of answers, where it can sign nothing."""

    def admits(self, authorization: str) -> bool:
        """Whether the header is the tool's."""

    def read(self, body: bytes) -> Sequence[Label]:
        """The labels that it tells of, their monitor left open; InputError where it can't be read."""
