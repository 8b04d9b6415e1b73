"""One stream's worth of an experiment: a reference, traffic without drift, and each drift that the set allows."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from benchmarks.grid.worlds import SESSIONS, Altered, Rows, World, world

Order: TypeAlias = Literal["iid", "time"]

VERSION = "1"
"""Of what is drawn; a change makes cached paths stale."""

WARM_UP, DRIFTED = 512, 5_000
"""Rows of a cell: without drift first, then at most so many with it."""

SHARES = (0.05, 0.1, 0.2, 0.5, 1.0)
MIXED_IN = 0.2
"""Share of new rows in the cells that have no share in their name."""

MORE_OF_ONE = 0.25
"""By how much the share of the commonest topic rises when the mix changes."""

_LEAST = 500
"""A cell with fewer drifted rows says nothing about misses."""

NULL = 12_000
"""Most rows of traffic without drift in a trial."""

SESSION_REFERENCE, SESSION_ROWS = 8_000, 40
"""Rows of a reference of dependent traffic, and of a session in the mean."""


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """Embeddings (n, d) float32; no row of the reference comes in a stream, and none comes twice in one stream."""

    reference: Rows
    null: Rows
    cells: Mapping[str, Rows]
    """By name; the drift begins at row `WARM_UP`."""
    topics: NDArray[np.object_]
    """(n,) of the reference, for methods that watch a model's predictions."""
    order: Order = "iid"
    """Of the reference."""

    def streams(self) -> Iterator[tuple[str, Rows]]:
        """The stream without drift, named "null", and all cells."""
        yield "null", self.null
        yield from self.cells.items()


def trial(name: str, seed: int) -> Trial:
    """A fresh split of a set: the same for the same seed."""
    drawn = world(name, seed)
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    if name in SESSIONS:
        return _session_trial(drawn, rng)
    order = rng.permutation(len(drawn.ordinary))
    reference, rest = order[: drawn.reference], order[drawn.reference :]
    cells = {cell: rows for cell, rows in _Drawing(drawn, rest, rng).cells() if len(rows) >= WARM_UP + _LEAST}
    return Trial(drawn.ordinary[reference], drawn.ordinary[rest[:NULL]], cells, drawn.topic[reference])


class _Drawing:
    """Streams from the ordinary rows that a reference left."""

    def __init__(self, world: World, rest: NDArray[np.int64], rng: np.random.Generator) -> None:
        self._world, self._rest, self._rng = world, rest, rng

    def cells(self) -> Iterator[tuple[str, Rows]]:
        """Whatever the set allows."""
        world = self._world
        for share in SHARES:
            yield f"topic {share:.0%}", self._new(world.far, share)
        yield f"near topic {MIXED_IN:.0%}", self._new(world.near, MIXED_IN)
        for name, rows in world.others.items():
            yield f"{name} {MIXED_IN:.0%}", self._new(rows, MIXED_IN)
        if world.foreign is not None:
            yield f"language {MIXED_IN:.0%}", self._altered(world.foreign, MIXED_IN)
        for name, altered in world.altered.items():
            yield name, self._altered(altered, 1.0)
        if world.longest is not None:
            yield "length", self._only(world.longest)
        yield "mix", self._mix()
        if world.later is not None:
            yield "later", np.concatenate([world.ordinary[self._rng.permutation(self._rest)[:WARM_UP]], world.later[:DRIFTED]])

    def _new(self, new: Rows, share: float) -> Rows:
        rest = self._rng.permutation(self._rest)
        return self._stream(rest[:WARM_UP], rest[WARM_UP:], self._rng.permutation(new), share)

    def _altered(self, altered: Altered, share: float) -> Rows:
        """Rows that the reference left, perturbed; the same rows do not come unperturbed as well."""
        rest = self._rng.permutation(self._rest)
        left = rest[WARM_UP:]
        chosen = self._rng.permutation(np.flatnonzero(np.isin(altered.source, left)))[: int(1.2 * share * DRIFTED)]
        ordinary = left[~np.isin(left, altered.source[chosen])]
        return self._stream(rest[:WARM_UP], ordinary, altered.embedding[chosen], share)

    def _only(self, among: NDArray[np.bool_]) -> Rows:
        rest = self._rng.permutation(self._rest)
        left = rest[WARM_UP:]
        return self._stream(rest[:WARM_UP], left[:0], self._world.ordinary[left[among[left]]], 1.0)

    def _mix(self) -> Rows:
        """More of the commonest topic (the first of equals)."""
        names, counts = np.unique(self._world.topic, return_counts=True)
        commonest = self._world.topic == names[counts.argmax()]
        rest = self._rng.permutation(self._rest)
        left = rest[WARM_UP:]
        more, fewer = left[commonest[left]], left[~commonest[left]]
        return self._stream(rest[:WARM_UP], fewer, self._world.ordinary[more], float(commonest.mean()) + MORE_OF_ONE)

    def _stream(self, warm: NDArray[np.int64], ordinary: NDArray[np.int64], new: Rows, share: float) -> Rows:
        """Each drifted row is new with probability `share`, until either kind runs out."""
        fresh = self._rng.random(DRIFTED) < share
        enough = (np.cumsum(fresh) <= len(new)) & (np.cumsum(~fresh) <= len(ordinary))
        fresh = fresh[: DRIFTED if enough.all() else int(enough.argmin())]
        rows = np.empty((WARM_UP + len(fresh), new.shape[1]), np.float32)
        rows[:WARM_UP] = self._world.ordinary[warm]
        drifted = rows[WARM_UP:]
        drifted[fresh], drifted[~fresh] = new[: fresh.sum()], self._world.ordinary[ordinary[: (~fresh).sum()]]
        return rows


def _session_trial(world: World, rng: np.random.Generator) -> Trial:
    """Reference and stream are one sequence of sessions; when content is new, whole sessions are."""
    order = sessions(world.topic, rng)
    reference, rest = order[:SESSION_REFERENCE], order[SESSION_REFERENCE:]
    null = rest[: min(NULL, len(rest))]
    cells = {}
    for share in (0.1, 0.2, 0.5):
        rows = world.ordinary[rest[: WARM_UP + DRIFTED]]
        starts = np.cumsum(rng.geometric(1 / SESSION_ROWS, len(rows)))
        session = np.searchsorted(starts, np.arange(len(rows)), side="right")
        fresh = np.flatnonzero((rng.random(len(rows)) < share)[session] & (np.arange(len(rows)) >= WARM_UP))
        new = rng.permutation(len(world.far))[: len(fresh)]
        rows[fresh[: len(new)]] = world.far[new]
        cells[f"topic {share:.0%}"] = rows[: fresh[len(new)] if len(new) < len(fresh) else len(rows)]
    return Trial(world.ordinary[reference], world.ordinary[null], cells, world.topic[reference], "time")


def sessions(topic: NDArray[np.object_], rng: np.random.Generator) -> NDArray[np.int64]:
    """An order of all rows in sessions of one topic each, of geometric length; a topic comes as often as rows of it are left."""
    left = {name: rng.permutation(np.flatnonzero(topic == name)) for name in np.unique(topic)}
    parts = []
    while left:
        sizes = np.array([len(rows) for rows in left.values()])
        name = list(left)[rng.choice(len(left), p=sizes / sizes.sum())]
        length = int(rng.geometric(1 / SESSION_ROWS))
        parts.append(left[name][:length])
        left[name] = left[name][length:]
        if not len(left[name]):
            del left[name]
    return np.concatenate(parts)
