"""Where the model fails: slices that do worse than the rest, and groups of the same wrong answer in one place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.slices import FailureGroup, WeakSlice, failure_groups, weak_slices
from detectors.terms import class_terms
from service.episodes import measured
from service.failures.clusters import clustered
from service.failures.known import known_failures
from service.records import Measured
from service.report.answers import SETS, Answers, of_set, places, returned, texts
from service.report.material import Material
from service.report.parts import Bars, Column, Figure, Missing, Section, Standing, Table, Unit
from service.screens.drawing import percent
from service.words import excerpt, words

_NAME, _TITLE = "failures", "Failures"
_GROUPS, _EXEMPLARS, _LEAST = 15, 2, 20
_TERMS, _BESIDE = 3, 500
"""Words of a group, and right answers that they are told from."""
_MOST = 20_000
"""Answers that are searched, the newest: a slice that was weak long ago may have been mended, and a search costs half a second for each
that it finds."""
_CLUSTER = "cluster"


@dataclass(frozen=True)
class _Found:
    """In the answers that say most of production."""

    answers: Answers
    place: NDArray[np.str_]
    slices: Sequence[WeakSlice]
    groups: Sequence[FailureGroup]
    single: int
    """Wrong answers that are in no group."""

    @property
    def wrong(self) -> int:
        return int((~self.answers.right).sum())

    @property
    def beyond(self) -> Measured:
        """Wrong answers beyond the rest's error rate, in all slices that are named, of all rows."""
        parts = [(each.excess.estimate, each.excess.low, each.excess.high) for each in self.slices]
        rows = np.array([each.rows for each in self.slices]) / len(self.answers)
        estimate, low, high = np.clip(rows @ np.reshape(parts, (-1, 3)), 0, 1).tolist()
        return Measured(estimate, low, high)


def failures(material: Material) -> Section:
    """Ranked by how many wrong answers each place brings beyond what the model's error rate explains."""
    looked = [returned(material), *(of_set(material, role) for role in SETS[:2])]
    known = [each for each in looked if isinstance(each, Answers)]
    missing = tuple(each for each in looked if isinstance(each, Missing))
    if not known:
        why = "Not known: no truth is known for any answer of the model."
        return Section(_NAME, _TITLE, Standing.UNKNOWN, why, tables=_kept(material), missing=missing)
    found = _found(material, known[0].newest(_MOST))
    return Section(
        _NAME,
        _TITLE,
        _standing(found),
        " ".join(_said(found)),
        todo=_todo(found),
        urgency=found.beyond.low,
        figures=tuple(_figures(found)),
        tables=(*_tables(found, texts(material, known[0])), *_kept(material)),
        plots=_plots(found),
        missing=(*missing, *_lacking(found)),
    )


def _found(material: Material, answers: Answers) -> _Found:
    place = places(material, answers)
    columns = answers.columns()
    if (place != "").any():
        columns[_CLUSTER if _CLUSTER not in columns else "place"] = place
    slices = weak_slices(~answers.right, columns, rng=np.random.default_rng(0))
    groups, single = failure_groups(answers.truth, answers.answer, place)
    return _Found(answers, place, slices, groups, single)


def _standing(found: _Found) -> Standing:
    if len(found.answers) < _LEAST:
        return Standing.UNKNOWN
    return Standing.WATCH if found.slices else Standing.FINE


def _said(found: _Found) -> Iterator[str]:
    rows = len(found.answers)
    which = "the newest " if rows == _MOST else ""
    yield f"{found.wrong:,} of {which}{rows:,} answers in {found.answers.name} are wrong ({percent(found.wrong / rows)})."
    if found.slices:
        first = found.slices[0]
        count = "One slice does" if len(found.slices) == 1 else f"{len(found.slices)} slices do"
        yield f"{count} surely worse than the rest: {first} is wrong in {percent(first.wrong / first.rows)} of {first.rows:,}."
    else:
        yield "No tag, cluster or pair of them does surely worse than the rest."
    if found.groups:
        largest = found.groups[0]
        where = f" in {largest.place}" if largest.place else ""
        yield f"The largest group of one wrong answer: {largest.wrong} × {largest.truth} answered {largest.answer}{where}."


