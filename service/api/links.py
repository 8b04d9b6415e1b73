"""Signed links: what an annotator's browser, or a training job elsewhere, opens without a token."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from html import escape
from typing import Any, Literal

import msgspec
from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, StreamingResponse

from service.api.context import Served, Service
from service.api.problems import status_of
from service.api.schemas import Problem
from service.datasets import payload_field
from service.errors import InputError, NotFoundError
from service.exhibits import image_type
from service.links import PATH, Kind, Link
from service.records import Sample

router = APIRouter(tags=["annotation"])

Format = Literal["raw", "json"]

_STYLE = """
body { font: 18px/1.6 system-ui, sans-serif; margin: 2rem auto; max-width: 46rem; padding: 0 1rem; color: #222; background: #fff }
.text { white-space: pre-wrap; overflow-wrap: anywhere; border-left: 4px solid #ccc; padding-left: 1rem }
small { color: #555 } li { margin: 0 0 1rem; overflow-wrap: anywhere }
@media (prefers-color-scheme: dark) { body { color: #ddd; background: #161616 } small { color: #aaa } a { color: #8bf } }
"""
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_NOTHING = "default-src 'none'; base-uri 'none'; form-action 'none'"
_POLICY = f"{_NOTHING}; style-src 'sha256-{_HASH}'"
_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex, nofollow",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": f"{_NOTHING}; sandbox",
    # Annotators' tools show images and read texts from pages of their own; the link itself is what permits it.
    "Access-Control-Allow-Origin": "*",
    "Cross-Origin-Resource-Policy": "cross-origin",
}
_EXCERPT = 300


@router.get(PATH + "{token}", response_class=Response, responses={status: {"model": Problem} for status in (404, 410, 413)})
def open_link(token: str, request: Request, service: Served, format: Format | None = None) -> Response:
    """Opens what a signed link names; no token is needed. A sample opens as a page or as the image that it is, a batch as a list, data
    sets as a tar. For programs: `raw` is the thing itself, `json` the thing or its manifest as JSON."""
    try:
        return _opened(service.openings.link(token, now=service.clock()), service, format)
    except (InputError, NotFoundError) as error:
        if format is not None or "text/html" not in request.headers.get("accept", ""):
            raise
        return _page("This link opens nothing", f"<p>{escape(str(error))}</p>", status=status_of(error))


def _opened(link: Link, service: Service, form: Format | None) -> Response:
    if link.kind is Kind.SAMPLE:
        return _sample(service.openings.sample(link), link, form)
    if link.kind is Kind.BATCH:
        listed = service.openings.batch(link)
        return _json(listed) if form else _list(listed)
    return _json(service.openings.manifest(link)) if form == "json" else _tar(service, link)


def _sample(sample: Sample, link: Link, form: Format | None) -> Response:
    batch, shown = link.subject
    payload = sample.payload
    if form == "json":
        return _json({"batch": batch, "driftgate_id": shown, **payload_field(payload)})
    if isinstance(payload, bytes):
        return _image(payload)
    if isinstance(payload, str):
        return _plain(payload) if form else _page(shown, f'<p class="text" lang="" dir="auto">{escape(payload)}</p>')
    if form:
        return _json(payload.tolist())
    body = f"<p>A vector of {payload.size:,} numbers, which says nothing to the eye.</p>"
    return _page(shown, body + '<p><a href="?format=json">The numbers as JSON</a></p>')


def _image(content: bytes) -> Response:
    """By its first bytes; what is no image that browsers show is downloaded."""
    found = image_type(content)
    shown = {} if found.media.startswith("image/") else {"Content-Disposition": "attachment"}
    return Response(content, media_type=found.media, headers={**_HEADERS, **shown})


def _plain(text: str) -> Response:
    return Response(text, media_type="text/plain; charset=utf-8", headers=_HEADERS)


def _json(document: Any) -> Response:
    return Response(msgspec.json.encode(document), media_type="application/json", headers=_HEADERS)


def _list(batch: Mapping[str, Any]) -> Response:
    rows = "".join(_row(row) for row in batch["candidates"])
    count = len(batch["candidates"])
    links = '<p><a href="?format=json">All of it as JSON</a></p>'
    return _page(f"{count:,} samples to label", f"<p><small>Batch {escape(batch['batch'])}</small></p>{links}<ol>{rows}</ol>")


def _row(row: Mapping[str, Any]) -> str:
    text = row["text"]
    shown = text[:_EXCERPT] + ("…" if len(text) > _EXCERPT else "")
    return f'<li><a href="{escape(row["link"])}">{escape(row["driftgate_id"])}</a><br><span lang="" dir="auto">{escape(shown)}</span></li>'


def _tar(service: Service, link: Link) -> Response:
    parcel = service.openings.parcel(link)
    headers = {**_HEADERS, "Content-Length": str(parcel.size), "Content-Disposition": f'attachment; filename="{parcel.name}.tar"'}
    return StreamingResponse(parcel.pieces(), media_type="application/x-tar", headers=headers)


def _page(title: str, body: str, *, status: int = 200) -> Response:
    """Foreign text is escaped, and the policy lets nothing load or run."""
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
    page = f'<!doctype html><html lang="en"><head>{head}<style>{_STYLE}</style></head><body><h1>{escape(title)}</h1>{body}</body></html>'
    return HTMLResponse(page, status, headers={**_HEADERS, "Content-Security-Policy": _POLICY})
