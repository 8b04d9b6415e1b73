"""Which golden rows may say what: one of each group of near-duplicates, and of rows that judged models before ever less.

A look at rows ends in one of a few outcomes, which is all that whoever makes the next model can have learnt of them. Looks count by
rows: a part of which a single row was looked at has been looked at, whatever version it stands in. Rows that came since can be drawn
by themselves, at the error of a first look; which of the two allows more is decided by counts alone, before anything is looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.comparison import allowed_flips, spent
from detectors.noninferiority import noninferior_rows
from detectors.selection.duplicates import duplicate_groups
from service.datasets import DataSet, DataSets, Part, Row, payload_digest
from service.errors import ArtefactError, NotFoundError
from service.growing import Growth, require_kept
from service.ports import Embedder
from service.records import Sample
from service.settings import MonitorSettings

Contents = frozenset[str] | None
"""Digests of the rows that were looked at; None where nobody knows any more, which counts as all of them."""


@dataclass(frozen=True, slots=True)
class Look:
    """A look at one part of a golden version; `fresh`: at those of its rows alone that no look before it had met."""

    version: int
    fresh: bool = False


@dataclass(frozen=True, slots=True)
class Promise:
    """A rate that is surely not exceeded but with probability `delta`; a look at rows tells one of so many `outcomes`."""

    rate: float
    delta: float
    outcomes: int
    flips: float | None = None
    """Share of rows that are expected to change sides, where the rate is of a fall in accuracy; None where it is of rows that break."""

    def error(self, use: int) -> float:
        """What the `use`-th look at the same rows may spend of δ."""
        return spent(self.delta, use, outcomes=self.outcomes)

    def worth(self, rows: int, use: int) -> float:
        """How much of the rate these rows would let pass at this look, in shares; negative where they can't pass at all. Of a fall in
        accuracy: how much of the rows that it takes they are."""
        if self.flips is not None:
            return rows / noninferior_rows(self.rate, flips=self.flips, error=self.error(use))
        flips = allowed_flips(rows, self.rate, error=self.error(use)) if rows else -1
        return (flips + 1) / rows if flips >= 0 else rows / 1e9 - 1


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """Rows to look at, one for each group of near-duplicates; this is their `use`-th look."""

    rows: DataSet
    use: int
    fresh: bool


def contents_of(data_sets: DataSets, monitor: str, part: Part, looks: Iterable[Look]) -> list[Contents]:
    """The rows that each look met, oldest first."""
    found: list[Contents] = []
    for look in looks:
        try:
            rows = data_sets.load(monitor, "golden", look.version).part(part).rows
        except (NotFoundError, ArtefactError):
            rows = None
        before = frozenset().union(*(met for met in found if met)) if look.fresh else frozenset()
        found.append(None if rows is None else frozenset(row.digest for row in rows) - before)
    return found


def draw(golden: DataSet, part: Part, met: Sequence[Contents], promise: Promise, told: Contents = frozenset()) -> Drawn:
    """The part's rows for the next look, all of them or the fresh ones: whichever allow more; `told` ones never again."""
    groups = duplicate_groups(golden.embeddings)
    here = np.array([row.part == part for row in golden.rows], bool)
    digests = [row.digest for row in golden.rows]
    here &= False if told is None else ~np.isin(groups, groups[[digest in told for digest in digests]])
    own = {digest for digest, inside in zip(digests, here.tolist(), strict=True) if inside}
    looks = 1 + sum(each is None or not own.isdisjoint(each) for each in met)
    whole = Drawn(_only(golden, _first(groups, here)), looks, fresh=False)
    if None in met or looks == 1:
        return whole
    known = frozenset().union(*(each for each in met if each))
    touched = np.unique(groups[[digest in known for digest in digests]])
    fresh = Drawn(_only(golden, _first(groups, here & ~np.isin(groups, touched))), 1, fresh=True)
    return max(whole, fresh, key=lambda drawn: promise.worth(len(drawn.rows.rows), drawn.use))


def representatives(golden: DataSet) -> DataSet:
    """One row of each group of near-duplicates: copies of one row say no more than it does."""
    return _only(golden, _first(duplicate_groups(golden.embeddings), np.ones(len(golden.rows), bool)))


def join_select(data_sets: DataSets, settings: MonitorSettings, challenge: DataSet, embedder: Embedder, *, now: float) -> DataSet | None:
    """After a promotion: a golden version with the challenge rows in its *select* part, where they promise nothing. None without golden."""
    require_kept(settings)
    return _extended(data_sets, settings, challenge.samples, embedder, ("select",), now)


def refill(data_sets: DataSets, settings: MonitorSettings, fresh: Sequence[Sample], embedder: Embedder, *, now: float) -> DataSet | None:
    """A golden version with fresh random rows in *calibrate* and *verify*, by turns of their hash. None without golden."""
    return _extended(data_sets, settings, fresh, embedder, ("calibrate", "verify"), now)


def _extended(
    data_sets: DataSets, settings: MonitorSettings, new: Sequence[Sample], embedder: Embedder, among: Sequence[Part], now: float
) -> DataSet | None:
    """Repeating it finds the version there and makes no other."""
    if not data_sets.versions(settings.name, "golden"):
        return None

    def joined(golden: DataSet | None) -> Sequence[Sample] | None:
        had = golden.rows if golden else ()
        ids, contents = {row.sample.id for row in had}, {row.digest for row in had}
        labelled = (sample for sample in new if sample.label is not None and sample.id not in ids)
        added = [sample for sample in labelled if payload_digest(sample.payload) not in contents]
        return [*(row.sample for row in had), *added] if added else None

    return Growth(data_sets, settings, "golden", embedder, among).grown(joined, now=now)


def _first(groups: NDArray[np.int64], kept: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The first kept row of each group."""
    places = np.flatnonzero(kept)
    _, first = np.unique(groups[places], return_index=True)
    return np.sort(places[first])


def _only(rows: DataSet, kept: NDArray[np.int64]) -> DataSet:
    logits = None if rows.logits is None else rows.logits[kept]
    return DataSet(rows.manifest, tuple(rows.rows[i] for i in kept.tolist()), rows.embeddings[kept], logits)


def unmet(rows: Sequence[Row], looks: Sequence[Contents]) -> list[Row]:
    """Those that no look has met."""
    if None in looks:
        return []
    known = frozenset[str]().union(*(each for each in looks if each))
    return [row for row in rows if row.digest not in known]
