"""What a person should know of the rows of a reference before trusting it: said when it is built, and kept with it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import numpy as np

from detectors.model import ScanModel
from detectors.steadiness import Unsteady, repeated, steadiness
from service.reference_rows import ReferenceRows

_REPEATED = 0.01
"""Share of repeated rows from which they are worth a word."""


def warnings_about(rows: ReferenceRows, model: ScanModel) -> list[str]:
    """One sentence each; none about a reference that is as it should be."""
    return list(_warnings(rows, model))


def _warnings(rows: ReferenceRows, model: ScanModel) -> Iterator[str]:
    timed = rows.in_time_order()
    unsteady = steadiness(model, timed.embeddings, rng=np.random.default_rng(0), times=timed.known_times)
    if unsteady is not None:
        yield _drift(unsteady, "" if timed is rows else ", counted in order of time,")
    again = repeated(rows.embeddings)
    if again >= _REPEATED:
        yield (
            f"{again:.1%} of the rows repeat an earlier one exactly: traffic that repeats itself more, or less, counts as drift; "
            "keep repeated rows only as often as traffic has them"
        )
    missing = 0 if rows.times is None else int(np.isnan(rows.times).sum())
    if 0 < missing < len(rows):
        yield f"{missing:,} of {len(rows):,} rows have no time, so nothing was learned about the time of day; give every row its time"
    known = len(rows.judged()[1])
    if known and model.summarizer.accuracy is None:
        yield f"{known:,} rows with confidence, class and label are too few to tell accuracy without labels: label more"
    if not model.dependence.measured:
        yield "neighbours depend on each other for longer than so many rows can tell: the run length it supports is a guess; add rows"


def _drift(found: Unsteady, counted: str) -> str:
    when = "" if found.times is None else f" ({_moment(found.times[0])} to {_moment(found.times[1])})"
    return (
        f"it drifts itself: rows {found.rows[0] + 1:,} to {found.rows[1] + 1:,}{counted}{when} differ from the others as if "
        f"{found.effect:.0%} of them were new content; a reference should be one steady stretch of traffic"
    )


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%MZ")
