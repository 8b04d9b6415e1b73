"""One step of a batch's or cycle's life: only where its table allows, with a named reason, one version up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from typing import Any, TypeVar

from service.errors import ConflictError
from service.records import AnnotationBatch, BatchState, CycleState, RefreshCycle, Step

Stepping = TypeVar("Stepping", bound=AnnotationBatch | RefreshCycle)

WAYS: Mapping[StrEnum, frozenset[StrEnum]] = {
    BatchState.PROPOSED: frozenset({BatchState.APPROVED, BatchState.CANCELLED}),
    BatchState.APPROVED: frozenset({BatchState.SENT, BatchState.CANCELLED}),
    BatchState.SENT: frozenset({BatchState.PARTLY_RETURNED, BatchState.CLOSED, BatchState.CANCELLED}),
    BatchState.PARTLY_RETURNED: frozenset({BatchState.PARTLY_RETURNED, BatchState.CLOSED, BatchState.CANCELLED}),
    BatchState.CLOSED: frozenset(),
    BatchState.CANCELLED: frozenset(),
    CycleState.ANNOTATING: frozenset({CycleState.ANNOTATING, CycleState.TRAINING, CycleState.CANCELLED}),
    CycleState.TRAINING: frozenset({CycleState.VERIFYING, CycleState.CANCELLED}),
    CycleState.VERIFYING: frozenset(
        {
            CycleState.VERIFYING,
            CycleState.TRAINING,
            CycleState.VERIFIED,
            CycleState.REJECTED,
            CycleState.CANCELLED,
        }
    ),
    CycleState.VERIFIED: frozenset({CycleState.DEPLOYING, CycleState.REJECTED, CycleState.CANCELLED}),
    CycleState.DEPLOYING: frozenset({CycleState.DEPLOYING, CycleState.PROMOTED, CycleState.REVERTED}),
    CycleState.PROMOTED: frozenset({CycleState.PROMOTED, CycleState.REVERTED}),
    CycleState.REJECTED: frozenset(),
    CycleState.CANCELLED: frozenset(),
    CycleState.REVERTED: frozenset(),
}


def advance(entity: Stepping, step: Step, **changes: Any) -> Stepping:
    """The entity after the step; ConflictError names the steps that its state allows."""
    allowed = WAYS[entity.state]
    if step.state not in allowed:
        noun = "annotation batch" if isinstance(entity, AnnotationBatch) else "refresh cycle"
        ways = ", ".join(sorted(allowed)) or "nothing: it has ended"
        raise ConflictError(f"{noun} {entity.id} is {entity.state} and can't become {step.state}; it can become {ways}")
    changes |= {"state": type(entity.state)(step.state), "history": (*entity.history, step), "version": entity.version + 1}
    return replace(entity, **changes)


def as_one_change(entity: Stepping, stored_version: int) -> Stepping:
    """Several steps that are written together are one change to the store."""
    return replace(entity, version=stored_version + 1)
