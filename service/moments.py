"""Moments as documents and events write them."""

from __future__ import annotations

from datetime import UTC, datetime


def written(moment: float, timespec: str = "auto") -> str:
    """RFC 3339 in UTC; `timespec` as `datetime.isoformat` takes it."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec=timespec).replace("+00:00", "Z")
