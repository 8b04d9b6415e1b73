"""Drawings as SVG by hand: panels with axes, and what is drawn on them. White behind everything, so that they read in any colour scheme."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape

BLUE, RED, GREY, GREEN, ORANGE, INK, PALE = "#3b5bdb", "#c92a2a", "#adb5bd", "#2b8a3e", "#e8590c", "#343a40", "#e9ecef"

_STYLE = "text{font:13px system-ui,sans-serif;fill:#343a40}.small{font-size:12px;fill:#495057}.title{font-size:14px;font-weight:600}"

Point = tuple[float, float]


@dataclass(slots=True)
class Drawing:
    """A picture in the making; y grows downwards."""

    width: int
    height: int
    title: str
    """Said to those who can't see it."""
    parts: list[str] = field(default_factory=list)

    def text(self, x: float, y: float, said: str, *, to: str = "start", kind: str = "", colour: str = "") -> None:
        """`to`: which end of the text stands at x."""
        marks = (f' class="{kind}"' if kind else "") + (f' style="fill:{colour}"' if colour else "")
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{to}"{marks}>{escape(said)}</text>')

    def path(self, points: Iterable[Point], *, colour: str = INK, width: float = 1.5, dash: str = "") -> None:
        """Joined in order."""
        steps = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        self.parts.append(f'<path fill="none" stroke="{colour}" stroke-width="{width}"{dashes} stroke-linejoin="round" d="M{steps}"/>')

    def area(self, points: Iterable[Point], *, colour: str, opacity: float = 0.2) -> None:
        """Filled, without a border."""
        steps = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        self.parts.append(f'<path fill="{colour}" fill-opacity="{opacity:.2f}" d="M{steps}Z"/>')

    def dots(self, points: Iterable[Point], *, colour: str, radius: float = 2.5, opacity: float = 1.0) -> None:
        """One path for all: each is a stroke of no length with round ends."""
        steps = "".join(f"M{x:.1f} {y:.1f}h0" for x, y in points)
        stroke = f'stroke="{colour}" stroke-opacity="{opacity:.2f}" stroke-width="{2 * radius}" stroke-linecap="round"'
        self.parts.append(f'<path fill="none" {stroke} d="{steps}"/>')

    def box(self, x: float, y: float, width: float, height: float, *, stroke: str = INK) -> None:
        """A rectangle with round corners."""
        self.parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="6" fill="#fff" stroke="{stroke}"/>')

    def arrow(self, start: Point, end: Point, *, colour: str = INK) -> None:
        """A straight one."""
        (x0, y0), (x1, y1) = start, end
        far = math.hypot(x1 - x0, y1 - y0)
        along, across = ((x1 - x0) / far, (y1 - y0) / far), (-(y1 - y0) / far, (x1 - x0) / far)
        back = (x1 - 9 * along[0], y1 - 9 * along[1])
        self.path([start, back], colour=colour)
        sides = [(back[0] + 4.5 * side * across[0], back[1] + 4.5 * side * across[1]) for side in (1, -1)]
        self.area([end, *sides], colour=colour, opacity=1.0)

    def svg(self) -> str:
        """The file."""
        opening = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" width="{self.width}" role="img"'
        ground = f'<rect width="{self.width}" height="{self.height}" fill="#fff"/>'
        told = f"<title>{escape(self.title)}</title>"
        return f'{opening} aria-label="{escape(self.title)}">{told}<style>{_STYLE}</style>{ground}{"".join(self.parts)}</svg>\n'


@dataclass(frozen=True, slots=True)
class Axis:
    """From `low` to `high`; on a logarithmic one both are above 0."""

    low: float
    high: float
    ticks: Sequence[float]
    name: str
    log: bool = False

    def share(self, value: float) -> float:
        """Where a value lies, 0 to 1; beyond the ends it stays at them."""
        low, high, at = (math.log(v) if self.log else v for v in (self.low, self.high, max(value, self.low) if self.log else value))
        return min(max((at - low) / (high - low), 0.0), 1.0)


@dataclass(slots=True)
class Panel:
    """A frame with two axes on a drawing."""

    drawing: Drawing
    left: float
    top: float
    wide: float
    high: float
    across: Axis
    up: Axis

    def __post_init__(self) -> None:
        self._axes()

    def at(self, x: float, y: float) -> Point:
        """On the drawing."""
        return self.left + self.wide * self.across.share(x), self.top + self.high * (1 - self.up.share(y))

    def line(self, points: Iterable[Point], *, colour: str, width: float = 1.8, dash: str = "") -> None:
        """A curve in the panel's own numbers."""
        self.drawing.path([self.at(*point) for point in points], colour=colour, width=width, dash=dash)

    def band(self, rows: Sequence[tuple[float, float, float]], *, colour: str) -> None:
        """(x, low, high) of each."""
        upper = [self.at(x, high) for x, _, high in rows]
        lower = [self.at(x, low) for x, low, _ in reversed(rows)]
        self.drawing.area([*upper, *lower], colour=colour)

    def dots(self, points: Iterable[Point], *, colour: str, radius: float = 2.5, opacity: float = 1.0) -> None:
        """In the panel's own numbers."""
        self.drawing.dots([self.at(*point) for point in points], colour=colour, radius=radius, opacity=opacity)

    def level(self, y: float, said: str, *, colour: str) -> None:
        """A dashed line from side to side."""
        self.line([(self.across.low, y), (self.across.high, y)], colour=colour, dash="6 4", width=1.4)
        self.drawing.text(self.left + 8, self.at(0, y)[1] - 6, said, kind="small", colour=colour)

    def moment(self, x: float, said: str, *, colour: str, row: int = 0, to: str = "start") -> None:
        """A dashed line from top to bottom; `row` keeps names apart."""
        self.line([(x, self.up.low), (x, self.up.high)], colour=colour, dash="3 3", width=1.4)
        beside = 6 if to == "start" else -6
        self.drawing.text(self.at(x, 0)[0] + beside, self.top + 16 + 17 * row, said, kind="small", colour=colour, to=to)

    def _axes(self) -> None:
        bottom, right = self.top + self.high, self.left + self.wide
        for tick in self.across.ticks:
            x = self.left + self.wide * self.across.share(tick)
            self.drawing.path([(x, self.top), (x, bottom)], colour=PALE, width=1)
            self.drawing.text(x, bottom + 18, written(tick), to="middle", kind="small")
        for tick in self.up.ticks:
            y = self.top + self.high * (1 - self.up.share(tick))
            self.drawing.path([(self.left, y), (right, y)], colour=PALE, width=1)
            self.drawing.text(self.left - 8, y + 4, written(tick), to="end", kind="small")
        self.drawing.path([(self.left, self.top), (self.left, bottom), (right, bottom)], colour=GREY, width=1)
        self.drawing.text(self.left + self.wide / 2, bottom + 38, self.across.name, to="middle", kind="small")
        self.drawing.text(self.left, self.top - 10, self.up.name, kind="small")


def written(value: float) -> str:
    """A tick's number."""
    return f"{value:,.0f}" if abs(value) >= 10 or value == int(value) else f"{value:g}"
