"""One sample's explanation as plain values, the same for the API, for `--json` and for the screen: what is not known is null."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from typing import Any, TypeAlias

import numpy as np

from service.explaining.samples import SampleExplanation
from service.moments import written

Document: TypeAlias = Mapping[str, Any]

_LATEST = datetime.max.replace(tzinfo=UTC).timestamp() - 1


def document(explanation: SampleExplanation) -> Document:
    """As `GET /v1/monitors/{monitor}/samples/{id}/explanation` gives it; its time is RFC 3339."""
    placed = {"cluster": explanation.placed.cluster, "nearest": explanation.placed.nearest}
    return {**_plain(explanation), "time": _moment(explanation.time), "placed": placed}


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    number = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(number, float) and not math.isfinite(number) else number


def _moment(seconds: float) -> str | None:
    """None of a sample that came without a time."""
    if not (math.isfinite(seconds) and seconds):
        return None
    return written(min(max(seconds, 0.0), _LATEST))
