"""Matches as plain values, the same for the API, for `--json` and for the screen: what is not known is null."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeAlias

from service.similar.mining import Match, Matches

Document: TypeAlias = Mapping[str, Any]

_TEXT = 500


def document(found: Matches) -> Document:
    """As `POST /v1/monitors/{monitor}/similar` gives it."""
    return {
        "monitor": found.monitor,
        "reference_version": found.reference_version,
        "near_to": found.query.what,
        "kept": found.kept,
        "searched": found.searched,
        "matches": [_match(match) for match in found.matches],
    }


def _match(match: Match) -> Document:
    row = match.row
    return {
        "id": row.id,
        "text": row.payload[:_TEXT] if isinstance(row.payload, str) else "",
        "place": match.place,
        "time": row.time or None,
        "segments": dict(row.segments),
        "similarity": match.similarity,
        "near": match.near,
        "percentile": _known(match.percentile),
        "label": match.label,
        "predicted": match.predicted,
        "confidence": _known(match.confidence),
        "asked": match.asked,
        "count": match.count,
        "copies": list(match.copies),
    }


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
