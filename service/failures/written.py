"""A listing of failures as plain values, the same for the API, for `--json` and for the screen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, TypeAlias

from service.failures.causes import likely
from service.failures.known import Failure
from service.failures.listing import Listing, Told
from service.records import FailureMark

Document: TypeAlias = Mapping[str, Any]

_TEXT = 500


def document(listing: Listing, *, samples: int = 3) -> Document:
    """As `GET /v1/monitors/{monitor}/failures` gives it, with so many samples of each cluster."""
    return {
        "monitor": listing.monitor,
        "reference_version": listing.reference_version,
        "samples": sum(told.cluster.samples for told in listing.clusters),
        "older": listing.older,
        "unkept": listing.unkept,
        "clusters": [_cluster(told, samples) for told in listing.clusters],
    }


def mark_document(mark: FailureMark) -> Document:
    """A mark as it stands."""
    return {
        "monitor": mark.monitor,
        "sample": mark.sample,
        "state": mark.state.value,
        "label": mark.label,
        "history": [asdict(step) for step in mark.history],
    }


def _cluster(told: Told, samples: int) -> Document:
    cluster, cause = told.cluster, likely(told.evidence)
    return {
        "id": cluster.id,
        "name": cluster.name,
        "label": cluster.label,
        "answer": cluster.answer,
        "samples": cluster.samples,
        "distinct": len(cluster.failures),
        "marked": sum(each.mark is not None for each in cluster.failures),
        "loss": cluster.loss,
        "weight": cluster.weight,
        "cause": None if cause is None else cause.cause.value,
        "evidence": [asdict(each) for each in told.evidence],
        "failures": [_failure(each, why) for each, why in list(zip(cluster.failures, told.suspects, strict=True))[:samples]],
    }


def _failure(failure: Failure, suspects: tuple[str, ...]) -> Document:
    row, mark = failure.row, failure.mark
    return {
        "id": row.id,
        "text": row.payload[:_TEXT] if isinstance(row.payload, str) else "",
        "time": row.time,
        "segments": dict(row.segments),
        "label": failure.label,
        "answer": failure.answer,
        "loss": failure.loss,
        "count": failure.count,
        "marked_by": None if mark is None else mark.history[-1].actor,
        "note": None if mark is None else mark.history[-1].note,
        "suspects": list(suspects),
    }
