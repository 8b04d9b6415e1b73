"""How well the model answers where the truth is known: by class and segment, with intervals, and whether its confidence can be believed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from detectors.accuracy import Estimated
from detectors.performance import LEAST_ROWS, Confusion, Disparity, Reliability, by_group, disparity, gap, share
from service.episodes import measured
from service.records import Measured
from service.report.answers import SETS, Answers, of_set, returned
from service.report.material import Material
from service.report.parts import Bars, Column, Figure, Lines, Matrix, Missing, Plot, Section, Standing, Table, Unit
from service.screens.drawing import interval, percent

_NAME, _TITLE = "performance", "Performance"
_CLASSES, _SEGMENTS, _CONFUSED, _NAMED = 20, 20, 12, 5
_MATTERS = 0.02
"""Loss of accuracy that is worth acting on."""
_UNEVEN = 0.05
"""Surely lost between segments, or from training to test: worth looking into."""


@dataclass(frozen=True)
class _Known:
    """All answers whose truth is known, those that say most of production first."""

    sources: tuple[Answers, ...]

    @cached_property
    def tables(self) -> Mapping[str, Confusion]:
        return {each.name: Confusion.of(each.truth, each.answer) for each in self.sources}

    @cached_property
    def reliabilities(self) -> Mapping[str, Reliability | None]:
        return {each.name: Reliability.of(each.confidence, each.right) for each in self.sources}

    @property
    def first(self) -> Answers:
        """That classes and segments are shown of."""
        return self.sources[0]

    @property
    def confusion(self) -> Confusion:
        return self.tables[self.first.name]

    def found(self, name: str) -> Answers | None:
        """Those of one source."""
        return next((each for each in self.sources if each.name == name), None)

    def lost(self, name: str, other: str) -> Estimated | None:
        """How much less accurate one source is than another; None where either is missing."""
        less, more = self.found(name), self.found(other)
        if less is None or more is None:
            return None
        return gap(int(more.right.sum()), len(more), int(less.right.sum()), len(less))

    @cached_property
    def fallen(self) -> Estimated | None:
        """How much less accurate production is than the golden set."""
        return self.lost("production", "golden")

    @cached_property
    def memorised(self) -> Estimated | None:
        """How much more accurate the model is on what it was trained on."""
        return self.lost("golden", "train")

    @cached_property
    def segments(self) -> Mapping[str, tuple[int, int]]:
        """`tag=value` → right answers and rows, of the first source."""
        right = self.first.right
        return {f"{tag}={value}": of for tag, column in self.first.columns().items() for value, of in by_group(right, column).items()}

    @cached_property
    def disparities(self) -> Sequence[Disparity]:
        """The largest gap of each tag, largest first; their intervals hold together."""
        tags = sorted({name.partition("=")[0] for name in self.segments})
        groups = ({name: of for name, of in self.segments.items() if name.startswith(f"{tag}=")} for tag in tags)
        gaps = [disparity(each, among=len(tags)) for each in groups]
        return sorted((each for each in gaps if each is not None), key=lambda each: -each.gap.low)


def performance(material: Material) -> Section:
    """What is right, where, and how much of it the confidence promised."""
    looked = [returned(material), *(of_set(material, role) for role in SETS)]
    known = _Known(tuple(each for each in looked if isinstance(each, Answers)))
    missing = [each for each in looked if isinstance(each, Missing)]
    if not known.sources:
        return Section(_NAME, _TITLE, Standing.UNKNOWN, "Not known: no truth is known for any answer of the model.", missing=tuple(missing))
    todo, urgency = _todo(known)
    return Section(
        _NAME,
        _TITLE,
        _standing(known, urgency),
        " ".join(_said(known)),
        todo=todo,
        urgency=urgency,
        figures=tuple(_figures(known)),
        tables=tuple(_tables(known)),
        plots=tuple(_plots(known)),
        missing=(*missing, *_lacking(known)),
    )


def _standing(known: _Known, urgency: float) -> Standing:
    if _surely_fallen(known):
        return Standing.ACT
    if urgency:
        return Standing.WATCH
    return Standing.FINE if known.found("production") or known.found("golden") else Standing.UNKNOWN


def _surely_fallen(known: _Known) -> bool:
    return known.fallen is not None and known.fallen.low > 0 and known.fallen.estimate >= _MATTERS


def _todo(known: _Known) -> tuple[str, float]:
    """The first thing to do, and which share of the traffic it is about."""
    if known.fallen is not None and _surely_fallen(known):
        return "Retrain on what came back: production is answered worse than the golden set promises.", known.fallen.estimate
    if known.disparities and known.disparities[0].gap.low > _UNEVEN:
        worst = known.disparities[0]
        share_of_rows = known.segments[worst.worst][1] / len(known.first)
        return f"Label and train on more of {worst.worst}.", worst.gap.estimate * share_of_rows
    if known.memorised is not None and known.memorised.low > _UNEVEN:
        return "Add training rows or regularise: the model knows its training set better than it answers.", known.memorised.estimate
    return "", 0.0


# --- in words --------------------------------------------------------------------------------------------------------


def _said(known: _Known) -> Iterator[str]:
    parts = [f"{interval(measured(known.tables[each.name].accuracy))} of {len(each):,} rows of {each.name}" for each in known.sources]
    yield f"Right: {'; '.join(parts)}."
    if known.fallen is not None:
        yield f"Production lies {_points(known.fallen)}."
    if known.disparities:
        first = known.disparities[0]
        yield f"The widest gap between segments: {first.worst} lies {_points(first.gap, first.best)}."
    found = known.reliabilities[known.first.name]
    if found is not None:
        yield f"Confidence is off by {percent(found.error)} in the mean, where {percent(found.by_chance)} would be chance."


def _points(below: Estimated, what: str = "the golden set") -> str:
    """A loss, or a gain where it is negative."""
    sign, side = (1, "below") if below.estimate >= 0 else (-1, "above")
    low, high = sorted((sign * below.low, sign * below.high))
    return f"{100 * abs(below.estimate):.1f} points ({100 * low:.1f} to {100 * high:.1f}) {side} {what}"


def _lacking(known: _Known) -> Iterator[Missing]:
    """What the rows at hand can't tell."""
    table, name, more = known.confusion, known.first.name, "label more rows of them"
    own = {cls: int(count) for cls, count in zip(table.classes, table.counts.sum(1), strict=True) if count}
    if len(own) == 1:
        yield Missing(
            "recall of other classes", f"all {table.rows:,} labels of {name} are {next(iter(own))!r}", "label rows of other classes"
        )
    few = [cls for cls, count in own.items() if count < _NAMED]
    if few:
        yield Missing(f"recall of {len(few)} classes", f"they have fewer than {_NAMED} labelled rows in {name}: {_listed(few)}", more)
    small = [segment for each in known.disparities for segment in each.left_out]
    if small:
        yield Missing(f"accuracy of {len(small)} segments", f"they have fewer than {LEAST_ROWS} labelled rows: {_listed(small)}", more)
    if known.reliabilities[name] is None:
        why = f"fewer than 20 rows of {name} have a confidence"
        yield Missing("calibration", why, "send probabilities or logits with the answers")


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(name[:40] for name in names[:_NAMED]) + more


