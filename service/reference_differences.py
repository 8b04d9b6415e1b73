"""What one reference version has that another has not: rows, segments, the masses of its clusters, embedder, thresholds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.ports import Embedder
from service.records import Payload
from service.reference import Reference

NEW_CONTENT = "in none of these"
"""What of the later version falls into no cluster of the earlier one."""

_ROWS = 4_096
_SAME = 1e-3
"""How far two embeddings of one payload may be apart, relative to their length, and still be of one embedder."""


@dataclass(frozen=True, slots=True)
class Shares:
    """Of one thing: its share of the rows before and after."""

    name: str
    before: float
    after: float


@dataclass(frozen=True, slots=True)
class Difference:
    """From one version to another."""

    before: int
    after: int
    rows: tuple[int, int]
    shared: int
    """Rows with an id that both have."""
    segments: tuple[Shares, ...]
    clusters: tuple[Shares, ...]
    """Those of the earlier version, by its own clustering, largest move first; () where another embedder made the later one."""
    facts: Mapping[str, tuple[Any, Any]]
    """What is told of both and is not the same: embedder, model, run length, profile."""
    thresholds: Mapping[str, tuple[float, float]]
    """By run length, those that have moved."""

    def document(self) -> dict[str, Any]:
        """As JSON takes it."""
        return asdict(self)


def difference(before: Reference, after: Reference, *, same_embedder: bool) -> Difference:
    """`same_embedder`: whether embeddings of both may be held against each other, as a new head on an old embedder leaves them."""
    ids = set(before.rows.ids) - {""}
    return Difference(
        before=before.version,
        after=after.version,
        rows=(len(before.rows), len(after.rows)),
        shared=len(ids.intersection(after.rows.ids)),
        segments=tuple(_segments(before, after)),
        clusters=tuple(_clusters(before, after)) if same_embedder else (),
        facts=dict(_facts(before.manifest, after.manifest)),
        thresholds=dict(_thresholds(before.manifest["thresholds"], after.manifest["thresholds"])),
    )


def alike(one: Embedder, other: Embedder, payloads: Sequence[Payload]) -> bool:
    """Whether both embed these payloads alike, however else they differ; not known without one."""
    if not payloads or one.dimension != other.dimension:
        return False
    first, second = (embedder.embed(payloads).embedding for embedder in (one, other))
    apart, lengths = np.linalg.norm(first - second, axis=1), np.linalg.norm(first, axis=1)
    return bool((apart <= _SAME * np.maximum(lengths, 1e-6)).all())


def _segments(before: Reference, after: Reference) -> Iterator[Shares]:
    """Every segment of either, the largest move first."""
    shares = [reference.segment_shares for reference in (before, after)]
    names = sorted({*shares[0], *shares[1]})
    yield from _by_move(Shares(name, shares[0].get(name, 0.0), shares[1].get(name, 0.0)) for name in names)


def _clusters(before: Reference, after: Reference) -> Iterator[Shares]:
    """By the earlier version's clusters, and what is in none of them."""
    count = before.summarizer.clusters
    own, others = np.bincount(before.clusters, minlength=count + 1), np.zeros(count + 1, np.int64)
    for start in range(0, len(after.rows), _ROWS):
        others += _counts(before, after.rows.embeddings[start : start + _ROWS])
    names = (*before.cluster_names, NEW_CONTENT)
    masses = zip(names, own, others, strict=True)
    yield from _by_move(Shares(name, float(was / len(before.rows)), float(now / len(after.rows))) for name, was, now in masses)


def _counts(reference: Reference, embeddings: NDArray[np.float32]) -> NDArray[np.int64]:
    found = reference.summarizer.describe(embeddings).cluster
    return np.bincount(found, minlength=reference.summarizer.clusters + 1)


def _by_move(shares: Iterator[Shares]) -> list[Shares]:
    return sorted(shares, key=lambda each: -abs(each.after - each.before))


_TOLD = (
    "fingerprint", "model", "model_version", "classes", "dimension", "labelled", "supported_run_length", "resolvable_tolerance", "order",
    "profile", "inflation", "pane_samples", "seed", "channels", "source",
)  # fmt: skip


def _facts(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[tuple[str, tuple[Any, Any]]]:
    for name in _TOLD:
        if before.get(name) != after.get(name):
            yield name, (before.get(name), after.get(name))


def _thresholds(before: Mapping[str, float], after: Mapping[str, float]) -> Iterator[tuple[str, tuple[float, float]]]:
    for length in sorted(before.keys() & after.keys(), key=int):
        if before[length] != after[length]:
            yield length, (before[length], after[length])
