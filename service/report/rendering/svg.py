"""Plots as SVG that stands in a page: its colours are the page's, so that they follow its colour scheme and its print."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape

from service.records import Measured
from service.report.parts import Bars, Lines, Matrix, Plot, Unit
from service.report.rendering.written import written
from service.screens.drawing import excerpt

_MOST_BARS, _MOST_CELLS = 40, 24
_NAME_LETTERS = 36
_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
_DASHES = ("", "6 4", "2 3", "10 4 2 4")
"""Series differ in their strokes too, not by colour alone."""

_HEAVIEST = 0.45
"""Opacity of the fullest cell: numbers stay readable on it."""


def plot(drawn: Plot) -> str:
    """Whatever kind it is."""
    match drawn:
        case Bars():
            return bars(drawn)
        case Lines():
            return lines(drawn)
        case Matrix():
            return matrix(drawn)


def track(measured: Measured, top: float = 1.0) -> str:
    """An estimate's interval on a line from 0 to `top`, to stand beside its number; '' where it does not fit on one."""
    low, middle, high = (value / top for value in (measured.low, measured.estimate, measured.high))
    if not 0 <= low <= middle <= high <= 1:
        return ""
    return (
        '<svg class="track" viewBox="0 0 100 8" aria-hidden="true"><path class="axis" d="M0 4H100"/>'
        f'<path class="range" d="M{100 * low:.1f} 4H{100 * high:.1f}"/><circle class="dot" cx="{100 * middle:.1f}" cy="4" r="3"/></svg>'
    )


def _picture(title: str, width: float, height: float, parts: Iterator[str]) -> str:
    opening = f'<svg class="plot" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" role="img"'
    return f'{opening} aria-label="{escape(excerpt(title))}">{"".join(parts)}</svg>'


def _text(x: float, y: float, text: str, *, to: str = "start", kind: str = "") -> str:
    """`to`: which end of the text stands at x. What is cut can be read in full by pointing at it."""
    shown = excerpt(text, _NAME_LETTERS)
    full = f"<title>{escape(excerpt(text))}</title>" if shown != text else ""
    classes = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{to}"{classes}>{full}{escape(shown)}</text>'


def _ticks(low: float, high: float) -> Sequence[float]:
    """About five round numbers that hold both, two at least."""
    room = max(high - low, 1e-6 * max(abs(low), abs(high))) or 1.0
    unit = 10.0 ** math.floor(math.log10(room / 4))
    step = next(unit * factor for factor in _STEPS if room / (unit * factor) <= 5 + 1e-9)
    first = math.floor(low / step + 1e-9)
    last = max(math.ceil(high / step - 1e-9), first + 1)
    return [step * at for at in range(first, last + 1)]


# --- bars ------------------------------------------------------------------------------------------------------------

_ROW, _BARS_WIDE, _BARS_RIGHT = 26, 360, 190
_LETTER = 7.4


def bars(drawn: Bars) -> str:
    """One below the other, each with its interval and its number."""
    shown = dict(list(drawn.values.items())[:_MOST_BARS])
    ends = [end for value in shown.values() for end in _ends(value) if math.isfinite(end)]
    ticks = _ticks(min([0.0, *ends]), max([0.0, *ends]))
    left = _LETTER * min(max(map(len, shown), default=0), _NAME_LETTERS) + 20
    return _picture(drawn.title, left + _BARS_WIDE + _BARS_RIGHT, _ROW * len(shown) + 34, _bar_parts(shown, drawn.unit, ticks, left))


def _ends(value: Measured | float) -> tuple[float, ...]:
    return (value.low, value.estimate, value.high) if isinstance(value, Measured) else (value,)


def _bar_parts(shown: Mapping[str, Measured | float], unit: Unit, ticks: Sequence[float], left: float) -> Iterator[str]:
    def at(value: float) -> float:
        return left + _BARS_WIDE * (value - ticks[0]) / (ticks[-1] - ticks[0])

    bottom = _ROW * len(shown) + 6
    for tick in ticks:
        yield f'<path class="grid" d="M{at(tick):.1f} 0V{bottom}"/>'
        yield _text(at(tick), bottom + 18, written(tick, unit), to="middle", kind="tick")
    for number, (name, value) in enumerate(shown.items()):
        middle = _ROW * number + _ROW / 2 + 2
        yield _text(left - 10, middle + 4, name, to="end")
        yield _text(left + _BARS_WIDE + 24, middle + 4, written(value, unit), kind="value")
        yield from _bar(at(0.0), [at(end) for end in _ends(value) if math.isfinite(end)], middle)