# --- in figures ------------------------------------------------------------------------------------------------------


def _figures(known: _Known) -> Iterator[Figure]:
    recall, f1 = known.confusion.macro()
    yield Figure("labelled rows", float(len(known.first)), Unit.COUNT)
    yield Figure("accuracy", measured(known.confusion.accuracy))
    yield Figure("mean recall of the classes", measured(recall))
    yield Figure("mean F1 of the classes", measured(f1))
    found = known.reliabilities[known.first.name]
    if found is not None:
        yield Figure("calibration error", found.error)
    if known.disparities:
        yield Figure("widest gap between segments", measured(known.disparities[0].gap))
    if known.fallen is not None:
        yield Figure("golden set less production", measured(known.fallen))
    if known.memorised is not None:
        yield Figure("training set less golden set", measured(known.memorised))
    delay = known.first.delay[np.isfinite(known.first.delay)]
    if len(delay):
        low, middle, high = (float(value) for value in np.quantile(delay, [0.1, 0.5, 0.9]))
        yield Figure("label delay, median and 10 to 90 %", Measured(middle, low, high), Unit.SECONDS)


def _tables(known: _Known) -> Iterator[Table]:
    yield _sources(known)
    yield _classes(known.confusion, known.first.name)
    if known.segments:
        yield _segments(known)
    if known.disparities:
        columns = (Column("best"), Column("worst"), Column("gap", Unit.SHARE))
        rows = tuple((each.best, each.worst, measured(each.gap)) for each in known.disparities[:_SEGMENTS])
        yield Table("Gaps between segments, by tag", columns, rows, max(len(known.disparities) - _SEGMENTS, 0))


