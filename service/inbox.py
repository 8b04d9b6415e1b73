"""Labels on their way in: kept before they are acknowledged, worked off in the order of arrival, their outcome kept with them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import msgspec
import structlog

from service.annotation import TakenBack
from service.annotation.wording import worded
from service.errors import BacklogFullError, ConflictError, InputError, NotFoundError
from service.ports import Store
from service.records import AnnotationBatch, BatchState, Delivery, DeliveryState, Label, stable_id

MOST_PENDING = 200
"""Deliveries that wait to be worked off; beyond them the sender is asked to come back."""

KEEP, KEEP_SECONDS = 1_000, 30 * 86_400.0
"""Of so many worked off, and for so long, the labels stay with the delivery that brought them: who said what before it was changed."""

_AGAIN = 60.0
"""Seconds after which a delivery whose work failed for no known reason is tried again: the others are not held up by it."""
_COUNT_SECONDS, _FORGET_SECONDS = 1.0, 3_600.0
_UNASKED = (BatchState.PROPOSED, BatchState.APPROVED)
_MOST_NAMED = 1_000
"""Ids and words that are kept of what could not be used."""
_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,200}")

log = structlog.get_logger()


class Take(Protocol):
    """Puts the labels of one batch where they belong."""

    def __call__(self, labels: Sequence[Label], *, now: float) -> TakenBack: ...


class Inbox:
    """`receive` is safe to call from several threads and processes; `step` belongs to the one that leads."""

    def __init__(self, store: Store, take: Take) -> None:
        self._store = store
        self._take = take
        self._full, self._count_at = False, float("-inf")
        self._forget_at, self._since = float("-inf"), 0
        self._later: dict[str, float] = {}
        self.stuck: tuple[str, ...] = ()
        """Deliveries whose work failed for a reason that only the log has."""

    def receive(self, labels: Sequence[Label], *, id: str = "", source: str, now: float) -> Delivery:
        """Keeps the labels of one batch. A repetition gives what is kept already; ConflictError where its id came with other labels.

        id : the sender's; without one it follows from the labels.
        """
        batch = self._batch(labels)
        labels = worded(self._store, batch.monitor, labels)
        content = _content(labels)
        delivery = Delivery(
            _name(id) or content, batch.monitor, batch.id, tuple(labels), now, source, version=1, checksum=content, count=len(labels)
        )
        known = self._known(delivery)
        if known is not None:
            return known
        self._require_room(now)
        try:
            self._store.save(delivery)
        except ConflictError:
            return self._known(delivery) or delivery  # it came twice at once
        return delivery

    def step(self, now: float) -> int:
        """Works off what waits, the oldest first; returns how many deliveries it worked on."""
        self.stuck = tuple(self._later)
        waiting = [delivery for delivery in reversed(self._pending()) if self._later.get(delivery.id, now) <= now]
        for delivery in waiting:
            self._later[delivery.id] = now + _AGAIN
            self._work(delivery, now)
            del self._later[delivery.id]
        self._since += len(waiting)
        if now >= self._forget_at or self._since >= KEEP // 2:
            self._forget(now)
        return len(waiting)

    # --- in -----------------------------------------------------------------------------------------------------------

    def _batch(self, labels: Sequence[Label]) -> AnnotationBatch:
        names = {label.batch for label in labels}
        if len(names) != 1:
            raise InputError("labels", f"a delivery holds the labels of one batch, found {len(names)}; send one per batch")
        batch = self._store.get(AnnotationBatch, names.pop())
        if batch.state in _UNASKED:
            raise ConflictError(f"annotation batch {batch.id} is {batch.state}: nobody can have been asked yet; approve and send it first")
        return batch

    def _known(self, delivery: Delivery) -> Delivery | None:
        try:
            known = self._store.get(Delivery, delivery.id)
        except NotFoundError:
            return None
        if (known.batch, _checksum(known)) != (delivery.batch, delivery.checksum):
            raise ConflictError(f"delivery {known.id} came before with other labels; send these under an id of their own")
        return known

    def _require_room(self, now: float) -> None:
        """Counted now and then: a few too many do no harm."""
        if now >= self._count_at:
            self._full, self._count_at = len(self._pending()) >= MOST_PENDING, now + _COUNT_SECONDS
        if self._full:
            raise BacklogFullError(f"{MOST_PENDING} deliveries of labels wait to be worked off; send this one again later", retry_after=5.0)

    def _pending(self) -> Sequence[Delivery]:
        """Newest first."""
        return self._store.find(Delivery, states=[DeliveryState.PENDING], limit=2 * MOST_PENDING)

    # --- worked off ---------------------------------------------------------------------------------------------------

    def _work(self, delivery: Delivery, now: float) -> None:
        ids = {"delivery": delivery.id, "batch": delivery.batch, "source": delivery.source}
        try:
            taken = self._take(delivery.labels, now=now)
        except ConflictError as error:
            log.info("labels not taken yet", **ids, reason=str(error))
            return  # somebody else changed the batch meanwhile
        except (InputError, NotFoundError) as error:
            self._store.save(replace(delivery, state=DeliveryState.REFUSED, error=str(error), version=delivery.version + 1))
            log.warning("labels refused", **ids, reason=str(error))
            return
        self._store.save(_done(delivery, taken))
        log.info("labels taken", **ids, changed=taken.changed, unknown=len(taken.unknown), late=taken.late)

    def _forget(self, now: float) -> None:
        """Lets go of labels that have been taken long since, or many deliveries ago."""
        taken = self._store.find(Delivery, states=[DeliveryState.TAKEN], limit=2 * KEEP)
        for number, delivery in enumerate(taken):
            if delivery.labels and (number >= KEEP or delivery.created < now - KEEP_SECONDS):
                self._store.save(replace(delivery, labels=(), checksum=_checksum(delivery), version=delivery.version + 1))
        self._forget_at, self._since = now + _FORGET_SECONDS, 0


def _content(labels: Sequence[Label]) -> str:
    return stable_id(msgspec.json.encode(labels).decode())


def _checksum(delivery: Delivery) -> str:
    """Of one that was kept before there were checksums, by its labels: those of the time stayed."""
    return delivery.checksum or _content(delivery.labels)


def _done(delivery: Delivery, taken: TakenBack) -> Delivery:
    return replace(
        delivery,
        state=DeliveryState.TAKEN,
        changed=taken.changed,
        unknown=taken.unknown[:_MOST_NAMED],
        unresolved=taken.unresolved[:_MOST_NAMED],
        proposed=taken.proposed[:_MOST_NAMED],
        conflicting=taken.conflicting,
        late=taken.late,
        version=delivery.version + 1,
    )


def _name(id: str) -> str:
    """The sender's id, where it can stand in a path; else one that follows from it."""
    return id if not id or _NAME.fullmatch(id) else stable_id("delivery", id)
