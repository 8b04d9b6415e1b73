"""What is searched: recent samples, the reserve and pools that were imported, narrowed to what was asked for."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from service.datasets import DataSets
from service.errors import InputError
from service.labelled import pooled_of
from service.ports import Store
from service.records import Pooled, belongs
from service.reference import Reference
from service.reference_rows import answer, sureness

MOST_ROWS = 1_000_000
"""That are searched."""

_SETS = 5
"""Pool sets that are read, the newest."""


@dataclass(frozen=True, slots=True)
class Narrowing:
    """Which samples may answer; what is None narrows nothing."""

    segment: str | None = None
    """`tag=value`."""
    since: float | None = None
    until: float | None = None
    label: str | None = None
    """Their own, or the truth that came later."""
    predicted: str | None = None
    confidence: tuple[float, float] | None = None
    """Lowest and highest of the model's largest probability."""

    def __post_init__(self) -> None:
        if self.segment is not None and not all(self.segment.partition("=")):
            raise InputError("segment", f"segment {self.segment!r:.80}: write tag=value, like locale=de")
        if self.since is not None and self.until is not None and self.since >= self.until:
            raise InputError("time", "since must lie before until")
        low, high = self.confidence or (0.0, 1.0)
        if not 0 <= low <= high <= 1:
            raise InputError("confidence", f"confidence {low:g}:{high:g}: lowest and highest, between 0 and 1, like 0.5:0.9")


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """A sample that may answer."""

    row: Pooled
    place: str
    """`recent`, `reserve`, `pool set 3`."""
    count: int = 1
    """Near-duplicates that the reserve merged into it, itself included."""


def kept_samples(store: Store, data_sets: DataSets, reference: Reference) -> Sequence[Kept]:
    """Everything that was embedded as the reference in force is, each sample once."""
    found: dict[str, Kept] = {}
    for each in (*_recent(store, reference), *_reserved(store, reference), *_imported(data_sets, reference)):
        found.setdefault(each.row.id, each)
        if len(found) == MOST_ROWS:
            break
    return list(found.values())


def narrowed(kept: Sequence[Kept], by: Narrowing, truths: Mapping[str, str], reference: Reference, classes: Sequence[str]) -> list[int]:
    """Which of them may answer. truths : what was right, of those that are known."""
    return [at for at, each in enumerate(kept) if _fits(each.row, by, truths, reference, classes)]


def _fits(row: Pooled, by: Narrowing, truths: Mapping[str, str], reference: Reference, classes: Sequence[str]) -> bool:
    if (by.since is not None and row.time < by.since) or (by.until is not None and row.time >= by.until):
        return False
    if by.segment is not None and not _inside(row.segments, by.segment, reference):
        return False
    if by.label is not None and truths.get(row.id, row.label) != by.label:
        return False
    if by.predicted is not None and answer(row.output, None, classes) != by.predicted:
        return False
    sure = math.nan if by.confidence is None else sureness(row.output)
    return by.confidence is None or by.confidence[0] <= sure <= by.confidence[1]


def _inside(tags: Mapping[str, str], segment: str, reference: Reference) -> bool:
    """By the tag's segments, where the monitor has some; else by the tag as it came."""
    tag, _, value = segment.partition("=")
    return belongs(tags, segment, reference.segment_values) if tag in reference.segment_values else tags.get(tag) == value


def _recent(store: Store, reference: Reference) -> Iterator[Kept]:
    for row in reversed(store.pool(reference.monitor, limit=MOST_ROWS)):
        if row.reference_version == reference.version:
            yield Kept(row, "recent")


def _reserved(store: Store, reference: Reference) -> Iterator[Kept]:
    for each in store.reserve(reference.monitor):
        if each.row.reference_version == reference.version:
            yield Kept(each.row, "reserve", each.count)


def _imported(data_sets: DataSets, reference: Reference) -> Iterator[Kept]:
    manifests = [each for each in data_sets.versions(reference.monitor, "pool") if each["fingerprint"] == reference.fingerprint]
    for manifest in reversed(manifests[-_SETS:]):
        found = data_sets.load(reference.monitor, "pool", int(manifest["version"]))
        for sample, vector in zip(found.samples, found.embeddings, strict=True):
            yield Kept(pooled_of(sample, vector, reference.version), f"pool set {found.version}")
