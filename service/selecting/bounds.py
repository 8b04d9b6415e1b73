"""What can be promised, before a label is paid for, of what the new model breaks."""

from __future__ import annotations

from detectors.comparison import allowed_flips
from service.datasets import DataSets
from service.ports import Store
from service.selecting.proposal import Bound
from service.settings import MonitorSettings
from service.verification import Gate, next_look


def bound(store: Store, data_sets: DataSets, settings: MonitorSettings) -> Bound | None:
    """By the golden rows that will judge the model, and what earlier looks at them have spent; None without a golden set. Nothing is
    chosen by these rows: they are counted."""
    if not data_sets.versions(settings.name, "golden"):
        return None
    look = next_look(store, data_sets, settings.name, settings.refresh)
    gate, rows = Gate.of(look, settings.refresh), len(look.drawn.rows.rows)
    allowed = allowed_flips(rows, gate.max_negative_flips, error=gate.spent) if rows else -1
    return Bound(gate.max_negative_flips, 1 - gate.spent, rows, gate.rows_needed, max(allowed, 0))
