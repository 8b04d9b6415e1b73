"""The embedding map: what is drawn comes as JSON, what is pointed at or boxed in as pages of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from fastapi import Depends, Header, Query, Request, Response
from fastapi.responses import HTMLResponse

from service.api.console.frame import ROWS, After, page, pages
from service.api.console.showing import cards
from service.api.context import Served
from service.api.embedding_maps import map_response
from service.embedding_map import MOST_POINTS, Box, Colouring, EmbeddingMap, MapRequest, View
from service.errors import NotFoundError
from service.records import Alarm

router = pages()

_VALUES = 12
"""Of a colouring that the table shows: those whose share has changed most."""
_EDGE = 1e12

Edge = Annotated[float | None, Query(ge=-_EDGE, le=_EDGE)]
Sample = Annotated[str, Query(min_length=1, max_length=1_000)]


@dataclass(frozen=True, slots=True)
class Asked:
    """What the page's address says."""

    request: MapRequest
    alarm: str
    by: str
    view: View
    hide: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Edges:
    """Of the box; all of them are given, or there is none."""

    left: float | None
    right: float | None
    bottom: float | None
    top: float | None

    def box(self, view: View) -> Box | None:
        """Whichever way round they were given."""
        if self.left is None or self.right is None or self.bottom is None or self.top is None:
            return None
        across, up = sorted((self.left, self.right)), sorted((self.bottom, self.top))
        return Box(across[0], across[1], up[0], up[1], view)


def _edges(left: Edge = None, right: Edge = None, bottom: Edge = None, top: Edge = None) -> Edges:
    return Edges(left, right, bottom, top)


def _asked(
    monitor: str,
    service: Served,
    alarm: Annotated[str, Query(max_length=200)] = "",
    by: Annotated[str, Query(max_length=200)] = "side",
    view: View = "spread",
    hide: Annotated[tuple[Annotated[int, Query(ge=0, le=100_000)], ...], Query(max_length=500)] = (),
) -> Asked:
    since = 0.0
    if alarm:
        found = service.store.get(Alarm, alarm)
        if found.monitor != monitor:
            raise NotFoundError(f"monitor {monitor}: no alarm {alarm!r:.80}")
        since = max(found.window_start, 0.0)
    return Asked(MapRequest(since, MOST_POINTS), alarm, by, view, hide)


Question = Annotated[Asked, Depends(_asked)]
Boxed = Annotated[Edges, Depends(_edges)]


@router.get("/monitors/{monitor}/map")
def show_map(monitor: str, request: Request, service: Served, asked: Question, edges: Boxed, after: After = None) -> HTMLResponse:
    """Reference against recent samples; with a box, the samples in it."""
    found = service.maps.of(service.known(monitor), asked.request, now=service.clock())
    box, told = edges.box(asked.view), found.colouring("cluster" if asked.by == "side" else asked.by)
    selected = {} if box is None else _selected(service, found, asked, box, after)
    return page(
        request,
        "map.html",
        monitor=monitor,
        map=found,
        asked=asked,
        edges=edges,
        boxed=box is not None,
        changes=_changes(found, told),
        told=told,
        **{"selected": (), "total": 0, "next": None, **selected},
    )


@router.get("/monitors/{monitor}/map/points")
def map_points(monitor: str, service: Served, asked: Question, if_none_match: Annotated[str | None, Header()] = None) -> Response:
    """What the map draws."""
    found = service.maps.of(service.known(monitor), asked.request, now=service.clock())
    return map_response(found, if_none_match)


@router.get("/monitors/{monitor}/map/sample")
def map_sample(monitor: str, request: Request, service: Served, id: Sample) -> HTMLResponse:
    """The sample that is pointed at."""
    found = cards(service, service.known(monitor), {id})
    if id not in found:
        raise NotFoundError(f"monitor {monitor}: sample {id!r:.100} is not kept any more")
    return page(request, "map_sample.html", card=found[id])


def _selected(service: Served, found: EmbeddingMap, asked: Asked, box: Box, after: str | None) -> dict[str, Any]:
    """A page of what is in the box."""
    at = found.inside(box, by=asked.by, hidden=asked.hide)
    start = int(after) if after and after.isdecimal() else 0
    shown = at[start : start + ROWS]
    kept = cards(service, found.monitor, {found.ids[i] for i in shown}, version=found.reference_version)
    listed = [(found.ids[i], kept.get(found.ids[i]), float(found.novelty[i]), _cluster(found, i)) for i in shown]
    more = str(start + ROWS) if start + ROWS < len(at) else None
    return {"selected": listed, "total": len(at), "next": more}


def _cluster(found: EmbeddingMap, at: int) -> str:
    colouring = found.colouring("cluster")
    return colouring.values[int(colouring.of[at])]


def _changes(found: EmbeddingMap, colouring: Colouring) -> list[tuple[str, float, float]]:
    """(value, share of the reference, share of the recent samples), those first whose share has changed most."""
    sides = (colouring.of[: found.reference], colouring.of[found.reference :])
    counts = [np.bincount(side, minlength=len(colouring.values)) / max(len(side), 1) for side in sides]
    order = np.argsort(-np.abs(counts[1] - counts[0]), kind="stable")[:_VALUES].tolist()
    return [(colouring.values[i], float(counts[0][i]), float(counts[1][i])) for i in order if counts[0][i] or counts[1][i]]
