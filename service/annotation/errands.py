"""Batches of no cycle, whose answers go into a data set: each is taken in once it has closed, whoever sent it and whoever sees it close."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

import structlog

from service.annotation.life import ENDED
from service.errors import DriftgateError, NotFoundError
from service.ports import Store
from service.records import AnnotationBatch, BatchState, Errand, Purpose

_DONE = "done"
_MOST = 1_000

log = structlog.get_logger()


def errand_of(batch: AnnotationBatch) -> Errand:
    """Saved together with the batch, so that none is forgotten."""
    return Errand(batch.id, batch.monitor, batch.created, batch.items[0].purpose)


def run(store: Store, purpose: Purpose, take: Callable[[AnnotationBatch], object], *, monitors: Collection[str]) -> int:
    """Takes in what has closed, the oldest first; returns how many. `take` is repeated after a kill, and where labels came meanwhile."""
    waiting = [errand for errand in reversed(store.find(Errand, states=[purpose], limit=_MOST)) if errand.monitor in monitors]
    return sum(_ran(store, errand, take) for errand in waiting)


def came_late(store: Store, batch: AnnotationBatch) -> None:
    """Labels of a batch that had ended: it is taken in once more."""
    try:
        errand = store.get(Errand, batch.id)
    except NotFoundError:
        return
    store.save(replace(errand, state=errand_of(batch).state, version=errand.version + 1))


def _ran(store: Store, errand: Errand, take: Callable[[AnnotationBatch], object]) -> bool:
    """One that can't be taken in now is looked at again, and holds up no other."""
    ids = {"monitor": errand.monitor, "batch": errand.id, "purpose": errand.state}
    try:
        batch = store.get(AnnotationBatch, errand.id)
        if batch.state not in ENDED:
            return False
        if batch.state is BatchState.CLOSED:
            take(batch)
        store.save(replace(errand, state=_DONE, version=errand.version + 1))
    except DriftgateError as error:
        log.warning("answers not taken in", **ids, reason=str(error))
        return False
    return batch.state is BatchState.CLOSED
