"""What whoever trains a new model is told: which one is in force, where the rows are, where the new one goes, and until when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from service.links import Links
from service.monitors import Embedders
from service.ports import Embedder, Store
from service.records import CycleState, RefreshCycle
from service.refresh_events import Terms
from service.settings import MonitorSettings

_CYCLES, _HOUR = 10_000, 3_600


def terms(
    store: Store, monitors: Embedders, links: Links, cycle: RefreshCycle, data_sets: Sequence[Mapping[str, Any]], *, now: float
) -> Terms:
    """Of a request that is made now; it is kept as it is made, so links and deadline are those of its first time."""
    settings, until = monitors.effective(cycle.monitor), links.expiry(now)
    return Terms(
        model=_in_force(store, settings, monitors.embedder(cycle.monitor)),
        rows_url=links.data_sets(cycle.id, data_sets, expires=until),
        rows_until=until if links else None,
        give_back=links.address(f"/v1/refresh/{cycle.id}/model"),
        deadline=now + _HOUR * settings.refresh.limits.training,
    )


def _in_force(store: Store, settings: MonitorSettings, embedder: Embedder) -> Mapping[str, Any]:
    """As a cycle brought it, else as it is configured."""
    promoted = store.find(RefreshCycle, monitor=settings.name, states=[CycleState.PROMOTED], limit=_CYCLES)
    path = str(settings.embedder.model or "")
    kept = next((made for cycle in promoted if (made := cycle.served or cycle.model) and path.endswith(made.path)), None)
    named = {"path": path, "fingerprint": embedder.fingerprint, "classes": list(settings.classes)}
    return named if kept is None else {**named, "uri": kept.uri, "checksum": kept.checksum, "version": kept.version}
