"""Reference rows from the recent samples that a monitor keeps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import structlog

from service.errors import InputError
from service.records import Pooled, Sample
from service.reference import Progress
from service.reference_rows import ReferenceRows, answer, embed_rows, sureness

if TYPE_CHECKING:
    from service.app import Installation

_MOST_BARE = 0.01
"""Share of the samples that may have lost their payloads and are left out; of more, all are taken as they were embedded."""
_MOST_POOLED = 200_000

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Span:
    """Which of the kept samples: from `since` to before `until` (seconds), and of those the `first` so many."""

    first: int | None = None
    since: float | None = None
    until: float | None = None


def pooled_rows(installation: Installation, monitor: str, span: Span, progress: Progress) -> ReferenceRows:
    """The chosen samples, embedded anew where their payloads are kept; else the embeddings as they were taken."""
    kept = installation.store.pool(monitor, since=span.since or 0.0, limit=200_000)
    if span.since is not None:
        _require_whole(installation, monitor, span.since, kept)
    chosen = [row for row in kept if span.until is None or row.time < span.until][: span.first]
    if not chosen or (span.first is not None and len(chosen) < span.first):
        capacity = installation.settings.monitor(monitor).pool.rows
        remedy = f"raise pool.rows to {span.first} or more" if (span.first or 0) > capacity else "wait for more traffic"
        raise InputError("too_few", f"monitor {monitor}: {len(chosen)} recent samples match ({capacity} are kept at most); {remedy}")
    payloads = [_sample(row) for row in chosen if row.payload is not None]
    if len(chosen) - len(payloads) > _MOST_BARE * len(chosen):
        if installation.settings.monitor(monitor).embedder.input != "none":
            gone = len(chosen) - len(payloads)
            log.warning("payloads gone", monitor=monitor, samples=gone, of=len(chosen), missing="texts, quality channels")
        return _as_taken(installation, monitor, chosen)
    embedder = installation.embedder(monitor)
    classes = installation.effective(monitor).classes
    return embed_rows(payloads, embedder, classes=classes, progress=lambda done: progress("embedding recent samples", done / len(payloads)))


def _require_whole(installation: Installation, monitor: str, since: float, kept: Sequence[Pooled]) -> None:
    """A span of which the first part has been overwritten would make a reference of the rest alone."""
    begins, capacity = installation.store.pool_begins(monitor), installation.settings.monitor(monitor).pool.rows
    if begins <= since:
        return
    newest = max((row.time for row in kept), default=begins)
    needed = math.ceil(capacity * (newest - since) / max(newest - begins, 1.0))
    keeps = f"pool.rows {needed:,} would hold such a span from now on" if needed <= _MOST_POOLED else "no pool holds such a span"
    raise InputError(
        "too_few",
        f"monitor {monitor}: the kept samples begin at {_written(begins)}, after --since {_written(since)}; {keeps}; "
        "build this reference from files: driftgate reference build --input FILE",
    )


def _written(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _sample(row: Pooled) -> Sample:
    payload = row.payload if row.payload is not None else ""
    return Sample(row.monitor, row.id, row.time, payload, row.segments, row.output, row.label)


def _as_taken(installation: Installation, monitor: str, rows: Sequence[Pooled]) -> ReferenceRows:
    """Without payloads only rows of the embedder in force will do."""
    embedder = installation.embedder(monitor)
    made_by = {manifest["version"]: manifest["fingerprint"] for manifest in installation.references.versions(monitor)}
    others = {made_by.get(row.reference_version, embedder.fingerprint) for row in rows} - {embedder.fingerprint}
    if others or any(len(row.embedding) != embedder.dimension for row in rows):
        raise InputError(
            "fingerprint",
            f"monitor {monitor}: some recent samples were embedded by another model, and their payloads were not kept "
            "(pool.keep_payloads: false); choose a time range after the change with --since",
        )
    return ReferenceRows(
        tuple(row.id for row in rows),
        ("",) * len(rows),
        tuple(row.label for row in rows),
        tuple(row.segments for row in rows),
        np.array([sureness(row.output) for row in rows], np.float32),
        np.stack([row.embedding for row in rows]).astype(np.float32),
        tuple(answer(row.output, None, installation.effective(monitor).classes) for row in rows),
        times=np.array([row.time for row in rows]),
    )
