"""Pictures as SVG that stands in a page: classes for colours, presentation attributes for the rest, so that no policy has to yield."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from markupsafe import Markup, escape

from service.report.parts import Plot
from service.report.rendering import svg
from service.screens.drawing import excerpt, percent


def plot(drawn: Plot) -> Markup:
    """Bars, lines or a matrix, as reports show them."""
    return Markup(svg.plot(drawn))  # noqa: S704 - made of numbers and of texts that `svg` escapes


def picture(kind: str, size: tuple[float, float], label: str, parts: Sequence[str]) -> Markup:
    """An SVG with a text in its place for whoever does not see it; its parts are trusted."""
    width, height = size
    opening = f'<svg class="{kind}" viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}" role="img"'
    return Markup(f'{opening} aria-label="{escape(label)}">{"".join(parts)}</svg>')  # noqa: S704 - numbers, and texts escaped by who made them


_SPARK = 120.0, 28.0


def sparkline(values: Sequence[float], threshold: float, label: str) -> Markup:
    """Evidence over time in the height of a line, with the threshold that it must pass."""
    (width, height), finite = _SPARK, [value for value in values if math.isfinite(value)]
    if len(finite) < 2:
        return Markup('<span class="quiet">–</span>')
    top = max(*finite, threshold) * 1.05 or 1.0
    step = (width - 4) / (len(finite) - 1)

    def up(value: float) -> float:
        return 2 + (height - 4) * (1 - value / top)

    line = " ".join(f"{2 + step * number:.1f},{up(value):.1f}" for number, value in enumerate(finite))
    dash = f'<path class="threshold" d="M2 {up(threshold):.1f}H{width - 2:g}"/>' if threshold > 0 else ""
    end = f'<circle class="point" cx="{2 + step * (len(finite) - 1):.1f}" cy="{up(finite[-1]):.1f}" r="2.2"/>'
    return picture("spark", _SPARK, label, [dash, f'<polyline class="evidence" points="{line}"/>', end])


_BAND = 480.0, 76.0
_NEAR = 130.0
"""Between two limits whose names would stand in each other."""


def band(measured: Mapping[str, float], *, tolerance: float, critical: float) -> Markup:
    """An effect with its interval on a line that shows where it matters and where it is critical."""
    low, middle, high = (measured[name] for name in ("low", "estimate", "high"))
    if not all(map(math.isfinite, (low, middle, high))):
        return Markup('<p class="quiet">The effect is not known yet.</p>')
    (width, height), top = _BAND, max(1.15 * high, 1.3 * critical, 1.3 * tolerance, 0.05)

    def at(value: float) -> float:
        return 8 + (width - 16) * min(max(value / top, 0.0), 1.0)

    y, near = 20.0, at(critical) - at(tolerance) < _NEAR
    parts = [
        f'<rect class="calm" x="{at(0):.1f}" y="{y - 8}" width="{at(tolerance) - at(0):.1f}" height="16"/>',
        f'<rect class="severe" x="{at(critical):.1f}" y="{y - 8}" width="{max(at(top) - at(critical), 0):.1f}" height="16"/>',
        f'<path class="axis" d="M{at(0):.1f} {y}H{at(top):.1f}"/>',
        *_mark(at(tolerance), y, f"tolerance {percent(tolerance)}", height - 4),
        *_mark(at(critical), y, f"critical {percent(critical)}", height - 22 if near else height - 4),
        f'<path class="range" d="M{at(low):.1f} {y}H{at(high):.1f}"/>',
        f'<circle class="dot" cx="{at(middle):.1f}" cy="{y}" r="5"/>',
    ]
    limits = f"tolerance {percent(tolerance)}, critical {percent(critical)}"
    said = f"Effect {percent(middle)}, between {percent(low)} and {percent(high)}; {limits}"
    return picture("band", _BAND, said, parts)


def _mark(x: float, y: float, text: str, below: float) -> list[str]:
    to = "start" if x < _NEAR / 2 else "end" if x > _BAND[0] - _NEAR / 2 else "middle"
    return [
        f'<path class="limit" d="M{x:.1f} {y - 12}V{y + 12}"/>',
        f'<text class="tick" x="{x:.1f}" y="{below}" text-anchor="{to}">{escape(text)}</text>',
    ]


def share_bars(rows: Sequence[tuple[str, float, float]], names: tuple[str, str], title: str) -> Markup:
    """Two shares per name, one below the other: the window's and the reference's."""
    width, left, row = 560.0, 210.0, 40.0
    most = max((max(one, other) for _, one, other in rows), default=0.0) or 1.0
    parts: list[str] = []
    for number, (name, one, other) in enumerate(rows):
        y = row * number + 4
        parts.append(f'<text x="{left - 10}" y="{y + 19}" text-anchor="end">{escape(_cut(name))}</text>')
        for offset, kind, value in ((4, "window", one), (18, "reference", other)):
            wide = (width - left - 70) * value / most
            parts.append(f'<rect class="{kind}" x="{left}" y="{y + offset}" width="{wide:.1f}" height="12" rx="2"/>')
            parts.append(f'<text class="tick" x="{left + wide + 6:.1f}" y="{y + offset + 10}">{percent(value)}</text>')
    words = "; ".join(f"{_cut(name)}: {names[0]} {percent(one)}, {names[1]} {percent(other)}" for name, one, other in rows)
    return picture("shares", (width, row * len(rows) + 8), f"{title}. {words}", parts)


def _cut(name: str, most: int = 30) -> str:
    return excerpt(name, most)
