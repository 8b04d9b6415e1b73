"""Records as JSON in the shapes of the HTTP API, so that a program reads one kind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from service.records import Alarm, AnnotationBatch, Backfill, Candidate, DeadLetter, Delivery, OutboxItem, Position, RefreshCycle

Shown: TypeAlias = Alarm | AnnotationBatch | Backfill | Candidate | DeadLetter | Delivery | OutboxItem | RefreshCycle


def view(record: Shown) -> dict[str, Any]:
    """One record."""
    from service.api import alarm_views, backfills, dead_letters, delivery_views, schemas  # noqa: PLC0415 - loads the web framework

    if isinstance(record, Backfill):
        return backfills.view(record).model_dump(mode="json")
    if isinstance(record, DeadLetter):
        return dead_letters.view(record).model_dump(mode="json")
    kinds: dict[type[Shown], type[schemas.View]] = {
        Alarm: alarm_views.AlarmView,
        AnnotationBatch: schemas.BatchView,
        Candidate: schemas.CandidateView,
        Delivery: delivery_views.DeliveryView,
        OutboxItem: schemas.OutboxView,
        RefreshCycle: schemas.CycleView,
    }
    return kinds[type(record)].model_validate(record).model_dump(mode="json")


def views(records: Iterable[Shown]) -> list[dict[str, Any]]:
    """Several, in their order."""
    return [view(record) for record in records]


def refresh_view(figures: Mapping[str, Any]) -> dict[str, Any]:
    """How a monitor's refresh stands."""
    from service.api.cycle_views import RefreshStatus  # noqa: PLC0415 - loads the web framework

    return RefreshStatus.model_validate(figures).model_dump(mode="json")


def position_view(position: Position) -> dict[str, Any]:
    """How far a partition is read."""
    return {
        "topic": position.partition.topic,
        "topic_id": position.partition.topic_id,
        "partition": position.partition.number,
        "start": position.start,
        "offset": position.offset,
        "lost": position.lost,
        "time": position.time if position.time > 0 else None,
        "stopped": position.stopped or None,
        "retired": position.retired,
    }
