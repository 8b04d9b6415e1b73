"""Asks annotators' tools now and then for the answers that they hold: what they told and nobody heard, what was changed or taken back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import structlog

from service.errors import DeliveryError
from service.inbox import KEEP, Inbox
from service.ports import Annotator, Store
from service.records import AnnotationBatch, BatchState, Delivery, Label

AFTERWARDS = 86_400.0
"""Seconds for which a batch that has ended is still asked about: people mend their answers."""

MOST_LABELS = 5_000
"""Of one delivery."""

_BATCHES, _ENDED = 10_000, 200
_TICK = 0.001

log = structlog.get_logger()


class Collecting:
    """Puts into the inbox what the tools hold and have not told; `problems` says by name why one could not be asked."""

    def __init__(self, store: Store, annotators: Callable[[], Mapping[str, Annotator]], inbox: Inbox) -> None:
        self._store = store
        self._annotators = annotators
        self._inbox = inbox
        self._next: dict[str, float] = {}
        self.problems: dict[str, str] = {}

    def step(self, now: float) -> int:
        """Asks those whose time has come; returns how many labels were news."""
        due = {name: tool for name, tool in self._annotators().items() if now >= self._next.get(name, now)}
        return sum(self._ask(name, tool, now) for name, tool in due.items())

    def _ask(self, name: str, tool: Annotator, now: float) -> int:
        self._next[name] = now + tool.poll_seconds
        batches = self._asked_about(name, now)
        try:
            held = tool.answers(batches, now=now) if batches else ()
        except DeliveryError as error:
            log.warning("answers not collected", destination=name, reason=str(error))
            self.problems[name] = str(error)
            return 0
        self.problems.pop(name, None)
        return sum(self._take(delivery, now) for delivery in held)

    def _asked_about(self, name: str, now: float) -> Sequence[AnnotationBatch]:
        out = self._store.find(AnnotationBatch, states=[BatchState.SENT, BatchState.PARTLY_RETURNED], limit=_BATCHES)
        ended = self._store.find(AnnotationBatch, states=[BatchState.CLOSED, BatchState.CANCELLED], limit=_ENDED)
        lately = [batch for batch in ended if batch.history and batch.history[-1].time >= now - AFTERWARDS]
        return [batch for batch in (*out, *lately) if batch.destination == name]

    def _take(self, held: Delivery, now: float) -> int:
        news = changes(self._said(held), held.labels, now=now)
        for start in range(0, len(news), MOST_LABELS):
            self._inbox.receive(news[start : start + MOST_LABELS], source=held.source, now=now)
        if news:
            log.info("answers collected", destination=held.source, batch=held.batch, labels=len(news))
        return len(news)

    def _said(self, held: Delivery) -> Sequence[Label]:
        """What has come from there of this batch, oldest first."""
        deliveries = self._store.find(Delivery, monitor=held.monitor, limit=KEEP)
        ours = [delivery for delivery in reversed(deliveries) if (delivery.batch, delivery.source) == (held.batch, held.source)]
        return [label for delivery in ours for label in delivery.labels]


def changes(said: Sequence[Label], held: Sequence[Label], *, now: float) -> list[Label]:
    """What a tool holds now and has not said, and what it has said and holds no more.

    A sample of which it holds nothing at all may have been removed there, its answers with it: those stand. One that is there without
    answers is among `held` as taken back by nobody.
    """
    before = {(label.sample, label.annotator): label for label in said}
    there, holds = {label.sample for label in held}, {(label.sample, label.annotator): label for label in held if not label.withdrawn}
    news = [_after(label, before.get(key)) for key, label in holds.items() if key not in before or before[key].label != label.label]
    gone = [label for key, label in before.items() if key not in holds and label.sample in there and not label.withdrawn]
    return news + [replace(label, label="", unusable=False, time=max(now, label.time + _TICK)) for label in gone]


def _after(label: Label, before: Label | None) -> Label:
    """The newest counts, by clocks that need not agree."""
    return label if before is None else replace(label, time=max(label.time, before.time + _TICK))