def _bar(zero: float, ends: Sequence[float], middle: float) -> Iterator[str]:
    """From zero to the estimate; the interval as a line with caps."""
    if not ends:
        return
    tip = ends[len(ends) // 2]
    yield f'<rect class="bar" x="{min(zero, tip):.1f}" y="{middle - 7:.1f}" width="{abs(tip - zero):.1f}" height="14" rx="2"/>'
    if len(ends) == 3:
        low, high, top, end = ends[0], ends[2], middle - 4, middle + 4
        yield f'<path class="whisker" d="M{low:.1f} {middle:.1f}H{high:.1f}M{low:.1f} {top:.1f}V{end:.1f}M{high:.1f} {top:.1f}V{end:.1f}"/>'


# --- lines -----------------------------------------------------------------------------------------------------------

_LEFT, _TOP, _WIDE, _HIGH, _LEGEND = 64, 12, 420, 300, 240


def lines(drawn: Lines) -> str:
    """Points joined in order, with their names beside."""
    finite = [at for points in drawn.series.values() for at in points if all(map(math.isfinite, at))]
    unit = [(0.0, 0.0), (1.0, 1.0)] if drawn.diagonal or not finite else []
    across, up = ([at[axis] for at in (*finite, *unit)] for axis in (0, 1))
    ticks = _ticks(min(across), max(across)), _ticks(min(up), max(up))
    return _picture(drawn.title, _LEFT + _WIDE + _LEGEND, _TOP + _HIGH + 54, _line_parts(drawn, *ticks))


def _line_parts(drawn: Lines, across: Sequence[float], up: Sequence[float]) -> Iterator[str]:
    def place(x: float, y: float) -> tuple[float, float]:
        return (
            _LEFT + _WIDE * (x - across[0]) / (across[-1] - across[0]),
            _TOP + _HIGH * (1 - (y - up[0]) / (up[-1] - up[0])),
        )

    yield from _axes(drawn, [(place(x, up[0])[0], x) for x in across], [(place(across[0], y)[1], y) for y in up])
    if drawn.diagonal:
        (x0, y0), (x1, y1) = place(0.0, 0.0), place(1.0, 1.0)
        yield f'<path class="diagonal" d="M{x0:.1f} {y0:.1f}L{x1:.1f} {y1:.1f}"/>'
    for number, (name, points) in enumerate(drawn.series.items()):
        yield from _series(number, name, [place(*point) for point in points if all(map(math.isfinite, point))])


def _axes(drawn: Lines, across: Sequence[tuple[float, float]], up: Sequence[tuple[float, float]]) -> Iterator[str]:
    """(place, number) of the ticks of both."""
    bottom, right = _TOP + _HIGH, _LEFT + _WIDE
    for x, value in across:
        yield f'<path class="grid" d="M{x:.1f} {_TOP}V{bottom}"/>'
        yield _text(x, bottom + 18, written(value, Unit.PLAIN), to="middle", kind="tick")
    for y, value in up:
        yield f'<path class="grid" d="M{_LEFT} {y:.1f}H{right}"/>'
        yield _text(_LEFT - 8, y + 4, written(value, Unit.PLAIN), to="end", kind="tick")
    yield _text(_LEFT + _WIDE / 2, bottom + 42, drawn.across, to="middle")
    yield f'<g transform="rotate(-90 16 {_TOP + _HIGH / 2:.0f})">{_text(16, _TOP + _HIGH / 2, drawn.up, to="middle")}</g>'


def _series(number: int, name: str, places: Sequence[tuple[float, float]]) -> Iterator[str]:
    kind, dash = f"series s{number % 4}", _DASHES[number % len(_DASHES)]
    stroke = f' stroke-dasharray="{dash}"' if dash else ""
    if places:
        yield f'<path class="{kind}"{stroke} d="M{"L".join(f"{x:.1f} {y:.1f}" for x, y in places)}"/>'
    for x, y in places:
        yield f'<circle class="point s{number % 4}" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>'
    left, y = _LEFT + _WIDE + 18, _TOP + 12 + 22 * number
    yield f'<path class="{kind}"{stroke} d="M{left} {y}h26"/>' + _text(left + 34, y + 4, name)


# --- matrix ----------------------------------------------------------------------------------------------------------

_CELL, _MATRIX_LEFT, _MATRIX_TOP, _MATRIX_RIGHT = 36, 190, 150, 110


def matrix(drawn: Matrix) -> str:
    """Rows by columns, each cell as full as its share of the row: what agrees in one colour, what differs in another."""
    rows, columns = drawn.rows[:_MOST_CELLS], drawn.columns[:_MOST_CELLS]
    width, height = _MATRIX_LEFT + _CELL * len(columns) + _MATRIX_RIGHT, _MATRIX_TOP + _CELL * len(rows) + 8
    return _picture(drawn.title, width, height, _matrix_parts(drawn, rows, columns))


def _matrix_parts(drawn: Matrix, rows: Sequence[str], columns: Sequence[str]) -> Iterator[str]:
    yield _text(_MATRIX_LEFT - 10, _MATRIX_TOP - 8, f"{drawn.down} ↓  {drawn.across} →", to="end", kind="tick")
    for at, name in enumerate(columns):
        x = _MATRIX_LEFT + _CELL * (at + 0.5)
        yield f'<g transform="rotate(-45 {x:.1f} {_MATRIX_TOP - 8})">{_text(x, _MATRIX_TOP - 8, name)}</g>'
    for at, (name, counts) in enumerate(zip(rows, drawn.counts, strict=False)):
        y = _MATRIX_TOP + _CELL * at
        yield _text(_MATRIX_LEFT - 10, y + _CELL / 2 + 4, name, to="end")
        for x, (column, count) in enumerate(zip(columns, counts, strict=False)):
            share = count / max(sum(counts), 1)
            yield _matrix_cell(_MATRIX_LEFT + _CELL * x, y, count, share, "right" if column == name else "wrong")


def _matrix_cell(x: float, y: float, count: int, share: float, kind: str) -> str:
    shown = f"{count:,}" if count < 10_000 else f"{count / 1_000:,.0f}k"
    fill = (
        f'<rect class="cell {kind}" x="{x}" y="{y}" width="{_CELL - 2}" height="{_CELL - 2}" rx="2" fill-opacity="{_weight(share):.2f}"/>'
    )
    return fill + _text(x + _CELL / 2 - 1, y + _CELL / 2 + 3, shown if count else "·", to="middle", kind="count" if count else "tick")


def _weight(share: float) -> float:
    """What is rare is seen too."""
    return 0.04 + (_HEAVIEST - 0.04) * math.sqrt(share) if share else 0.0
