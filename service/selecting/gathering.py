"""What there is to choose from: recent samples, the reserve and imported pools, once each, without what is known, asked or held back for
testing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from detectors.evenly import evenly
from detectors.selection.duplicates import merge_duplicates
from detectors.selection.kernel import Scales, blocks, directions
from service.datasets import payload_digest
from service.records import Pooled
from service.reference import Reference

_MOST_SCALED = 5_000
"""Reference rows, evenly spread, that say what near-duplicates are."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of the rows that were looked at."""

    recent: int = 0
    """Of the slice, among the recent samples."""
    reserved: int = 0
    """Further ones that the reserve kept."""
    imported: int = 0
    """Further ones of pools from files."""
    labelled: int = 0
    """Left out because they brought a label."""
    asked: int = 0
    """Left out because they, or near-duplicates of theirs, went to annotators before."""
    held_back: int = 0
    """Left out because they are too close to golden or challenge rows."""
    duplicates: int = 0
    """Near-duplicates that another row stands for."""
    distinct: int = 0
    """What is left to choose from."""


@dataclass(frozen=True, slots=True, eq=False)
class Gathered:
    """Distinct rows, oldest first, each with the ids of the near-duplicates that it stands for."""

    rows: tuple[Pooled, ...]
    embeddings: NDArray[np.float32]
    """(n, d)."""
    copies: tuple[tuple[str, ...], ...]
    weights: NDArray[np.float32]
    """(n,) samples that each stands for, itself included."""
    counts: Counts
    weak: tuple[str, ...] = ()
    """The noisy label that files give each row or most of its near-duplicates, '' for none; () where there are no files."""

    def take(self, kept: NDArray[np.int64]) -> Gathered:
        """Some of the rows."""
        at = kept.tolist()
        rows, copies = tuple(self.rows[i] for i in at), tuple(self.copies[i] for i in at)
        weak = tuple(self.weak[i] for i in at) if self.weak else ()
        return Gathered(rows, self.embeddings[kept], copies, self.weights[kept], self.counts, weak)


@dataclass(frozen=True, slots=True, eq=False)
class Likeness:
    """What near-duplicates are, by how close the rows of a reference lie to each other."""

    centre: NDArray[np.float32]
    limit: float

    @classmethod
    def of(cls, reference: Reference) -> Likeness:
        """As close as the reference's own rows are almost never."""
        rows = reference.rows.embeddings
        spread = evenly(len(rows), _MOST_SCALED)
        centre = reference.summarizer.centre
        return cls(centre, Scales.fit(directions(np.asarray(rows[spread], np.float32), centre)).duplicate)

    def stands(self, rows: NDArray[np.float32]) -> NDArray[np.int64]:
        """For each of (n, d) rows the row that stands for it."""
        return merge_duplicates(directions(rows, self.centre), self.limit)

    def near(self, rows: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Which of (n, d) rows are near-duplicates of any of (m, d) others."""
        if not len(rows) or not len(others):
            return np.zeros(len(rows), np.bool_)
        unit, known = directions(rows, self.centre), directions(others, self.centre)
        found = [(known @ unit[part].T >= self.limit).any(0) for part in blocks(np.arange(len(unit)))]
        return np.concatenate(found)


def embeddings_of(rows: Sequence[Pooled], dimension: int) -> NDArray[np.float32]:
    """(n, d), also of no rows."""
    return np.stack([row.embedding for row in rows]).astype(np.float32) if rows else np.zeros((0, dimension), np.float32)


def gather(
    recent: Iterable[tuple[Pooled, int]],
    reserved: Iterable[tuple[Pooled, int]],
    likeness: Likeness,
    *,
    asked: tuple[Collection[str], NDArray[np.float32]],
    held_back: tuple[Collection[str], NDArray[np.float32]],
    imported: Iterable[Pooled] = (),
) -> Gathered:
    """Rows of the slice, each with how many samples it stands for, as distinct ones.

    What a reserved row stands for may be among the recent samples too: of a group that has both, the larger of the two numbers counts.

    asked : ids that went to annotators, and (a, d) embeddings of theirs as far as they are kept.
    held_back : digests of contents, and (h, d) embeddings, that models are judged by.
    imported : rows of files, whose labels are noisy ones.
    """
    ring = {row.id: (row, count) for row, count in recent}
    reserve = {row.id: (row, count) for row, count in reserved}
    kept = {name: each for name, each in reserve.items() if name not in ring}
    given = {row.id: row for row in imported}
    files = {name: (replace(row, label=None), 1) for name, row in given.items() if name not in ring and name not in kept}
    found = [each for origin in (ring, kept, files) for each in sorted(origin.values(), key=lambda of: of[0].time)]
    open_rows = [row for row, _ in found if row.label is None]
    rows = [row for row in open_rows if row.id not in asked[0]]
    counted = np.array([[source[row.id][1] if row.id in source else 0 for source in (ring | files, reserve | files)] for row in rows])
    vectors = embeddings_of(rows, len(likeness.centre))
    again = likeness.near(vectors, asked[1])
    leaks = (likeness.near(vectors, held_back[1]) | _repeating(rows, held_back[0])) & ~again
    usable = np.flatnonzero(~again & ~leaks)
    merged = _merged([rows[i] for i in usable.tolist()], vectors[usable], counted.reshape(-1, 2)[usable], likeness)
    counts = Counts(
        recent=len(ring),
        reserved=len(kept),
        imported=len(files),
        labelled=len(found) - len(open_rows),
        asked=len(open_rows) - len(rows) + int(again.sum()),
        held_back=int(leaks.sum()),
        duplicates=len(usable) - len(merged.rows),
        distinct=len(merged.rows),
    )
    return replace(merged, counts=counts, weak=_weak(merged, {name: row.label for name, row in given.items()}))


def _repeating(rows: Sequence[Pooled], contents: Collection[str]) -> NDArray[np.bool_]:
    """Which rows have one of these contents."""
    if not contents:
        return np.zeros(len(rows), np.bool_)
    return np.array([row.payload is not None and payload_digest(row.payload) in contents for row in rows], np.bool_)


def _merged(rows: Sequence[Pooled], vectors: NDArray[np.float32], counted: NDArray[np.int64], likeness: Likeness) -> Gathered:
    """One of each group, the first as they are given; the groups' rows oldest first. counted : (n, 2) two views of what each stands for."""
    if not rows:
        return Gathered((), vectors, (), np.zeros(0, np.float32), Counts())
    leaders, group = np.unique(likeness.stands(vectors), return_inverse=True)
    copies: list[list[str]] = [[] for _ in leaders]
    for place, of in enumerate(group.tolist()):
        if place != leaders[of]:
            copies[of].append(rows[place].id)
    weights = np.max([np.bincount(group, view) for view in counted.T], axis=0).astype(np.float32)
    merged = Gathered(tuple(rows[i] for i in leaders.tolist()), vectors[leaders], tuple(map(tuple, copies)), weights, Counts())
    return merged.take(np.argsort([row.time for row in merged.rows], kind="stable"))


def _weak(merged: Gathered, labels: Mapping[str, str | None]) -> tuple[str, ...]:
    """What most of each group are said to be, by (id → label) of the files."""
    if not any(labels.values()):
        return ()
    groups = [(row.id, *copies) for row, copies in zip(merged.rows, merged.copies, strict=True)]
    said = [Counter(label for each in group if (label := labels.get(each))) for group in groups]
    return tuple(each.most_common(1)[0][0] if each else "" for each in said)