def _todo(found: _Found) -> str:
    return f"Look at and label more of {found.slices[0]}." if found.slices else ""


def _lacking(found: _Found) -> Iterator[Missing]:
    if len(found.answers) < _LEAST:
        yield Missing("slices", f"{len(found.answers)} rows have a truth, and a slice needs {_LEAST}", "send more labels")
    if not (found.place != "").any():
        why = "it is not known in which cluster the answered samples lie"
        yield Missing("clusters of failures", why, "build a reference, or add a training set")


def _figures(found: _Found) -> Iterator[Figure]:
    yield Figure("wrong answers", float(found.wrong), Unit.COUNT)
    yield Figure("slices that do worse", float(len(found.slices)), Unit.COUNT)
    yield Figure("wrong beyond the rest's error rate", found.beyond)


def _tables(found: _Found, kept: Mapping[str, str]) -> Iterator[Table]:
    if found.slices:
        columns = (Column("slice"), Column("rows", Unit.COUNT), Column("wrong", Unit.SHARE), Column("more than elsewhere", Unit.SHARE))
        slices = tuple((str(each), each.rows, each.wrong / each.rows, measured(each.excess), each.p_value) for each in found.slices)
        yield Table("Slices that do worse", (*columns, Column("p")), slices)
    if found.groups:
        names = (Column("where"), Column("truth"), Column("answer"))
        counts = (Column("wrong", Unit.COUNT), Column("of", Unit.COUNT), Column("beyond the error rate"))
        first, left = found.groups[:_GROUPS], max(len(found.groups) - _GROUPS, 0)
        groups = tuple((*_counted(group), *told) for group, told in zip(first, _told(found, first, kept), strict=True))
        yield Table("The same wrong answer in one place", (*names, *counts, Column("words"), Column("such as")), groups, left)


def _counted(group: FailureGroup) -> tuple[str, str, str, int, int, float]:
    return (group.place, group.truth, group.answer, group.wrong, group.rows, round(group.beyond, 1))


def _told(found: _Found, groups: Sequence[FailureGroup], kept: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Of each group the words that tell it from right answers, and its newest samples, texts before ids."""
    answers = found.answers
    masks = [(answers.truth == each.truth) & (answers.answer == each.answer) & (found.place == each.place) for each in groups]
    members = [[answers.ids[at] for at in np.flatnonzero(mask)[::-1].tolist()] for mask in masks]
    beside = [answers.ids[at] for at in np.flatnonzero(answers.right)[-_BESIDE:].tolist()]
    *told, usual = ([words(kept[key]) for key in ids[:_BESIDE] if key in kept] for ids in (*members, beside))
    for ids, terms in zip(members, class_terms(told, _TERMS, [usual] * len(told)), strict=True):
        shown = sorted(ids, key=lambda key: key not in kept)[:_EXEMPLARS]
        yield ", ".join(terms), " | ".join(excerpt(kept.get(key, key), 58) for key in shown)


def _kept(material: Material) -> tuple[Table, ...]:
    """Clusters of the samples that are kept because the model fails on them: what labels told, and what people marked."""
    if material.reference is None:
        return ()
    version = material.reference.version
    clusters = clustered(known_failures(material.store, material.settings, version=version), material.reference)
    names = (Column("cluster"), Column("what"), Column("truth"), Column("answer"))
    counts = (Column("samples", Unit.COUNT), Column("distinct", Unit.COUNT), Column("marked", Unit.COUNT), Column("loss each, nats"))
    rows = tuple(
        (
            *(cluster.id, cluster.name, cluster.label or "", cluster.answer, cluster.samples, len(cluster.failures)),
            *(sum(each.mark is not None for each in cluster.failures), round(cluster.loss, 2)),
        )
        for cluster in clusters[:_GROUPS]
    )
    left = max(len(clusters) - _GROUPS, 0)
    return (Table("Failure samples of one kind, dearest first", (*names, *counts), rows, left),) if rows else ()


def _plots(found: _Found) -> tuple[Bars, ...]:
    if not found.slices:
        return ()
    return (Bars("Wrong more often than elsewhere", {str(each): measured(each.excess) for each in found.slices}),)
