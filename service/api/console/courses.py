"""The drift timeline as a picture: evidence against its threshold, the effect with its interval, and what happened meanwhile."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby, pairwise

from markupsafe import Markup, escape

from service.api.console.charts import picture
from service.records import Passage
from service.screens.drawing import moment, percent

_LEFT, _RIGHT, _WIDE, _HIGH, _BETWEEN, _TOP = 56.0, 30.0, 930.0, 150.0, 44.0, 8.0
_STEPS = (60.0, 300.0, 900.0, 1_800.0, 3_600.0, 10_800.0, 21_600.0, 43_200.0, 86_400.0, 172_800.0, 604_800.0)
_TICKS = 8
_APART = 0.1
"""Between two numbers at an axis, as a share of its length."""
_GAP = 3
"""Passages without a sample from which on the line is broken."""


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that stands at a moment, or for a while."""

    kind: str
    """`alarm`, `refresh` or `rebase`."""
    start: float
    end: float | None
    """None: it goes on, or has no length."""
    says: str


@dataclass(frozen=True, slots=True)
class Course:
    """What the picture is drawn from."""

    passages: Sequence[Passage]
    happenings: Sequence[Happening]
    tolerance: float
    end: float


def draw(course: Course) -> Markup:
    """Two panels over one time; nothing to draw is said."""
    passages = course.passages
    if not passages:
        return Markup('<p class="quiet">Nothing was decided in this span yet.</p>')
    start, end = passages[0].start, max(course.end, passages[-1].start + passages[-1].seconds)
    across = _Across(start, end)
    height = _TOP + 2 * _HIGH + _BETWEEN + 26
    parts = [
        *_ticks(across),
        *(part for happening in course.happenings if across.shows(happening) for part in _happening(happening, across)),
        *_evidence(passages, across),
        *_effect(passages, course.tolerance, across),
    ]
    return picture("timeline", (_LEFT + _WIDE + _RIGHT, height), _said(course), parts)


@dataclass(frozen=True, slots=True)
class _Across:
    start: float
    end: float

    def at(self, moment: float) -> float:
        inside = min(max(moment, self.start), self.end)
        return _LEFT + _WIDE * (inside - self.start) / max(self.end - self.start, 1.0)

    def shows(self, happening: Happening) -> bool:
        last = math.inf if happening.kind == "alarm" and happening.end is None else happening.end or happening.start
        return happening.start <= self.end and last >= self.start


def _said(course: Course) -> str:
    """The picture in words."""
    passages, strongest = course.passages, max(course.passages, key=lambda each: each.evidence)
    above = sum(each.evidence > each.threshold for each in passages)
    effects = [each.effect for each in passages if math.isfinite(each.effect.estimate)]
    effect = (
        f" The effect was last {percent(effects[-1].estimate)} ({percent(effects[-1].low)} to {percent(effects[-1].high)})."
        if effects
        else ""
    )
    marks = "".join(f" {each.says}." for each in course.happenings)
    return (
        f"From {moment(passages[0].start)} to {moment(passages[-1].start + passages[-1].seconds)}: evidence was strongest at "
        f"{moment(strongest.start)} with {strongest.evidence:.1f}, threshold {strongest.threshold:.1f}; above its threshold in {above} of "
        f"{len(passages)} passages.{effect}{marks}"
    )


# --- the frame -----------------------------------------------------------------------------------------------------------


def _ticks(across: _Across) -> Iterator[str]:
    span = across.end - across.start
    step = next((each for each in _STEPS if span / each <= _TICKS), _STEPS[-1] * math.ceil(span / _STEPS[-1] / _TICKS))
    shape = "%H:%M" if step < 43_200 else "%m-%d" if step >= 86_400 else "%m-%d %H:%M"
    bottom = _TOP + 2 * _HIGH + _BETWEEN
    for number in range(math.ceil(across.start / step), math.floor(across.end / step) + 1):
        x, text = across.at(number * step), datetime.fromtimestamp(number * step, UTC).strftime(shape)
        yield f'<path class="grid" d="M{x:.1f} {_TOP}V{bottom}"/>'
        yield f'<text class="tick" x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{text}</text>'