def _sources(known: _Known) -> Table:
    names = ("accuracy", "mean recall", "mean F1", "calibration error", "of it by chance")
    columns = (Column("where"), Column("rows", Unit.COUNT), *(Column(name, Unit.SHARE) for name in names))
    rows = []
    for each in known.sources:
        table, reliable = known.tables[each.name], known.reliabilities[each.name]
        off = (reliable.error, reliable.by_chance) if reliable is not None else (None, None)
        rows.append((each.name, len(each), *map(measured, (table.accuracy, *table.macro())), *off))
    return Table("Accuracy", columns, tuple(rows))


def _classes(table: Confusion, name: str) -> Table:
    """Those first that are surely worst."""
    found = sorted(table.by_class(), key=lambda each: (each.f1.high, each.f1.estimate))
    columns = (Column("class"), Column("rows", Unit.COUNT), Column("answers", Unit.COUNT))
    shares = tuple(Column(title, Unit.SHARE) for title in ("recall", "precision", "F1"))
    rows = tuple((each.name, each.rows, each.answers, *map(_shown, (each.recall, each.precision, each.f1))) for each in found[:_CLASSES])
    return Table(f"Classes in {name}, worst first", (*columns, *shares), rows, max(len(found) - _CLASSES, 0))


def _segments(known: _Known) -> Table:
    found = sorted(((name, rows, share(hits, rows)) for name, (hits, rows) in known.segments.items()), key=lambda each: each[2].high)
    rows = tuple((name, count, measured(accuracy)) for name, count, accuracy in found[:_SEGMENTS])
    columns = (Column("segment"), Column("rows", Unit.COUNT), Column("accuracy", Unit.SHARE))
    return Table(f"Segments in {known.first.name}, worst first", columns, rows, max(len(found) - _SEGMENTS, 0))


def _shown(found: Estimated) -> Measured | None:
    return measured(found) if math.isfinite(found.estimate) else None


def _plots(known: _Known) -> Iterator[Plot]:
    if len(known.sources) > 1:
        yield Bars("Accuracy", {each.name: measured(known.tables[each.name].accuracy) for each in known.sources})
    shown = {row[0]: row[2] for row in _segments(known).rows} if known.segments else {}
    bars = {str(name): value for name, value in shown.items() if isinstance(value, Measured)}
    if bars:
        yield Bars("Accuracy by segment", bars)
    curves = {name: found for name, found in known.reliabilities.items() if found is not None}
    if curves:
        series = {name: tuple((each.confidence, each.right.estimate) for each in found.bins) for name, found in curves.items()}
        yield Lines("Confidence and how often it is right", "confidence", "right", series, diagonal=True)
    cut = known.confusion.among(_CONFUSED)
    if len(cut.classes) > 1:
        counts = tuple(tuple(row) for row in cut.counts.toarray().tolist())
        yield Matrix(f"Confusion in {known.first.name}", cut.classes, cut.classes, counts)
