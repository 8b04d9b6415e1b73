"""A batch on its way: by which scheme it is answered, whether it leaves by itself, and what leaves with it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from service.annotation import life
from service.annotation.life import Reason
from service.annotation.manifest import sealed
from service.annotation.pricing import waits_for
from service.annotation.schemes import in_force, scheme_of
from service.annotation.shown import outgoing, reordered, withdrawn
from service.errors import ConflictError
from service.ports import Store
from service.records import AnnotationBatch, BatchState, LabelScheme, OutboxItem
from service.settings import AnnotationSettings, MonitorSettings
from service.transitions import as_one_change


@dataclass(frozen=True, slots=True)
class Leaving:
    """A new batch with what has to be saved in the same transaction."""

    batch: AnnotationBatch
    schemes: tuple[LabelScheme, ...]
    """The first version of the monitor's scheme, or one with classes that it has by now; mostly nothing."""
    outbox: Sequence[OutboxItem]


def leaving(store: Store, batch: AnnotationBatch, settings: MonitorSettings, *, now: float) -> Leaving:
    """A proposed batch that is not stored yet, on its way where it needs nobody's approval."""
    scheme = in_force(store, settings, now=now)
    newest = scheme_of(store, settings.name)
    new = () if newest == scheme else (scheme,)
    batch = sealed(replace(batch, scheme=scheme.number))
    if waits_for(batch, settings.annotation):
        return Leaving(batch, new, ())
    approved = life.approve(batch, reason=Reason.AUTOMATIC, actor="driftgate", now=now)
    sent, outbox = _sent(approved, settings.annotation, scheme, now)
    return Leaving(as_one_change(sent, 0), new, outbox)


def approve(store: Store, batch_id: str, settings: AnnotationSettings, *, actor: str, now: float, note: str = "") -> AnnotationBatch:
    """A person approves a proposed batch, which leaves in the same transaction; ConflictError where it can't go anywhere."""
    before = store.get(AnnotationBatch, batch_id)
    if settings.destination is None:
        raise ConflictError(
            f"monitor {before.monitor}: annotation.destination is not set, so batch {batch_id} can't be sent; name a webhook or a folder"
        )
    scheme = scheme_of(store, before.monitor)
    batch = sealed(replace(before, scheme=scheme.number)) if scheme and before.state is BatchState.PROPOSED else before
    batch = life.approve(batch, reason=Reason.APPROVED, actor=actor, now=now, note=note)
    batch, outbox = _sent(batch, settings, scheme, now)
    batch = as_one_change(batch, before.version)
    store.save(batch, outbox=outbox)
    return batch


def cancel(store: Store, batch_id: str, *, actor: str, now: float, note: str = "") -> AnnotationBatch:
    """Ends a batch; where annotators have it they are told in the same transaction."""
    batch = life.cancel(store.get(AnnotationBatch, batch_id), reason=Reason.CANCELLED, actor=actor, now=now, note=note)
    store.save(batch, outbox=withdrawn(batch, note=note, now=now))
    return batch


def drop(store: Store, batch_id: str, ids: Collection[str], *, actor: str, now: float, note: str = "") -> AnnotationBatch:
    """Takes candidates out of a proposed batch."""
    batch = life.drop(store.get(AnnotationBatch, batch_id), ids, actor=actor, now=now, note=note)
    store.save(batch)
    return batch


def restore(store: Store, batch_id: str, ids: Collection[str], *, actor: str, now: float, note: str = "") -> AnnotationBatch:
    """Puts candidates back that were taken out of it."""
    batch = life.restore(store.get(AnnotationBatch, batch_id), ids, actor=actor, now=now, note=note)
    store.save(batch)
    return batch


def prioritise(store: Store, batch_id: str, priority: float, *, item: str = "", actor: str, now: float) -> AnnotationBatch:
    """Another priority of a batch or of one of its candidates; where annotators have it they are told."""
    batch = life.prioritise(store.get(AnnotationBatch, batch_id), priority, item=item, actor=actor, now=now)
    store.save(batch, outbox=reordered(batch, now=now))
    return batch


def _sent(
    batch: AnnotationBatch, settings: AnnotationSettings, scheme: LabelScheme | None, now: float
) -> tuple[AnnotationBatch, Sequence[OutboxItem]]:
    destination = settings.destination or ""
    sent = life.send(batch, now=now, destination=destination, hours=settings.deadline_hours)
    return sent, (outgoing(sent, destination=destination, price=settings.price, now=now, scheme=scheme),)
