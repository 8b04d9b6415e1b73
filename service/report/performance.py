"""How well the model answers where the truth is known: by class and segment, with intervals, and whether its confidence can be believed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from detectors.accuracy import Estimated
from detectors.performance import LEAST_ROWS, MOST_SEGMENTS, Confusion, Disparity, Reliability, by_group, disparity, gap, share
from service.episodes import measured
from service.records import Measured
from service.report.answers import SETS, Answers, of_set, returned
from service.report.material import Material
from service.report.parts import Bars, Column, Figure, Lines, Matrix, Missing, Plot, Section, Standing, Table, Unit
from service.screens.drawing import interval, percent

_NAME, _TITLE = "performance", "Performance"
_CLASSES, _SEGMENTS, _CONFUSED, _NAMED = 20, 20, 12, 5
_LOOKED_INTO, _CLASSES_THERE, _NAME_CUT = 5, 10, 80
"""Segments whose classes and confusion are shown too, those that surely fare worst; and classes of each."""
_DELAY = "label delay, median and 10 to 90 %"
_MATTERS = 0.02
"""Loss of accuracy that is worth acting on."""
_UNEVEN = 0.05
"""Surely lost between segments, or from training to test: worth looking into."""


@dataclass(frozen=True, slots=True, eq=False)
class _Segment:
    """Answers that have one value of one tag."""

    name: str
    accuracy: Estimated
    table: Confusion
    delay: Measured | None


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
    def columns(self) -> Mapping[str, NDArray[np.str_]]:
        """Tag → (n,) values, of the first source."""
        return self.first.columns()

    @cached_property
    def segments(self) -> Mapping[str, Mapping[str, tuple[int, int]]]:
        """Tag → value → right answers and rows."""
        return {tag: by_group(self.first.right, column) for tag, column in self.columns.items()}

    @cached_property
    def disparities(self) -> Sequence[Disparity]:
        """The largest gap of each tag, largest first; their intervals hold together."""
        groups = ({f"{tag}={value}": of for value, of in values.items()} for tag, values in self.segments.items())
        gaps = [disparity(each, among=len(self.segments)) for each in groups]
        return sorted((each for each in gaps if each is not None), key=lambda each: -each.gap.low)

    @cached_property
    def worst(self) -> Sequence[_Segment]:
        """The segments that surely fare worst."""
        found = [(share(*of), tag, value) for tag, values in self.segments.items() for value, of in values.items()]
        return [self._segment(*each) for each in sorted(found, key=lambda each: each[0].high)[:_SEGMENTS]]

    def _segment(self, accuracy: Estimated, tag: str, value: str) -> _Segment:
        inside, of = self.columns[tag] == value, self.first
        table = Confusion.of(of.truth[inside], of.answer[inside])
        return _Segment(f"{tag}={value}", accuracy, table, _delay(of.delay[inside] if len(of.delay) else of.delay))

    @property
    def looked_into(self) -> Sequence[_Segment]:
        """Of them those that are shown by class: large enough, and not all there is."""
        return [each for each in self.worst if LEAST_ROWS <= each.table.rows < len(self.first)][:_LOOKED_INTO]


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
    """The first thing to do, and which share of the traffic it is surely about: what was picked for being large is estimated too large."""
    if known.fallen is not None and _surely_fallen(known):
        return "Retrain on what came back: production is answered worse than the golden set promises.", known.fallen.low
    if known.disparities and known.disparities[0].gap.low > _UNEVEN:
        first = known.disparities[0]
        return f"Label and train on more of {first.worst}.", first.gap.low * first.worst_rows / len(known.first)
    if known.memorised is not None and known.memorised.low > _UNEVEN:
        return "Add training rows or regularise: the model knows its training set better than it answers.", known.memorised.low
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
    many = sum(each.passed_over for each in known.disparities)
    if many:
        why = f"of each tag the {MOST_SEGMENTS} values with most labelled rows are compared"
        yield Missing(f"gaps to {many:,} segments", why, "send a tag of fewer values with the samples")
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
    delay = _delay(known.first.delay)
    if delay is not None:
        yield Figure(_DELAY, delay, Unit.SECONDS)


def _tables(known: _Known) -> Iterator[Table]:
    yield _sources(known)
    yield _classes(known.confusion, known.first.name, _CLASSES)
    if known.worst:
        yield _segments(known)
    if known.disparities:
        columns = (Column("best"), Column("worst"), Column("gap", Unit.SHARE))
        rows = tuple((each.best, each.worst, measured(each.gap)) for each in known.disparities[:_SEGMENTS])
        yield Table("Gaps between segments, by tag", columns, rows, max(len(known.disparities) - _SEGMENTS, 0))
    for one in known.looked_into:
        yield _classes(one.table, f"{known.first.name}, {one.name[:_NAME_CUT]}", _CLASSES_THERE)


def _sources(known: _Known) -> Table:
    names = ("accuracy", "mean recall", "mean F1", "calibration error", "of it by chance")
    columns = (Column("where"), Column("rows", Unit.COUNT), *(Column(name, Unit.SHARE) for name in names))
    rows = []
    for each in known.sources:
        table, reliable = known.tables[each.name], known.reliabilities[each.name]
        off = (reliable.error, reliable.by_chance) if reliable is not None else (None, None)
        rows.append((each.name, len(each), *map(measured, (table.accuracy, *table.macro())), *off))
    return Table("Accuracy", columns, tuple(rows))


def _classes(table: Confusion, where: str, most: int) -> Table:
    """Those first that are surely worst."""
    found = sorted(table.by_class(), key=lambda each: (each.f1.high, each.f1.estimate))
    columns = (Column("class"), Column("rows", Unit.COUNT), Column("answers", Unit.COUNT))
    shares = tuple(Column(title, Unit.SHARE) for title in ("recall", "precision", "F1"))
    rows = tuple((each.name, each.rows, each.answers, *map(_shown, (each.recall, each.precision, each.f1))) for each in found[:most])
    return Table(f"Classes in {where}, worst first", (*columns, *shares), rows, max(len(found) - most, 0))


def _segments(known: _Known) -> Table:
    names = (Column("segment"), Column("rows", Unit.COUNT))
    shares = tuple(Column(title, Unit.SHARE) for title in ("accuracy", "mean recall", "mean F1"))
    timed = (Column(_DELAY, Unit.SECONDS),) if len(known.first.delay) else ()
    rows = []
    for each in known.worst:
        figures = map(measured, (each.accuracy, *each.table.macro()))
        rows.append((each.name, each.table.rows, *figures, *((each.delay,) if timed else ())))
    total = sum(map(len, known.segments.values()))
    return Table(f"Segments in {known.first.name}, worst first", (*names, *shares, *timed), tuple(rows), max(total - _SEGMENTS, 0))


def _delay(seconds: NDArray[np.float64]) -> Measured | None:
    """Median, and what 10 and 90 % are within."""
    known = seconds[np.isfinite(seconds)]
    if not len(known):
        return None
    low, middle, high = (float(value) for value in np.quantile(known, [0.1, 0.5, 0.9]))
    return Measured(middle, low, high)


def _shown(found: Estimated) -> Measured | None:
    return measured(found) if math.isfinite(found.estimate) else None


def _plots(known: _Known) -> Iterator[Plot]:
    if len(known.sources) > 1:
        yield Bars("Accuracy", {each.name: measured(known.tables[each.name].accuracy) for each in known.sources})
    if known.worst:
        yield Bars("Accuracy by segment", {each.name: measured(each.accuracy) for each in known.worst})
    curves = {name: found for name, found in known.reliabilities.items() if found is not None}
    if curves:
        series = {name: tuple((each.confidence, each.right.estimate) for each in found.bins) for name, found in curves.items()}
        yield Lines("Confidence and how often it is right", "confidence", "right", series, diagonal=True)
    yield from _confused(known.confusion, known.first.name)
    for one in known.looked_into:
        yield from _confused(one.table, f"{known.first.name}, {one.name[:_NAME_CUT]}")


def _confused(table: Confusion, where: str) -> Iterator[Matrix]:
    """The classes that are most often confused."""
    cut = table.among(_CONFUSED)
    if len(cut.classes) > 1:
        yield Matrix(f"Confusion in {where}", cut.classes, cut.classes, tuple(tuple(row) for row in cut.counts.toarray().tolist()))
