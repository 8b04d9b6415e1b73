"""What must leave, leaves: at least once, with patience, and visibly dead in the end rather than silently lost.

The outbox says when an item is tried and what an attempt's end means; the stages that it is given say whether there is still anything to
tell, and remember that it was told.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeAlias

import numpy as np
import structlog

from service.errors import ArtefactError, DeliveryError, NotFoundError
from service.notifying.pipeline import Passing, Stage, passed
from service.notifying.rules import TEST
from service.observe import Observer
from service.patience import Patience
from service.ports import Destination, Store
from service.records import AnnotationBatch, BatchState, OutboxItem

SCHEDULE = (0.0, 5.0, 300.0, 1_800.0, 7_200.0, 18_000.0, 36_000.0, 50_400.0, 72_000.0, 86_400.0)
"""Seconds before each attempt, as Standard Webhooks recommends; about 75 hours in all."""

JITTER = 0.1
"""A wait grows by up to this share, so that what failed together does not return together."""

LONGEST_WAIT = 86_400.0
"""A Retry-After beyond a day is cut to it."""

BEHIND = 60.0
"""Seconds until an item that waits for another one is looked at again; that is no attempt."""

_GLANCE = 0.2
"""Seconds after which what has become due is looked for, though every lane is still busy."""

_ERROR_LENGTH = 500
_MOST = 10_000
_OUTCOMES = {"delivered": "delivered", "pending": "retry", "dead": "dead", "dropped": "dropped"}

Run: TypeAlias = Callable[[str, Callable[[], None]], None]
"""Does a piece of work for a destination, here or elsewhere."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Attempt:
    """The item as it is stored, and when its attempt began by a clock that only goes forward."""

    item: OutboxItem
    began: float


def _here(_: str, work: Callable[[], None]) -> None:
    work()


def settled(item: OutboxItem, failure: DeliveryError | None, now: float, rng: np.random.Generator) -> OutboxItem:
    """The item after an attempt: delivered, due again, or dead when trying again can't help or was tried often enough."""
    attempts = item.attempts + 1
    item = replace(item, held="")
    if failure is None:
        return replace(item, state="delivered", attempts=attempts, error="")
    error = str(failure)[:_ERROR_LENGTH]
    if item.kind == TEST:  # whoever asked for it is told now
        return replace(item, state="dropped", attempts=attempts, error=error)
    if not failure.retryable or attempts >= len(SCHEDULE):
        return replace(item, state="dead", attempts=attempts, error=error)
    asked = min(failure.retry_after or 0.0, LONGEST_WAIT)
    wait = max(SCHEDULE[attempts], asked) * (1 + JITTER * rng.random())
    return replace(item, attempts=attempts, due=now + wait, error=error)


def replayed(item: OutboxItem, now: float) -> OutboxItem:
    """The item with a new life; its id stays, so whoever has taken it already can tell."""
    return replace(item, state="pending", attempts=0, due=now)


