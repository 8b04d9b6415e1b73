"""Is it us? What delivers the samples may have changed, and not what they say: copies, losses, gaps, lost fields, one source alone.

A changed embedder needs no check: a reference of another fingerprint is refused, and pool rows of another version are not shown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.clustering import squared_distances
from service.records import Finding, Pooled

_COPY = 1e-5
"""Squared distance of two copies, as a share of the typical one: float16 and another batch make no more of it."""
_MOST_ROWS = 2_000
_NOTABLE = 0.05
"""Share of the window from which something is told."""
_ERRORS = 3.0
"""Standard errors beyond which a share differs from the reference's."""
_DRIFTED = 0.1
"""Share of the window's rows, the most drifted, whose source is looked at."""


@dataclass(frozen=True, slots=True, eq=False)
class Delivery:
    """How a window's samples arrived: rows in order of time, how drifted each is, their copies, and what was refused meanwhile."""

    rows: Sequence[Pooled]
    drift: NDArray[np.floating]
    """(n,) larger is more drifted."""
    repeated: float
    refused: int

    @property
    def lost(self) -> float:
        """Share of what came in that could not be used."""
        return self.refused / max(self.refused + len(self.rows), 1)


def findings(delivery: Delivery, *, tags: Mapping[str, float], answered: float) -> tuple[Finding, ...]:
    """What may be ours, with what to do about it.

    tags : declared tag → share of the reference's rows that carry it. answered : share of them with a model output.
    """
    return (*_arrivals(delivery), *_missing(delivery.rows, tags, answered), *_sources(delivery))


def _arrivals(delivery: Delivery) -> Iterator[Finding]:
    if delivery.repeated >= _NOTABLE:
        advice = "the same samples came again under other ids: look for retries or a loop in the client"
        yield Finding("repeated samples", delivery.repeated, 0.0, advice)
    if delivery.lost >= _NOTABLE:
        yield Finding("refused samples", delivery.lost, 0.0, "part of the input could not be used: `driftgate dlq list` says why")
    times = np.array([row.time for row in delivery.rows])
    if len(times) > 2 and times[-1] > times[0]:
        gap = float(np.diff(times).max() / (times[-1] - times[0]))
        if gap > 0.5:
            yield Finding(
                "gap in time", gap, 0.0, "nothing arrived for most of the window: see whether the source or the network stood still"
            )


def _missing(rows: Sequence[Pooled], tags: Mapping[str, float], answered: float) -> Iterator[Finding]:
    """Fields that the reference's samples had and these have not."""
    n = max(len(rows), 1)
    for tag, before in tags.items():
        without = 1 - sum(tag in row.segments for row in rows) / n
        if _beyond(without, 1 - before, n):
            yield Finding(
                f"no tag {tag}", without, 1 - before, f"samples came without `segments.{tag}`: the sender's schema may have changed"
            )
    silent = 1 - sum(row.output is not None for row in rows) / n
    if _beyond(silent, 1 - answered, n):
        yield Finding("no output", silent, 1 - answered, "samples came without the model's output: see the sender, or the response join")


def _beyond(share: float, before: float, n: int) -> bool:
    error = np.sqrt(max(before * (1 - before), 1 / n) / n)
    return share - before > max(_NOTABLE, _ERRORS * float(error))


def _sources(delivery: Delivery) -> Iterator[Finding]:
    """Drift that all comes from one of several partitions points at one client, region or release."""
    rows, most = delivery.rows, max(round(_DRIFTED * len(delivery.rows)), 1)
    if len({row.partition for row in rows}) < 2 or len(rows) < 50:
        return
    drifted = Counter(rows[i].partition for i in np.argsort(-delivery.drift, kind="stable")[:most])
    source, count = drifted.most_common(1)[0]
    share, before = count / most, sum(row.partition == source for row in rows) / len(rows)
    if share >= 0.9 and _beyond(share, before, most):
        yield Finding("one source alone", share, before, f"the most drifted samples come from {source}: see who writes there")


def repeated(rows: NDArray[np.floating], reference: NDArray[np.float32], *, spoilt: NDArray[np.bool_] | None = None) -> float:
    """Share of (n, d) rows that are copies of an earlier one, beyond that of as many reference rows; 0 to 1.

    spoilt : (n,) rows beyond the reference in quality, which do not count: blank inputs are alike, and nobody sent them again.
    """
    rows = rows[-_MOST_ROWS:].astype(np.float32)
    own = reference[np.linspace(0, len(reference) - 1, min(len(rows), len(reference))).astype(np.int64)]
    within = _COPY * 2.0 * float(reference[: 20 * _MOST_ROWS].var(axis=0).sum())
    copies = _copies(rows, within)
    if spoilt is not None:
        copies &= ~spoilt[-_MOST_ROWS:]
    return max(float(copies.mean()) - float(_copies(own, within).mean()), 0.0) if len(rows) else 0.0


def _copies(rows: NDArray[np.float32], within: float) -> NDArray[np.bool_]:
    """(n,) whether a row lies within that squared distance of an earlier one."""
    centred = rows - rows.mean(0)
    near = squared_distances(centred, centred) <= max(within, 1e-12)
    return np.asarray(np.tril(near, -1).any(1), np.bool_)