def _axis(top: float, levels: Sequence[tuple[float, str]], name: str) -> Iterator[str]:
    """`levels`: (height from the panel's bottom as a share, text)."""
    yield f'<path class="axis" d="M{_LEFT} {top + _HIGH}H{_LEFT + _WIDE}"/>'
    yield f'<text class="tick" x="{_LEFT + 6}" y="{top + 12}">{name}</text>'
    below = -_APART
    for share, text in levels:
        if share - below < _APART:
            continue
        below = share
        yield f'<text class="tick" x="{_LEFT - 6}" y="{top + _HIGH * (1 - share) + 4:.1f}" text-anchor="end">{text}</text>'


def _happening(happening: Happening, across: _Across) -> Iterator[str]:
    x, bottom = across.at(happening.start), _TOP + 2 * _HIGH + _BETWEEN
    yield f"<g><title>{escape(happening.says)}</title>"
    if happening.kind == "alarm":
        end = across.at(across.end if happening.end is None else happening.end)
        yield f'<rect class="span-alarm" x="{x:.1f}" y="{_TOP}" width="{max(end - x, 2):.1f}" height="{bottom - _TOP}"/>'
    if happening.start >= across.start:
        yield f'<path class="mark-{happening.kind}" d="M{x:.1f} {_TOP}V{bottom}"/>'
    yield "</g>"


# --- the panels ----------------------------------------------------------------------------------------------------------


def _runs(passages: Sequence[Passage]) -> Iterator[list[Passage]]:
    """Stretches without a gap."""
    breaks = [0, *(late.start - early.start > _GAP * late.seconds for early, late in pairwise(passages))]
    number, marked = 0, list[tuple[int, Passage]]()
    for broken, passage in zip(breaks, passages, strict=True):
        number += bool(broken)
        marked.append((number, passage))
    for _, run in groupby(marked, key=lambda pair: pair[0]):
        yield [passage for _, passage in run]


def _evidence(passages: Sequence[Passage], across: _Across) -> Iterator[str]:
    """On a logarithmic scale: under drift it grows without end."""
    threshold = passages[-1].threshold
    top = 1.08 * max(math.log1p(max(max(each.evidence, each.threshold) for each in passages)), math.log1p(1.5 * threshold), 0.5)

    def up(value: float) -> float:
        return _TOP + _HIGH * (1 - math.log1p(max(value, 0.0)) / top)

    most = max(each.evidence for each in passages)
    levels = [(0.0, "0"), (math.log1p(threshold) / top, f"{threshold:.1f}")]
    if most > 2 * threshold:
        levels.append((math.log1p(most) / top, f"{most:.0f}"))
    yield from _axis(_TOP, levels, "evidence")
    for run in _runs(passages):
        yield _line("evidence", [(across.at(each.start + each.seconds / 2), up(each.evidence)) for each in run])
        yield _line(
            "threshold", [(x, up(each.threshold)) for each in run for x in (across.at(each.start), across.at(each.start + each.seconds))]
        )


def _effect(passages: Sequence[Passage], tolerance: float, across: _Across) -> Iterator[str]:
    known, base = [each for each in passages if math.isfinite(each.effect.estimate)], _TOP + _HIGH + _BETWEEN
    top = max(
        [1.6 * tolerance, *(1.15 * min(each.effect.estimate, 1.0) for each in known), *(min(each.effect.high, 1.0) for each in known[-1:])]
    )

    def up(value: float) -> float:
        return base + _HIGH * (1 - min(max(value, 0.0) / top, 1.0))

    yield from _axis(base, [(0.0, "0 %"), (tolerance / top, percent(tolerance)), (1.0, percent(top))], "effect")
    yield f'<path class="limit" stroke-dasharray="5 4" d="M{_LEFT} {up(tolerance):.1f}H{_LEFT + _WIDE}"/>'
    for run in _runs(known):
        xs = [across.at(each.start + each.seconds / 2) for each in run]
        low, high = ([(x, up(getattr(each.effect, side))) for x, each in zip(xs, run, strict=True)] for side in ("low", "high"))
        yield f'<polygon class="area" points="{_points([*high, *reversed(low)])}"/>'
        yield _line("effect", [(x, up(each.effect.estimate)) for x, each in zip(xs, run, strict=True)])


def _line(kind: str, places: Sequence[tuple[float, float]]) -> str:
    if len(places) == 1:
        (x, y) = places[0]
        return f'<path class="{kind}" d="M{x - 1.5:.1f} {y:.1f}h3"/>'
    return f'<polyline class="{kind}" points="{_points(places)}"/>'


def _points(places: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
