"""A monitor's embedding map: rows of its reference and recent samples as points of one plane, with what they can be coloured by.

The plane is the reference version's own, so that maps of one version can be laid beside each other.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from detectors.evenly import evenly
from detectors.projection import Plane
from detectors.summarizer import Located, located
from service.errors import NotFoundError
from service.once import Once
from service.ports import Store
from service.records import OTHER, Pooled, segment_of
from service.reference import Reference, References
from service.reference_rows import answer
from service.settings import MonitorSettings

MOST_POINTS = 20_000
"""Of both sides together."""

UNKNOWN = "not known"
NOVEL = "novel: near none of the reference"

View = Literal["spread", "distance"]
"""What the vertical axis shows: the second direction, or how far a sample is from all that the reference knows."""

_KEPT, _PLANES = 4, 16
_SECONDS = 30.0
"""For how long a map is given out again: what is taken out of the store is not in it for longer."""

_NOVELTY = (0.5, 0.9, 0.99)
_NOVELTY_NAMES = ("below 50 %", "50 to 90 %", "90 to 99 %", "above 99 %")


@dataclass(frozen=True, slots=True)
class MapRequest:
    """Which recent samples, and how many points of both sides together."""

    since: float = 0.0
    points: int = MOST_POINTS


@dataclass(frozen=True, slots=True, eq=False)
class Colouring:
    """A way to tell points apart: `of` (n,) is each point's place among `values`."""

    name: str
    """`side`, `cluster`, `class`, `novelty`, or `segment:<tag>`."""
    title: str
    values: tuple[str, ...]
    of: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Box:
    """A part of the map."""

    left: float
    right: float
    bottom: float
    top: float
    view: View = "spread"


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddingMap:
    """n points, those of the reference first. Distances are in multiples of what is usual among the reference's own rows."""

    monitor: str
    reference_version: int
    explained: tuple[float, float]
    """Share of the reference's spread along each direction."""
    made: float
    since: float
    ids: tuple[str, ...]
    reference: int
    """How many of the points are of the reference; the others are recent samples, oldest first."""
    rows: tuple[int, int]
    """How many rows the reference has, and recent samples there are since then that were embedded as it is."""
    across: NDArray[np.float32]
    up: NDArray[np.float32]
    distance: NDArray[np.float32]
    novelty: NDArray[np.float32]
    """Percentiles among the reference's own, 0 to 1."""
    colourings: tuple[Colouring, ...]

    def __len__(self) -> int:
        return len(self.ids)

    def colouring(self, name: str) -> Colouring:
        """NotFoundError lists those there are."""
        found = next((each for each in self.colourings if each.name == name), None)
        if found is None:
            there = ", ".join(each.name for each in self.colourings)
            raise NotFoundError(f"monitor {self.monitor}: its map can't be coloured by {name!r:.80}; it can by {there}")
        return found

    def inside(self, box: Box, *, by: str = "side", hidden: Collection[int] = ()) -> Sequence[int]:
        """The points in the box whose value of the colouring is not hidden: recent samples first, the newest on top."""
        height = self.up if box.view == "spread" else self.distance
        within = (self.across >= box.left) & (self.across <= box.right) & (height >= box.bottom) & (height <= box.top)
        within &= ~np.isin(self.colouring(by).of, list(hidden))
        at = np.flatnonzero(within)
        return [*at[at >= self.reference][::-1].tolist(), *at[at < self.reference].tolist()]


