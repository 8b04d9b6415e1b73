"""Numbers, times, bars and foreign text as a terminal shows them: safe, short, and readable without colour."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from rich import box
from rich.table import Table
from rich.text import Text

from service.records import Measured

NONE = "–"
"""Stands where there is nothing to show."""

IDS = ("alarm", "batch", "cycle", "item")
"""Columns of ids, which people copy."""

SPANS = ((86_400.0, "days"), (3_600.0, "h"), (60.0, "min"))
SCALES = (0.05, 0.1, 0.25, 0.5, 1.0)
LATEST = datetime(9999, 12, 31, tzinfo=UTC).timestamp()
STYLES = {
    "drifting": "bold red",
    "critical": "bold red",
    "open": "bold red",
    "rejected": "bold red",
    "warning": "yellow",
    "acknowledged": "yellow",
    "untimed": "bold red",
    "blind": "bold red",
    "stopped": "bold red",
    "gone": "dim",
    "retired": "dim",
    "silent": "yellow",
    "warming up": "yellow",
    "watching": "green",
    "resolved": "green",
    "promoted": "bold green",
}
"""Colours repeat what the word says."""


def word(state: str) -> Text:
    """A state, in its colour where it has one."""
    return Text(state, STYLES.get(state, ""))


def excerpt(text: str, limit: int = 120) -> str:
    """Other people's text on one line, without anything that could steer the terminal."""
    clean = " ".join("".join(letter if letter.isprintable() else " " for letter in text[: 4 * limit]).split())
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


def percent(share: float | None) -> str:
    """A share of one, as a percentage."""
    return NONE if share is None or not math.isfinite(share) else f"{100 * share:.1f} %"


def points(change: float | None) -> str:
    """A difference of two shares, with its sign, in percentage points."""
    return NONE if change is None or not math.isfinite(change) else f"{100 * change:+.1f}"


def count(number: float | None) -> str:
    """A whole number with separators."""
    return NONE if number is None or not math.isfinite(number) else f"{number:,.0f}"


def interval(measured: Measured) -> str:
    """An estimate with its interval, in percent."""
    return f"{percent(measured.estimate)} ({100 * measured.low:.1f} to {100 * measured.high:.1f})"


def span(seconds: float | None) -> str:
    """A length of time in the unit that suits it."""
    if seconds is None or not math.isfinite(seconds):
        return NONE
    for unit, name in SPANS:
        if abs(seconds) >= unit:
            return f"{seconds / unit:.{0 if abs(seconds) >= 10 * unit else 1}f} {name}"
    return "< 1 s" if 0 < abs(seconds) < 0.5 else f"{seconds:.0f} s"


def moment(seconds: float) -> str:
    """A time in UTC; what lies outside the calendar shows as its edge."""
    if math.isnan(seconds):
        return NONE
    return datetime.fromtimestamp(min(max(seconds, 0.0), LATEST), UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def level_bar(value: float, full: float, width: int = 16) -> str:
    """How far `value` has come on its way to `full`; beyond it the bar stays full."""
    filled = _cells(value, full, width)
    return "█" * filled + "░" * (width - filled)


def interval_bar(measured: Measured, width: int = 40) -> str:
    """An interval (`━`) around its estimate (`●`) on a line from 0 to the scale that holds it."""
    top = next((scale for scale in SCALES if measured.high <= scale), SCALES[-1])
    low, middle, high = (_cells(value, top, width - 1) for value in (measured.low, measured.estimate, measured.high))
    line = ["━" if low <= cell <= high else "·" for cell in range(width)]
    line[middle] = "●"
    return f"0 ┤{''.join(line)}├ {100 * top:g} %"


def _cells(value: float, full: float, width: int) -> int:
    return 0 if math.isnan(value) or not full > 0 else round(width * min(max(value / full, 0.0), 1.0))


def columns(*names: str, right: tuple[str, ...] = ()) -> Table:
    """An empty table that keeps to the width it gets: text folds, the figures in `right` and ids stay whole."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name in names:
        table.add_column(name, justify="right" if name in right else "left", no_wrap=name in {*right, *IDS}, overflow="fold")
    return table


def cut(table: Table, shown: int, total: int) -> Table:
    """The table, saying how many rows it leaves out."""
    if total > shown:
        table.caption = f"… and {total - shown:,} more"
        table.caption_justify = "left"
    return table
