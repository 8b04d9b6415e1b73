"""What one side of a monitor has and another lacks, put together into places with a name, a share and samples to look at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from detectors.coverage import Coverage, clumps
from detectors.evenly import evenly
from detectors.performance import share
from detectors.terms import class_terms
from service.datasets import DataSet
from service.episodes import measured
from service.records import Measured
from service.reference_rows import answer
from service.report.material import TEST, Material, Side
from service.report.parts import Column, Missing, Table, Unit
from service.screens.drawing import percent
from service.words import ASKED, excerpt, place_names, words

SHOWN = 15
"""Places in a list."""
ACT, WATCH = 0.05, 0.01
"""Shares of the traffic that a set surely lacks, from which its owner should act, or watch it."""

BESIDE = 1_000
"""Rows that places are told from."""

_CUT, _READ, _EXEMPLARS, _LEAST = 120, 1_000, 3, 3


@dataclass(frozen=True, slots=True)
class Content:
    """What is shown of a row: the text '' where there is none, the label as far as it is known, and what the model answered."""

    id: str
    text: str
    label: str
    answered: str


@dataclass(frozen=True, slots=True)
class Gap:
    """A place that the other side hardly reaches."""

    name: str
    share: Measured
    """Of the side that has it."""
    density: float
    """Of the other side there, over that of the side that has it: below 0.2."""
    exemplars: tuple[Content, ...]
    """Most typical first."""


@dataclass(frozen=True, slots=True)
class Class:
    """How much of one class is not covered, all places of it together."""

    name: str
    share: Measured
    """Of the side that has it."""
    of_class: Measured
    """Of the class."""


@dataclass(frozen=True, slots=True)
class Gaps:
    """Worst first; places of fewer than three rows stand in no list."""

    listed: tuple[Gap, ...]
    left_out: int = 0
    classes: tuple[Class, ...] = ()
    """None where the class of fewer than half of the rows is known."""

    @property
    def said(self) -> str:
        """What lacks most, by class where that is known, as one gap may lie in many places."""
        if self.classes:
            first = self.classes[0]
            much = f"{percent(first.share.estimate)} of the traffic, {percent(first.of_class.estimate)} of that class"
            return f"Most of what lacks is “{first.name}”: {much}."
        return (
            f"What lacks most is “{self.listed[0].name}”: {percent(self.listed[0].share.estimate)} of the traffic." if self.listed else ""
        )


def gaps(material: Material, of: Side, by: Side) -> Gaps:
    """What `by` lacks of `of`; nothing where that can't be told."""
    cover, rows = material.cover(of, by), material.vectors(of)
    if isinstance(cover, Missing) or isinstance(rows, Missing):
        return Gaps(())
    drawn = material.drawn(of)
    found = [clump for clump in clumps(rows[drawn], cover) if len(clump) >= _LEAST]
    first = found[:SHOWN]
    central = [clump[_typical(rows[drawn[clump]])] for clump in first]
    names = _names(material, of, [drawn[clump] for clump in central], drawn[cover.covered])
    listed = [
        Gap(name, share_of(len(clump), len(drawn)), _density(cover, clump), tuple(contents(material, of, drawn[clump[:_EXEMPLARS]])))
        for name, clump in zip(names, central, strict=True)
    ]
    classes = _by_class(contents(material, of, drawn), cover.covered) if listed and of == "production" else ()
    return Gaps(tuple(listed), len(found) - len(first), classes)


def gap_table(title: str, found: Gaps, *, of: str, by: str) -> Iterator[Table]:
    """One, if there is anything to list. `of`, `by`: the sides as a reader calls them."""
    if found.listed:
        columns = (Column("what"), Column(f"share of {of}", Unit.SHARE), Column(f"density of {by}", Unit.SHARE), Column("such as"))
        lines = tuple((gap.name, gap.share, gap.density, such_as(gap.exemplars)) for gap in found.listed)
        yield Table(title, columns, lines, found.left_out)
    if found.classes:
        heads = (Column("class"), Column(f"not covered, of {of}", Unit.SHARE), Column("not covered, of the class", Unit.SHARE))
        each = tuple((one.name, one.share, one.of_class) for one in found.classes[:SHOWN])
        yield Table(f"{title}, by class", heads, each, len(found.classes) - len(each))


