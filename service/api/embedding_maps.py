"""A monitor's embedding map as JSON, for the console and for whoever draws another one."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Annotated, Any

import msgspec
import numpy as np
from fastapi import APIRouter, Header, Query, Response
from numpy.typing import NDArray
from pydantic import AwareDatetime, Field

from service.api.context import Served
from service.api.schemas import Problem, Time, View
from service.embedding_map import MOST_POINTS, EmbeddingMap, MapRequest
from service.moments import written

router = APIRouter(tags=["monitors"])

_FIGURES = 4
"""Significant ones of a coordinate: more are not seen."""


class ExplainedView(View):
    """Share of the reference's spread that a direction shows."""

    across: float
    up: float


class RowsView(View):
    """How many rows there are to draw from."""

    reference: int
    recent: int = Field(description="Kept since `since` that were embedded as the reference was.")


class ColouringView(View):
    """What points can be coloured by."""

    name: str = Field(examples=["side", "cluster", "class", "novelty", "segment:locale"])
    title: str
    values: tuple[str, ...]
    of: tuple[int, ...] = Field(description="Each point's place among the values.")


class MapView(View):
    """Points of one plane, a column for each thing that is known of them; those of the reference first."""

    monitor: str
    reference_version: int
    made: Time
    since: Time | None
    explained: ExplainedView
    rows: RowsView
    reference: int = Field(description="How many of the points are of the reference; the others are recent samples, oldest first.")
    ids: tuple[str, ...]
    across: tuple[float, ...] = Field(description="Along the direction in which the reference spreads most.")
    up: tuple[float, ...] = Field(description="Along the next one.")
    distance: tuple[float, ...] = Field(description="To the nearest of what the reference knows, in multiples of what is usual there.")
    novelty: tuple[float, ...] = Field(description="Percentile among the reference's own, 0 to 1.")
    colourings: tuple[ColouringView, ...]


Since = Annotated[AwareDatetime | None, Query(description="Recent samples from then on; by default all that are kept.")]
Points = Annotated[int, Query(ge=2, le=MOST_POINTS, description="Of both sides together; of the reference some evenly spread.")]
_MADE: dict[int | str, dict[str, Any]] = {
    200: {"model": MapView},
    304: {"description": "It is still what `If-None-Match` names."},
    404: {"model": Problem},
}


@router.get("/v1/monitors/{monitor}/map", response_class=Response, responses=_MADE)
def get_map(
    monitor: str,
    service: Served,
    since: Since = None,
    points: Points = MOST_POINTS,
    if_none_match: Annotated[str | None, Header(max_length=1_000)] = None,
) -> Response:
    """The reference and the recent samples in the two directions in which the reference spreads most: the same ones for every map of a
    reference version, so that maps can be compared. One that was made in the last 30 seconds is given again."""
    found = service.maps.of(service.known(monitor), MapRequest(_seconds(since), points), now=service.clock())
    return map_response(found, if_none_match)


def map_response(found: EmbeddingMap, if_none_match: str | None) -> Response:
    """The map, or that it is what the other side has already."""
    tag = f'"{_digest(found)}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if if_none_match is not None and tag in if_none_match:
        return Response(status_code=304, headers=headers)
    return Response(msgspec.json.encode(document(found)), media_type="application/json", headers=headers)


def document(found: EmbeddingMap) -> dict[str, Any]:
    """As `MapView` says it."""
    return {
        "monitor": found.monitor,
        "reference_version": found.reference_version,
        "made": written(found.made, "seconds"),
        "since": written(found.since, "seconds") if found.since else None,
        "explained": dict(zip(("across", "up"), found.explained, strict=True)),
        "rows": dict(zip(("reference", "recent"), found.rows, strict=True)),
        "reference": found.reference,
        "ids": found.ids,
        **{name: _rounded(getattr(found, name)) for name in ("across", "up", "distance", "novelty")},
        "colourings": [
            {"name": each.name, "title": each.title, "values": each.values, "of": each.of.tolist()} for each in found.colourings
        ],
    }


def _seconds(since: datetime | None) -> float:
    return 0.0 if since is None else max(since.timestamp(), 0.0)


def _rounded(values: NDArray[np.float32]) -> list[float]:
    largest = float(np.abs(values).max(initial=0.0))
    digits = _FIGURES - int(np.ceil(np.log10(largest))) if largest > 0 else _FIGURES
    rounded: list[float] = np.round(values.astype(np.float64), digits).tolist()
    return rounded


def _digest(found: EmbeddingMap) -> str:
    """Of all but the moment."""
    digest = hashlib.sha256(msgspec.msgpack.encode([found.monitor, found.reference_version, found.since, found.rows, found.ids]))
    for each in (found.across, found.up, *(colouring.of for colouring in found.colourings)):
        digest.update(np.ascontiguousarray(each).tobytes())
    digest.update(msgspec.msgpack.encode([each.values for each in found.colourings]))
    return digest.hexdigest()[:32]
