"""Failure samples as whoever chooses candidates takes them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.failures.clusters import clustered
from service.failures.known import known_failures
from service.ports import Store
from service.reference import Reference
from service.settings import MonitorSettings


@dataclass(frozen=True, slots=True, eq=False)
class FailureRows:
    """f distinct failure samples under one reference, those of the weightiest cluster first."""

    ids: tuple[str, ...]
    embeddings: NDArray[np.float32]
    """(f, d)"""
    labels: tuple[str | None, ...]
    """The right class of each; None where a mark names none."""
    answers: tuple[str, ...]
    """What the model said, '' where it is not known."""
    clusters: tuple[str, ...]
    """The id of each one's cluster."""
    losses: NDArray[np.float64]
    """(f,) nats."""
    counts: NDArray[np.int64]
    """(f,) near-duplicates that each stands for, itself included."""
    marked: NDArray[np.bool_]
    """(f,) whether a person marked it."""

    def __len__(self) -> int:
        return len(self.ids)


def failure_rows(store: Store, reference: Reference, settings: MonitorSettings) -> FailureRows:
    """Those that were embedded under this reference; only reads."""
    clusters = clustered(known_failures(store, settings, version=reference.version), reference)
    found = [(cluster.id, each) for cluster in clusters for each in cluster.failures]
    failures = [each for _, each in found]
    embeddings = [each.row.embedding for each in failures] or [np.empty((0,), np.float16)]
    return FailureRows(
        tuple(each.row.id for each in failures),
        np.stack(embeddings).astype(np.float32).reshape(len(failures), reference.rows.embeddings.shape[1]),
        tuple(each.label for each in failures),
        tuple(each.answer for each in failures),
        tuple(cluster for cluster, _ in found),
        np.array([each.loss for each in failures], np.float64),
        np.array([each.count for each in failures], np.int64),
        np.array([each.mark is not None for each in failures], np.bool_),
    )