def such_as(exemplars: Sequence[Content]) -> str:
    """The texts of samples, or their ids where there are none."""
    each = _CUT // max(len(exemplars), 1) - 3
    return " · ".join(excerpt(content.text or content.id, each) for content in exemplars)


def share_of(count: int, n: int) -> Measured:
    """A count of n with its 95 % interval."""
    return measured(share(count, n))


def contents(material: Material, side: Side, rows: NDArray[np.int64]) -> list[Content]:
    """Of some rows of a side, by their places in its embeddings."""
    if side == "production":
        classes = material.settings.classes
        kept = [material.production[row] for row in rows]
        return [
            Content(each.id, _text(each.payload), each.label or material.truths.get(each.id, ""), answer(each.output, None, classes))
            for each in kept
        ]
    if side == "reference":
        if material.reference is None:
            return []
        known = material.reference.rows
        return [Content(known.ids[row], known.texts[row], known.labels[row] or "", "") for row in rows]
    parts = [found.rows for role in (TEST if side == "test" else (side,)) if isinstance(found := material.data_set(role), DataSet)]
    held = parts[0] if len(parts) == 1 else tuple(chain.from_iterable(parts))
    samples = [held[row].sample for row in rows]
    return [Content(sample.id, _text(sample.payload), sample.label or "", "") for sample in samples]


def names_of(places: Sequence[Sequence[Content]], beside: Sequence[Content]) -> list[str]:
    """Of places of one list: the label that half of a place's rows carry, else the words that tell it from what is `beside`, else what the
    model answers there."""
    usual = _words(beside)
    terms = class_terms([_words(place) for place in places], ASKED, [usual] * len(places))
    return place_names(
        [_commonest([content.label for content in place]) for place in places], terms, [_otherwise(place) for place in places]
    )


def _words(found: Sequence[Content]) -> list[list[str]]:
    return [words(content.text) for content in found if content.text]


def _otherwise(place: Sequence[Content]) -> str:
    """What a place without label and words is called."""
    if answered := _commonest([content.answered for content in place]):
        return f"answered as {answered}"
    return f"“{excerpt(place[0].text)}”" if place[0].text else f"samples like {place[0].id}"


# --- parts ----------------------------------------------------------------------------------------------------------------


def _names(material: Material, side: Side, places: Sequence[NDArray[np.int64]], rest: NDArray[np.int64]) -> list[str]:
    """By the words that tell each place from what is covered."""
    beside = rest[evenly(len(rest), BESIDE)]
    return names_of([contents(material, side, place) for place in places], contents(material, side, beside))


def _by_class(found: Sequence[Content], covered: NDArray[np.bool_]) -> tuple[Class, ...]:
    """By label, or by what the model answered; classes of which fewer than three rows lack are passed over."""
    called = [content.label or content.answered for content in found]
    lacking = Counter(name for name, well in zip(called, covered, strict=True) if name and not well)
    if 2 * lacking.total() < int((~covered).sum()):
        return ()
    sizes, n = Counter(called), len(called)
    return tuple(Class(name, share_of(k, n), share_of(k, sizes[name])) for name, k in lacking.most_common() if k >= _LEAST)


def _commonest(values: Sequence[str]) -> str:
    """Of half of them at least, else ''."""
    value, count = Counter(values).most_common(1)[0]
    return value if 2 * count >= len(values) else ""


def _typical(rows: NDArray[np.float32]) -> NDArray[np.int64]:
    """Order of rows, those nearest to their mean first."""
    return np.argsort(np.square(rows - rows.mean(0)).sum(1), kind="stable")


def _density(cover: Coverage, clump: NDArray[np.int64]) -> float:
    return float(np.median(cover.density[clump]))


def _text(payload: object) -> str:
    return payload[:_READ] if isinstance(payload, str) else ""