class Maps:
    """Makes the maps of all monitors, one at a time, and gives each out for a while; safe to ask from several threads."""

    def __init__(self, store: Store, references: References, monitors: Callable[[str], MonitorSettings]) -> None:
        self._store = store
        self._references = references
        self._monitors = monitors
        self._turn = threading.Lock()
        self._planes = Once(self._plane, keep=_PLANES)
        self._made = Once(self._make, keep=_KEPT)

    def of(self, monitor: str, request: MapRequest = MapRequest(), *, now: float) -> EmbeddingMap:
        """The map as it is, or was a moment ago. NotFoundError without a reference."""
        version = self._references.active(monitor)
        if version is None:
            raise NotFoundError(f"monitor {monitor}: without a reference there is no map; `driftgate reference build` makes one")
        return self._made((monitor, version, request, int(now // _SECONDS)))

    def _plane(self, key: tuple[str, int]) -> Plane:
        reference = self._references.load(*key)
        learnt = reference.rows.embeddings[~reference.model.held_out]
        return Plane.fit(learnt if len(learnt) else reference.rows.embeddings)

    def _make(self, key: tuple[str, int, MapRequest, int]) -> EmbeddingMap:
        monitor, version, request, at = key
        with self._turn:
            reference = self._references.load(monitor, version)
            recent = self._store.pool(monitor, since=request.since, payloads=False)
            recent = [row for row in recent if row.reference_version == version]
            kept = recent[-_share(len(recent), len(reference.rows), request.points) :] if recent else []
            spread = evenly(len(reference.rows), min(len(reference.rows), request.points - len(kept)))
            drawn = _Drawn(reference, spread, kept, self._monitors(monitor).classes, self._truths(monitor, kept))
            return drawn.map(self._planes((monitor, version)), request, rows=len(recent), now=at * _SECONDS)

    def _truths(self, monitor: str, rows: Sequence[Pooled]) -> Mapping[str, str]:
        known = self._store.known_truth(monitor, [row.id for row in rows])
        return {sample: judged.truth for sample, judged in known.items() if judged is not None}


def _share(own: int, others: int, most: int) -> int:
    """How many of one side are drawn: half of the room, more where the other side does not fill its half."""
    return max(1, min(own, max(most // 2, most - others)))


class _Drawn:
    """The rows of one map."""

    def __init__(
        self, reference: Reference, at: NDArray[np.int64], recent: Sequence[Pooled], classes: Sequence[str], truths: Mapping[str, str]
    ) -> None:
        self._reference = reference
        self._at = at
        self._recent = recent
        self._classes = classes
        self._truths = truths

    def map(self, plane: Plane, request: MapRequest, *, rows: int, now: float) -> EmbeddingMap:
        """All of it."""
        reference, embeddings = self._reference, self._embeddings()
        points, places = plane(embeddings), located(reference.summarizer, embeddings)
        return EmbeddingMap(
            monitor=reference.monitor,
            reference_version=reference.version,
            explained=plane.explained,
            made=now,
            since=request.since,
            ids=(*(reference.rows.ids[i] for i in self._at.tolist()), *(row.id for row in self._recent)),
            reference=len(self._at),
            rows=(len(reference.rows), rows),
            across=points[:, 0],
            up=points[:, 1],
            distance=places.distance,
            novelty=places.novelty,
            colourings=self._colourings(places),
        )

    def _embeddings(self) -> NDArray[np.float32]:
        own = np.asarray(self._reference.rows.embeddings[self._at], np.float32)
        return np.concatenate([own, *(row.embedding.astype(np.float32)[None] for row in self._recent)])

    def _colourings(self, places: Located) -> tuple[Colouring, ...]:
        sides = np.repeat(np.arange(2), [len(self._at), len(self._recent)])
        names = (*self._reference.cluster_names, NOVEL)
        novelty = np.digitize(places.novelty, _NOVELTY)
        return (
            Colouring("side", "Reference or recent", ("reference", "recent"), sides),
            Colouring("cluster", "Cluster", names, places.cluster),
            _told("class", "Class: label where it is known, else the model's answer", self._answers()),
            Colouring("novelty", "Novelty, among the reference's own", _NOVELTY_NAMES, novelty),
            *(self._segment(tag, values) for tag, values in self._reference.segment_values.items() if values),
        )

    def _answers(self) -> list[str]:
        rows, predicted = self._reference.rows, self._reference.rows.predicted
        known = [rows.labels[i] or (predicted[i] if predicted else "") for i in self._at.tolist()]
        recent = [self._truths.get(row.id) or row.label or answer(row.output, None, self._classes) for row in self._recent]
        return [each or UNKNOWN for each in (*known, *recent)]

    def _segment(self, tag: str, values: Sequence[str]) -> Colouring:
        carried = [self._reference.rows.segments[i] for i in self._at.tolist()] + [row.segments for row in self._recent]
        found = [segment_of(tags, tag, values).partition("=")[2] for tags in carried]
        return _told(f"segment:{tag}", f"Segment {tag}", ["others" if each == OTHER else each for each in found])


def _told(name: str, title: str, found: Sequence[str]) -> Colouring:
    """By a word of each point."""
    values, of = np.unique(np.array(found, dtype=object), return_inverse=True)
    return Colouring(name, title, tuple(map(str, values)), of.astype(np.int64))
