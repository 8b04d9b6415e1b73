"""Which topics there are to read, and from where on those that were never read before."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from service.adapters.kafka.source import Start
from service.settings import MonitorSettings

_FIRST, _NEVER = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


def starts(monitors: Iterable[MonitorSettings], ingest_topic: str | None) -> dict[str, Start]:
    """Topic → where to begin. A topic of several monitors begins where the first of them wants it; ingest loses nothing."""
    found: dict[str, Start] = {}
    for monitor in monitors:
        if monitor.topic is not None:
            given = found.get(monitor.topic.name, monitor.topic.start)
            found[monitor.topic.name] = min(given, monitor.topic.start, key=_moment)
    return {**found, ingest_topic: "earliest"} if ingest_topic else found


def _moment(start: Start) -> datetime:
    if isinstance(start, datetime):
        return start if start.tzinfo else start.replace(tzinfo=UTC)
    return _FIRST if start == "earliest" else _NEVER
