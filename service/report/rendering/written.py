"""Cells as people read them: numbers in their unit, intervals beside estimates, other people's text made harmless."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

from service.records import Measured
from service.report.parts import Cell, Picture, Unit
from service.screens.drawing import NONE, count, excerpt, moment, percent, span

LONGEST = 120
"""Characters of a cell."""


def _plain(value: float) -> str:
    if not math.isfinite(value):
        return NONE
    return f"{value:,.0f}" if value == round(value) and abs(value) < 1e15 else f"{value:.3g}"


_NUMBER: Mapping[Unit, Callable[[float], str]] = MappingProxyType(
    {Unit.SHARE: percent, Unit.COUNT: count, Unit.SECONDS: span, Unit.TIME: moment, Unit.PLAIN: _plain}
)


def written(cell: Cell, unit: Unit) -> str:
    """On one line: an estimate comes with its interval."""
    if cell is None:
        return NONE
    if isinstance(cell, Picture):
        return excerpt(cell.name, LONGEST)
    if isinstance(cell, str):
        return excerpt(cell, LONGEST)
    if isinstance(cell, Measured):
        return f"{_NUMBER[unit](cell.estimate)}{interval(cell, unit)}"
    return _NUMBER[unit](cell)


def interval(measured: Measured, unit: Unit) -> str:
    """` (10.1 to 14.5)`; nothing where it is not known."""
    if not (math.isfinite(measured.low) and math.isfinite(measured.high)):
        return ""
    low, high = (_NUMBER[unit](value).removesuffix(" %") for value in (measured.low, measured.high))
    return f" ({low} to {high})"


def estimate(value: Measured | float) -> float:
    """The number itself."""
    return value.estimate if isinstance(value, Measured) else value


def is_number(cell: Cell) -> bool:
    """Whether it stands to the right of its column."""
    return not isinstance(cell, str | Picture)
