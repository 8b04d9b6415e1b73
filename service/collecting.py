"""Asks annotators' tools now and then for the answers that they hold: what they told and nobody heard, what was changed or taken back."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

import structlog

from service import annotation
from service.errors import DeliveryError
from service.inbox import KEEP, Inbox
from service.ports import Annotator, Store
from service.records import AnnotationBatch, Delivery, Label

AFTERWARDS = 86_400.0
"""Seconds for which a batch that has ended is still asked about: people mend their answers."""

REST = 10.0
"""Times as long as an answer took before the tool is asked again."""

MOST_LABELS = 5_000
"""Of one delivery."""

_BATCHES, _ENDED = 10_000, 200
_TICK = 0.001
_NOTHING = Label("", "", "", None, 0.0)

Said: TypeAlias = Mapping[tuple[str, str], Label]
"""By sample and annotator."""

log = structlog.get_logger()


class Collecting:
    """Puts into the inbox what the tools hold and have not told; `problems` says by name why one could not be asked."""

    def __init__(
        self,
        store: Store,
        annotators: Callable[[], Mapping[str, Annotator]],
        inbox: Inbox,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._annotators = annotators
        self._inbox = inbox
        self._clock = clock
        self._next: dict[str, float] = {}
        self._missing: dict[str, frozenset[tuple[str, str]]] = {}
        """By batch: said answers that were not found at the last look."""
        self.problems: dict[str, str] = {}

    def step(self, now: float) -> int:
        """Asks those whose time has come; returns how many labels were news."""
        due = {name: tool for name, tool in self._annotators().items() if now >= self._next.get(name, now)}
        return sum(self._look(name, tool, now) for name, tool in due.items())

    def _look(self, name: str, tool: Annotator, now: float) -> int:
        """A tool that takes long to answer is asked less often: it has annotators to serve."""
        began = self._clock()
        self._next[name] = now + tool.poll_seconds
        found = self._ask(name, tool, now)
        self._next[name] = now + max(tool.poll_seconds, REST * (self._clock() - began))
        return found

    def _ask(self, name: str, tool: Annotator, now: float) -> int:
        """Each batch by itself: one that can't be read holds up no other, a tool that can't be reached is left alone until next time."""
        told, problem = 0, ""
        for batch in self._asked_about(name, now):
            try:
                told += sum(self._take(delivery, now) for delivery in tool.answers([batch], now=now))
            except DeliveryError as error:
                log.warning("answers not collected", destination=name, batch=batch.id, reason=str(error))
                problem = problem or str(error)
                if error.retryable:
                    break
        self.problems = {each: why for each, why in self.problems.items() if each != name} | ({name: problem} if problem else {})
        return told

    def _asked_about(self, name: str, now: float) -> Sequence[AnnotationBatch]:
        out = self._store.find(AnnotationBatch, states=annotation.OUT, limit=_BATCHES)
        ended = self._store.find(AnnotationBatch, states=annotation.ENDED, limit=_ENDED)
        lately = [batch for batch in ended if batch.history and batch.history[-1].time >= now - AFTERWARDS]
        return [batch for batch in (*out, *lately) if batch.destination == name]

    def _take(self, held: Delivery, now: float) -> int:
        said = self._said(held)
        fresh, missing = news(said, held.labels), gone(said, held.labels)
        before, self._missing[held.batch] = self._missing.get(held.batch, frozenset()), frozenset(missing)
        # What came while the tool was asked is missing once: only what is missing twice is gone.
        back = [_taken_back(label, now) for key, label in missing.items() if key in before]
        told = [*fresh, *back]
        for start in range(0, len(told), MOST_LABELS):
            self._inbox.receive(told[start : start + MOST_LABELS], source=held.source, now=now)
        if told:
            log.info("answers collected", destination=held.source, batch=held.batch, labels=len(fresh), taken_back=len(back))
        return len(told)

    def _said(self, held: Delivery) -> Said:
        """What has come from there of this batch."""
        deliveries = self._store.find(Delivery, monitor=held.monitor, limit=KEEP)
        ours = [delivery for delivery in deliveries if (delivery.batch, delivery.source) == (held.batch, held.source)]
        return newest([label for delivery in ours for label in delivery.labels])


def newest(labels: Sequence[Label]) -> Said:
    """Each annotator's last word on each sample, as the store counts it."""
    return {(label.sample, label.annotator): label for label in sorted(labels, key=lambda label: label.time)}


def news(said: Said, held: Sequence[Label]) -> list[Label]:
    """What a tool holds and has not said. The newest counts, by clocks that need not agree."""
    fresh = [label for label in held if not label.withdrawn and said.get(_key(label), _NOTHING).label != label.label]
    return [replace(label, time=max(label.time, said[_key(label)].time + _TICK)) if _key(label) in said else label for label in fresh]


def gone(said: Said, held: Sequence[Label]) -> Said:
    """What it has said and holds no more.

    A sample of which it holds nothing at all may have been removed there, its answers with it: those stand. One that is there without
    answers is among `held` as taken back by nobody.
    """
    there, holds = {label.sample for label in held}, {_key(label) for label in held if not label.withdrawn}
    return {key: label for key, label in said.items() if key not in holds and label.sample in there and not label.withdrawn}


def _taken_back(label: Label, now: float) -> Label:
    return replace(label, label="", unusable=False, time=max(now, label.time + _TICK))


def _key(label: Label) -> tuple[str, str]:
    return label.sample, label.annotator
