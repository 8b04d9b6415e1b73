"""The documentation page: plain HTML made from the OpenAPI document, without scripts: it works offline and under a strict policy."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

router = APIRouter(include_in_schema=False)

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'"
_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; color: #222; background: #fff }
h2 { margin-top: 2rem; text-transform: capitalize; border-bottom: 1px solid #ccc }
code { font-family: ui-monospace, monospace } .method { display: inline-block; min-width: 3.5rem; font-weight: 600 }
dd { margin: 0 0 1rem 4rem } small { color: #555 }
@media (prefers-color-scheme: dark) { body { color: #ddd; background: #161616 } small { color: #aaa } a { color: #8bf } }
"""


@router.get("/docs")
async def show_documentation(request: Request) -> HTMLResponse:
    """Every operation with what it does and answers; `/openapi.json` has the schemas."""
    return HTMLResponse(_page(request.app.openapi()), headers={"Content-Security-Policy": _POLICY, "X-Content-Type-Options": "nosniff"})


def _page(document: dict[str, Any]) -> str:
    title = f"{document['info']['title']} {document['info']['version']}"
    sections: dict[str, list[str]] = {}
    for tag, entry in _operations(document):
        sections.setdefault(tag, []).append(entry)
    body = "".join(f"<h2>{escape(tag)}</h2><dl>{''.join(entries)}</dl>" for tag, entries in sections.items())
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style></head>'
        f"<body><h1>{escape(title)}</h1><p>{escape(document['info']['description'])}</p>"
        f'<p>Schemas and examples: <a href="openapi.json">openapi.json</a></p>{body}</body></html>'
    )


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            answers = ", ".join(sorted(operation["responses"]))
            heading = f'<code><span class="method">{escape(method.upper())}</span> {escape(path)}</code>'
            entry = f"<dd>{escape(operation['description'])}<br><small>answers {escape(answers)}</small></dd>"
            yield operation["tags"][0], f'<dt id="{escape(operation["operationId"])}">{heading}</dt>{entry}'
