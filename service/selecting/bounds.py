"""What can be promised, before a label is paid for, of what the new model breaks."""

from __future__ import annotations

from service.datasets import DataSets
from service.ports import Store
from service.selecting.proposal import Bound
from service.settings import MonitorSettings
from service.verifying import Gate, next_look


def bound(store: Store, data_sets: DataSets, settings: MonitorSettings) -> Bound | None:
    """By the golden rows that will judge the model, and what earlier looks at them have spent; None without a golden set. Nothing is
    chosen by these rows: they are counted."""
    if not data_sets.versions(settings.name, "golden"):
        return None
    look = next_look(store, data_sets, settings.name, settings.refresh)
    gate, rows = Gate.of(look, settings.refresh), len(look.drawn.rows.rows)
    return Bound(gate.margin, 1 - gate.spent, rows, gate.rows_needed, _allowed(gate, rows) if rows >= gate.rows_needed else 0)


def _allowed(gate: Gate, rows: int) -> int:
    """Most rows by which those that break may outnumber those that are mended, where as many change sides as planned."""
    test, flips = gate.test(rows, gate.margin), max(round(gate.expected_flips * rows), 1)
    return max((flips - 2 * mended for mended in range(flips // 2 + 1) if test.shows(mended, flips - mended)), default=0)
