"""Candidates as a terminal shows them, and what their risks were worth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from service.records import Candidate, Purpose
from service.screens.drawing import columns, count, cut, excerpt, level_bar, percent

if TYPE_CHECKING:
    from detectors.selection.risk import Reliability

_WIDTH = 8
_STYLES = {Purpose.EXPAND: "bold", Purpose.AUDIT: "yellow"}


def candidate_table(candidates: Sequence[Candidate], *, limit: int) -> RenderableType:
    """Why each sample is proposed, what it is expected to add, its risk with its parts, and how many samples it stands for (×)."""
    if not candidates:
        return Text("no candidates")
    table = columns("sample", "for", "risk\njunk/contested/harm", "×", "why, and what it says", right=("×",))
    for item in candidates[:limit]:
        predicted = f" (the model says {excerpt(item.predicted, 60)})" if item.predicted else ""
        parts = "/".join(f"{100 * part:.0f}" for part in (item.junk, item.contested, item.influence))
        why = Text.assemble((f"{excerpt(item.reason, 200)}{predicted}", "dim"), f"\n{excerpt(item.text)}" if item.text else "")
        risk = Text.assemble(f"{level_bar(item.risk, 1.0, _WIDTH)} {percent(item.risk)}", (f"\n{parts}", "dim"))
        table.add_row(Text(excerpt(item.id, 40)), Text(item.purpose, _STYLES.get(item.purpose, "")), risk, count(item.weight), why)
    return cut(table, limit, len(candidates))


def reliability_screen(found: Reliability | None) -> RenderableType:
    """What risks said against what became of the samples: a calibrated risk lies within each bin's interval."""
    if found is None or not found.count:
        return Text("no outcomes yet: they come when a batch is closed")
    table = columns("risk said", "samples", "mean risk", "unusable or harmful", "interval", right=("samples", "mean risk"))
    for each in found.bins:
        span = f"{percent(each.low)} to {percent(each.high)}"
        shown = f"{percent(each.share_low)} to {percent(each.share_high)}"
        table.add_row(
            span, count(each.count), percent(each.mean_risk), f"{level_bar(each.share, 1.0, _WIDTH)} {percent(each.share)}", shown
        )
    return Group(table, Text(f"{count(found.count)} outcomes; expected calibration error {percent(found.error)}"))
