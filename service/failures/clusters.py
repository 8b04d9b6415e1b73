"""Failures of one kind: the same right class in the same place, near-duplicates told once and counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.evenly import evenly
from detectors.failure_clusters import MOST_ROWS, failure_clusters
from detectors.selection.base import UNKNOWN
from detectors.terms import class_terms
from service.failures.known import Failure
from service.records import stable_id
from service.reference import Reference
from service.words import place_names, words

_SCALED_BY = 5_000
"""Reference rows that set the scale."""
_ASKED, _READ, _BESIDE = 4, 500, 500
"""Words that name a cluster, characters of a text that are read, and reference texts that it is told from."""
_ID = 8


@dataclass(frozen=True, slots=True, eq=False)
class FailureCluster:
    """Failures of one kind."""

    id: str
    """That of its oldest sample: it stays as long as that one is kept."""
    name: str
    label: str | None
    """The right class; None where nobody named it."""
    answer: str
    """The commonest wrong one; '' where none is known."""
    failures: tuple[Failure, ...]
    """One of each group of near-duplicates, the dearest first; `count` says how many there are."""

    @property
    def samples(self) -> int:
        """With the near-duplicates."""
        return sum(each.count for each in self.failures)

    @property
    def loss(self) -> float:
        """Nats, the mean over the distinct samples."""
        return sum(each.loss for each in self.failures) / len(self.failures)

    @property
    def weight(self) -> float:
        """What clusters are ranked by: distinct samples times loss. Near-duplicates do not count: most are one sender's retries."""
        return sum(each.loss for each in self.failures)


def clustered(failures: Sequence[Failure], reference: Reference) -> tuple[FailureCluster, ...]:
    """Of failures under one reference version, oldest first; the weightiest first. Of more than 4,000 the dearest count."""
    if not failures:
        return ()
    dearest = sorted(range(len(failures)), key=lambda at: -failures[at].loss)[:MOST_ROWS]
    kept = [failures[at] for at in sorted(dearest)]
    rows = np.stack([each.row.embedding for each in kept]).astype(np.float32)
    scale = evenly(len(reference.rows), _SCALED_BY)
    classes = _codes([reference.rows.labels[at] for at in scale.tolist()])
    found = failure_clusters(rows, _codes([each.label for each in kept]), np.asarray(reference.rows.embeddings[scale]), classes=classes)
    groups = [_distinct(kept, found.stands, np.flatnonzero(found.cluster == number)) for number in range(int(found.cluster.max()) + 1)]
    named = [_cluster(group, name) for group, name in zip(groups, _names(groups, reference), strict=True)]
    return tuple(sorted(named, key=lambda cluster: (-cluster.weight, cluster.id)))


def _codes(labels: Sequence[str | None]) -> NDArray[np.int64]:
    place = {name: at for at, name in enumerate(sorted({label for label in labels if label is not None}))}
    return np.array([UNKNOWN if label is None else place[label] for label in labels], np.int64)


def _distinct(failures: Sequence[Failure], stands: NDArray[np.int64], members: NDArray[np.int64]) -> list[Failure]:
    """One of each near-duplicate group, oldest first, with all that it stands for."""
    counts = Counter[int]()
    for at in members.tolist():
        counts[int(stands[at])] += failures[at].count
    return [_standing_for(failures[at], count) for at, count in sorted(counts.items())]


def _standing_for(failure: Failure, count: int) -> Failure:
    return Failure(failure.row, failure.label, failure.answer, failure.loss, failure.mark, count)


def _cluster(members: Sequence[Failure], name: str) -> FailureCluster:
    oldest = members[0].row
    answers = Counter(each.answer for each in members if each.answer)
    dearest = tuple(sorted(members, key=lambda each: (-each.loss, each.row.time, each.row.id)))
    said = answers.most_common(1)[0][0] if answers else ""
    return FailureCluster(stable_id("cluster", oldest.monitor, oldest.id)[:_ID], name, members[0].label, said, dearest)


def _names(groups: Sequence[Sequence[Failure]], reference: Reference) -> Sequence[str]:
    """By the right class, and by words where several are of one class or of none."""
    texts = [list(_texts(group)) for group in groups]
    usual = [words(text) for text in reference.rows.texts[-_BESIDE:] if text]
    terms = class_terms(texts, _ASKED, [usual] * len(texts))
    answers = [next((each.answer for each in group if each.answer), "") for group in groups]
    return place_names([group[0].label or "" for group in groups], terms, [f"answered {said}" if said else "unnamed" for said in answers])


def _texts(failures: Sequence[Failure]) -> Iterator[list[str]]:
    for each in failures:
        if isinstance(each.row.payload, str):
            yield words(each.row.payload[:_READ])
