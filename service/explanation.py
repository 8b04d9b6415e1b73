"""What an alarm shows: the clusters whose share of the traffic moved, and the samples nearest to what moved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from detectors import Described, Summary
from service.episodes import Stream
from service.records import Alarm, ClusterChange, Exemplar, Pane, Pooled, belongs
from service.reference import Reference

_CLUSTERS, _EXEMPLARS, _PER_CLUSTER, _CUT, _LEAST_ROWS = 8, 5, 2, 200, 50
_BEYOND_CHANCE = 2.5
"""Standard errors from which a cluster's change is shown."""

NOVEL = "novel"
"""The cluster of samples that lie near no reference cluster."""


def explain(alarm: Alarm, stream: Stream, pane: Pane, pool: Sequence[Pooled], reference: Reference) -> Alarm:
    """The alarm with its exemplars and moved clusters; `pane` is the one that opened it, `pool` holds samples of any segment."""
    rows = [row for row in pool if _shows(row, alarm, reference) and _before_end(row, pane)]
    rows = rows[-max(alarm.window_samples, _LEAST_ROWS) :]
    if not rows:
        return replace(alarm, clusters=_changes(stream.scan.window(), reference, [], None))
    described = reference.summarizer.describe(np.stack([row.embedding for row in rows]).astype(np.float32))
    witness = (described.features - reference.summarizer.mean) @ stream.scan.direction
    order = np.argsort(-witness, kind="stable")
    return replace(
        alarm,
        exemplars=tuple(exemplar(rows[i]) for i in _distinct(order, described, _EXEMPLARS)),
        clusters=_changes(stream.scan.window(), reference, rows, described),
    )


def exemplar(row: Pooled) -> Exemplar:
    """A pooled sample as it is shown: texts cut, images and vectors by id alone."""
    text = row.payload[:_CUT] if isinstance(row.payload, str) else ""
    return Exemplar(row.id, text, row.novelty)


def _before_end(row: Pooled, pane: Pane) -> bool:
    """The pool may be ahead of the decision."""
    return row.offset <= pane.last_offset if row.partition == pane.key.partition else row.time <= pane.last_time


def _shows(row: Pooled, alarm: Alarm, reference: Reference) -> bool:
    """Of the alarm's stream, and embedded by the model that its reference belongs to."""
    return row.reference_version == alarm.reference_version and belongs(row.segments, alarm.segment, reference.segment_values)


def _distinct(order: NDArray[np.int64], described: Described, most: int) -> list[int]:
    """The first of the order that are not near-copies of one before (feature similarity below .95)."""
    chosen: list[int] = []
    for i in order[: 20 * most]:
        if all(float(described.features[i] @ described.features[j]) < 0.95 for j in chosen):
            chosen.append(int(i))
        if len(chosen) == most:
            break
    return chosen


def _changes(window: Summary, reference: Reference, rows: Sequence[Pooled], described: Described | None) -> tuple[ClusterChange, ...]:
    """The clusters whose share moved beyond chance, largest gain first."""
    if not window.count:
        return ()
    before, now = reference.cluster_shares, window.clusters / window.count
    names = (*reference.cluster_names, NOVEL)
    error = np.sqrt(np.maximum(before, 1e-3) * (1 - before) * (1 / window.count + 1 / len(reference.rows)))
    beyond = np.abs(now - before) / error
    moved = [c for c in np.argsort(-beyond, kind="stable")[:_CLUSTERS] if beyond[c] > _BEYOND_CHANCE]
    changes = []
    for c in sorted(moved, key=lambda c: before[c] - now[c]):
        members = np.flatnonzero(described.cluster == c) if described is not None else np.empty(0, np.int64)
        shown = tuple(exemplar(rows[i]) for i in members[:_PER_CLUSTER])
        changes.append(ClusterChange(names[c], float(before[c]), float(now[c]), shown))
    return tuple(changes)