class Outbox:
    """Delivers what the store holds to the configured destinations."""

    def __init__(
        self,
        store: Store,
        destinations: Mapping[str, Destination],
        observer: Observer,
        *,
        rng: np.random.Generator,
        stages: Callable[[Stage], Sequence[Stage]] = lambda send: (send,),
        received: Callable[[OutboxItem], object] = lambda _: None,
    ) -> None:
        """`stages`: what an item passes on its way out, around the one that sends."""
        self._store = store
        self._destinations = destinations
        self._observer = observer
        self._rng = rng
        self._stages = stages(self._send)
        self._received = received
        """Told of an item with its receipt, before the delivery goes on."""
        self._gone: dict[str, tuple[Destination, str]] = {}
        self._trying: dict[str, _Attempt] = {}
        """By destination. What is left here raised what nobody foresaw: the next step counts that as a failure, lest it block what is due
        after it."""

    @property
    def disabled(self) -> Mapping[str, str]:
        """Destinations that want nothing any more, and what they said; until a person replays an item, or configures another."""
        gone = dict(self._gone)
        return {name: why for name, (destination, why) in gone.items() if self._destinations.get(name) is destination}

    def step(self, now: float, *, busy: Collection[str] = (), run: Run = _here) -> int:
        """Tries the item that is longest due, one at a time so that `now` is true for each; returns 0 if none is. Destinations that are
        busy are left alone."""
        for destination in set(self._trying) - set(busy):
            failure = DeliveryError("an unexpected error, see the program's log", retryable=True)
            self._note(self._trying.pop(destination), failure, now)
            return 1
        for item in self._store.due(now, 1, without=busy):
            run(item.destination, partial(self.take, item, now))
            return 1
        return 0

    def take(self, item: OutboxItem, now: float) -> None:
        """One attempt at an item, and what becomes of it."""
        if self._batch_is(item, "pending"):
            self._store.settle(replace(item, due=now + BEHIND))
            return
        self._trying[item.destination] = _Attempt(item, time.perf_counter())
        try:
            passing = passed(self._stages, item, now=now)
        except DeliveryError as failure:
            self._note(self._trying.pop(item.destination), failure, now)
            return
        attempt = self._trying.pop(item.destination)
        if passing.goes:
            self._note(attempt, None, now)
            return
        after = passing.later(now) if passing.waits else replace(item, state="dropped", held="", error=str(passing.why))
        self._store.settle(after)
        if after.state == "dropped":
            self._observer.delivery(after.kind, _OUTCOMES[after.state])
            _report(after)

    def _note(self, attempt: _Attempt, failure: DeliveryError | None, now: float) -> None:
        after = settled(attempt.item, failure, now, self._rng)
        self._store.settle(after)
        self._observer.delivery(after.kind, _OUTCOMES[after.state], time.perf_counter() - attempt.began)
        _report(after)

    def _send(self, passing: Passing, *, now: float) -> Passing:
        """The stage that sends; DeliveryError where that is pointless, or failed."""
        if not passing.goes:
            return passing
        item = passing.item
        destination = self._destinations.get(item.destination)
        if destination is None:
            raise DeliveryError(f"destination {item.destination!r} is not configured; declare it and replay the item", retryable=False)
        pointless = self._pointless(item)
        if pointless:
            raise DeliveryError(pointless, retryable=False)
        why = self.disabled.get(item.destination)
        if why and not _replayed(item):
            raise DeliveryError(f"destination {item.destination!r} is disabled ({why}); mend it and replay the item", retryable=False)
        try:
            self._deliver(destination, item, now)
        except DeliveryError as error:
            if error.gone:
                self._gone[item.destination] = destination, str(error)
                _log.error("destination disabled", destination=item.destination, reason=str(error))
            raise
        except (ArtefactError, NotFoundError) as error:  # of what the item refers to
            raise DeliveryError(str(error), retryable=True) from error
        self._gone.pop(item.destination, None)
        return passing

    def _pointless(self, item: OutboxItem) -> str:
        """Why what is told of a batch should not be, by what became of it."""
        if self._is_cancelled(item):
            return "the batch was cancelled before it had left"
        return "its batch has not arrived; replay the batch, then this" if self._batch_is(item, "dead") else ""

    def _is_cancelled(self, item: OutboxItem) -> bool:
        """What is cancelled may not arrive after the cancellation."""
        if item.kind != "annotation.batch":
            return False
        try:
            return self._store.get(AnnotationBatch, str(item.payload.get("batch"))).state is BatchState.CANCELLED
        except NotFoundError:
            return False

    def _batch_is(self, item: OutboxItem, state: str) -> bool:
        """New priorities may not overtake their batch, which carries the old ones."""
        if item.kind != "annotation.priority":
            return False
        batches = (other for other in self._store.outbox(states=[state], limit=_MOST) if other.kind == "annotation.batch")
        return any(other.payload.get("batch") == item.payload.get("batch") for other in batches)

    def _deliver(self, destination: Destination, item: OutboxItem, now: float) -> None:
        if not item.receipt:
            receipt = destination.deliver(item, now=now)
            if receipt is None:
                return
            item = replace(item, receipt=receipt)
            attempt = self._trying[item.destination]  # as it is stored, which is not as it is said
            self._trying[item.destination] = replace(attempt, item=replace(attempt.item, receipt=receipt))
            self._store.settle(self._trying[item.destination].item)
        self._received(item)
        destination.deliver(item, now=now)


class Lanes:
    """The outbox with a lane for each destination: one that hangs keeps nobody else waiting. Within a lane it is one item at a time."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._busy: frozenset[str] = frozenset()
        self._freed = threading.Condition()

    def step(self, now: float) -> int:
        """Begins with the item that is longest due of those whose lane is free; returns 0 once nothing is due or under way."""
        busy = self._busy
        if self._outbox.step(now, busy=busy, run=self._begin):
            return 1
        self._wait(lambda: self._busy != busy, _GLANCE if busy else 0.0)
        return len(busy)

    def finish(self, seconds: float) -> None:
        """Gives what is under way so much time to end; what takes longer is sent again, by whoever comes next."""
        self._wait(lambda: not self._busy, seconds)

    def _wait(self, until: Callable[[], bool], seconds: float) -> None:
        with self._freed:
            self._freed.wait_for(until, seconds)

    def _begin(self, destination: str, work: Callable[[], None]) -> None:
        """The thread has the name of the one that asks: by it a delivery that takes its time says that it is alive."""
        thread = threading.Thread(target=self._run, args=(destination, work), name=threading.current_thread().name, daemon=True)
        with self._freed:
            thread.start()
            self._busy |= {destination}

    def _run(self, destination: str, work: Callable[[], None]) -> None:
        def attempt() -> int:
            work()
            return 1

        Patience(shortest=_GLANCE).attempt(attempt, loop="outbox", destination=destination)
        with self._freed:
            self._busy -= {destination}
            self._freed.notify_all()


def _replayed(item: OutboxItem) -> bool:
    """Whether a person wants it tried: it failed before, and its attempts count anew."""
    return item.attempts == 0 and bool(item.error)


def _report(item: OutboxItem) -> None:
    ids = {"id": item.id, "kind": item.kind, "destination": item.destination, "attempts": item.attempts}
    if item.state == "delivered":
        _log.info("outbox item delivered", **ids)
    elif item.state == "dropped":
        _log.info("outbox item dropped", **ids, reason=item.error)
    else:
        _log.warning("outbox item dead" if item.state == "dead" else "outbox item failed", **ids, error=item.error)
