"""What an alarm shows: the clusters whose share of the traffic moved, and the samples nearest to what moved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from detectors import Described
from detectors.kinds import name_kind
from detectors.summarizer import spoilt
from service.episodes import Stream
from service.feed import Delivery, Schema, findings, news, repeated
from service.losses import Loss
from service.ports import Store
from service.records import Alarm, ClusterChange, Exemplar, Pane, Pooled, belongs
from service.reference import Reference

_CLUSTERS, _EXEMPLARS, _PER_CLUSTER, _CUT, _LEAST_ROWS = 8, 5, 2, 200, 50
_MOST_ROWS = 2_000
"""Samples that an alarm is explained by, the newest of its window: measuring an image means decoding it."""
NOVEL = "novel"
"""The cluster of samples that lie near no reference cluster."""


def explain(alarm: Alarm, stream: Stream, pane: Pane, recent: Recent, reference: Reference) -> Alarm:
    """The alarm with its exemplars, moved clusters and what may be ours; `pane` is the one that opened it."""
    rows = [row for row in recent.pool if _shows(row, alarm, reference) and _before_end(row, pane)]
    rows = rows[-min(max(alarm.window_samples, _LEAST_ROWS), _MOST_ROWS) :]
    if not rows:
        return replace(alarm, clusters=_changes(stream, reference, [], None))
    described = _described(rows, reference)
    witness = (described.features - reference.summarizer.mean) @ stream.scan.direction
    order = np.argsort(-witness, kind="stable")
    window = slice(-alarm.window_samples, None)
    delivery = Delivery(rows[window], witness[window], _repeated(rows[window], described, reference), recent.loss)
    kind = name_kind(replace(stream.scan.signs(), repeated=delivery.repeated, lost=news(delivery.loss)))
    schema = Schema(reference.tagged(alarm.segment), reference.answered, reference.classes)
    return replace(
        alarm,
        kind=kind,
        exemplars=tuple(exemplar(rows[i]) for i in _distinct(order, described, _EXEMPLARS)),
        clusters=_changes(stream, reference, rows, described),
        findings=findings(delivery, schema),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Recent:
    """What is known of the recent past of a monitor: kept samples of any segment, oldest first, and what the alarm's window lost."""

    pool: Sequence[Pooled]
    loss: Loss = field(default_factory=Loss)

    @classmethod
    def of(cls, store: Store, alarm: Alarm, loss: Loss) -> Recent:
        """Since the alarm's window began."""
        return cls(store.pool(alarm.monitor, since=alarm.window_start), loss)


def _described(rows: Sequence[Pooled], reference: Reference) -> Described:
    """As the worker described them, but for outputs; quality where payloads are kept."""
    embeddings = np.stack([row.embedding for row in rows]).astype(np.float32)
    payloads = [np.empty(0, np.float32) if row.payload is None else row.payload for row in rows]
    return reference.summarizer.describe(embeddings, quality=None if reference.gauge is None else reference.gauge.measure(payloads))


def _repeated(rows: Sequence[Pooled], described: Described, reference: Reference) -> float:
    embeddings, ruled_out = np.stack([row.embedding for row in rows]), spoilt(reference.summarizer, described)[-len(rows) :]
    return repeated(embeddings, reference.rows.embeddings, spoilt=ruled_out)


def exemplar(row: Pooled) -> Exemplar:
    """A pooled sample as it is shown: texts cut, images and vectors by id alone."""
    text = row.payload[:_CUT] if isinstance(row.payload, str) else ""
    return Exemplar(row.id, text, row.novelty)


def _before_end(row: Pooled, pane: Pane) -> bool:
    """The pool may be ahead of the decision."""
    return row.offset <= pane.last_offset if row.partition == pane.key.partition else row.time <= pane.last_time


def _shows(row: Pooled, alarm: Alarm, reference: Reference) -> bool:
    """Of the alarm's stream, since its window began, and embedded by the model that its reference belongs to."""
    of_the_window = row.time >= alarm.window_start and row.reference_version == alarm.reference_version
    return of_the_window and belongs(row.segments, alarm.segment, reference.segment_values)


def _distinct(order: NDArray[np.int64], described: Described, most: int) -> list[int]:
    """The first of the order that are not near-copies of one before (feature similarity below .95)."""
    chosen: list[int] = []
    for i in order[: 20 * most]:
        if all(float(described.features[i] @ described.features[j]) < 0.95 for j in chosen):
            chosen.append(int(i))
        if len(chosen) == most:
            break
    return chosen


def _changes(stream: Stream, reference: Reference, rows: Sequence[Pooled], described: Described | None) -> tuple[ClusterChange, ...]:
    """The clusters whose share surely moved, against the stream's own slice of the reference; largest gain first."""
    window, own = stream.scan.window(), reference.cluster_counts(stream.segment)
    if not window.count:
        return ()
    shift, names = stream.scan.cluster_shift(own), (*reference.cluster_names, NOVEL)
    before = own / max(int(own.sum()), 1)
    strongest = np.argsort(-np.abs(shift.change), kind="stable")
    moved = [int(c) for c in strongest if shift.moved[c]][:_CLUSTERS]
    changes = []
    for c in sorted(moved, key=lambda c: -shift.change[c]):
        members = np.flatnonzero(described.cluster == c) if described is not None else np.empty(0, np.int64)
        shown = tuple(exemplar(rows[i]) for i in members[:_PER_CLUSTER])
        changes.append(ClusterChange(names[c], float(before[c]), float(before[c] + shift.change[c]), shown))
    return tuple(changes)
