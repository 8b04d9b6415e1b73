"""How monitors stand: the figures of the last decision and, before the first one, what is still waited for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from detectors.model import rows_needed
from service.figures import describe_status
from service.ports import Store
from service.records import WHOLE
from service.reference import References
from service.settings import MonitorSettings
from service.streams import MonitorStreams

UNDECIDED = "warming up"
"""The state before the reference in force has decided anything."""


class Standing:
    """Reads it from the store, with a running server or without; the API and the command line say the same."""

    def __init__(self, store: Store, references: References, settings: Callable[[str], MonitorSettings]) -> None:
        self._store = store
        self._references = references
        self._settings = settings

    def state(self, monitor: str) -> str:
        """One word, without reading the reference."""
        return str(self._decided(monitor, self._references.active(monitor)).get("state", UNDECIDED))

    def document(self, monitor: str) -> Mapping[str, Any]:
        """The monitor as `GET /v1/monitors/{monitor}` gives it."""
        undecided = [pane for pane in self._store.open_panes(monitor) if pane.key.segment == WHOLE]
        return {
            "monitor": monitor,
            **self._figures(monitor),
            "samples": self._store.samples_taken(monitor),
            "undecided": {"panes": len(undecided), "samples": sum(pane.summary.count for pane in undecided)},
        }

    def _figures(self, monitor: str) -> Mapping[str, Any]:
        """Where the reference in force has decided nothing yet, those of a monitor that starts with it."""
        version = self._references.active(monitor)
        if version is None:
            return self._without_reference(monitor)
        started = self._decided(monitor, version)
        return started or describe_status(MonitorStreams(self._settings(monitor), self._references.load(monitor, version)))

    def _decided(self, monitor: str, version: int | None) -> Mapping[str, Any]:
        """Figures of another version would say nothing about the traffic from now on."""
        decided = self._store.status(monitor)
        return decided if version is not None and decided.get("reference_version") == version else {}

    def _without_reference(self, monitor: str) -> Mapping[str, Any]:
        """How many samples are still missing for a reference from the stream, and how fast they come."""
        settings = self._settings(monitor)
        kept = self._store.pool(monitor, limit=settings.pool.rows, payloads=False)
        span = kept[-1].time - kept[0].time if kept else 0.0
        missing = max(rows_needed(settings.detection.first_run_length) - len(kept), 0)
        return {
            "state": UNDECIDED,
            "missing_samples": missing,
            "traffic_per_second": (len(kept) - 1) / span if span > 0 else None,
            "remedy": self._remedy(monitor, missing),
        }

    def _remedy(self, monitor: str, missing: int) -> str:
        provisional = self._references.versions(monitor)
        if provisional:
            version = provisional[-1]["version"]
            return f"reference {version} waits: `driftgate reference accept {version} --monitor {monitor}`"
        build = f"driftgate reference build --monitor {monitor}"
        if missing:
            return f"no reference yet: `{build} --input FILE`, or --from-stream when enough samples are in"
        return f"no reference yet, and samples enough for one: `{build} --from-stream`"
