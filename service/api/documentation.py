"""The documentation page: plain HTML made from the OpenAPI document, without scripts: it works offline and under a strict policy."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from service.api.openapi import Operation, operations

router = APIRouter(include_in_schema=False)

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'"
_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; color: #222; background: #fff }
h2 { margin-top: 2rem; text-transform: capitalize; border-bottom: 1px solid #ccc }
code, pre { font-family: ui-monospace, monospace } .method { display: inline-block; min-width: 3.5rem; font-weight: 600 }
dd { margin: 0 0 1rem 4rem } small { color: #555 } p { white-space: pre-line }
pre { overflow-x: auto; border-left: 3px solid #ccc; padding-left: .75rem; font-size: .85rem; max-height: 24rem }
@media (prefers-color-scheme: dark) { body { color: #ddd; background: #161616 } small { color: #aaa } a { color: #8bf } }
"""


@router.get("/docs")
async def show_documentation(request: Request) -> HTMLResponse:
    """Every operation with what it does, takes and answers; `/openapi.json` has the schemas."""
    return HTMLResponse(_page(request.app.openapi()), headers={"Content-Security-Policy": _POLICY, "X-Content-Type-Options": "nosniff"})


def _page(document: dict[str, Any]) -> str:
    title = f"{document['info']['title']} {document['info']['version']}"
    sections: dict[str, list[str]] = {tag["name"]: [] for tag in document["tags"]}
    for method, path, operation in operations(document):
        sections[operation["tags"][0]].append(_entry(method, path, operation))
    says = {tag["name"]: tag["description"] for tag in document["tags"]}
    body = "".join(
        f"<h2>{escape(tag)}</h2><p>{escape(says[tag])}</p><dl>{''.join(entries)}</dl>" for tag, entries in sections.items() if entries
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>"
        f"<body><h1>{escape(title)}</h1><p>{escape(document['info']['description'])}</p>"
        f'<p>Schemas: <a href="openapi.json">openapi.json</a></p>{body}</body></html>'
    )


def _entry(method: str, path: str, operation: Operation) -> str:
    heading = f'<code><span class="method">{escape(method)}</span> {escape(path)}</code>'
    says = f"<p>{escape(operation['description'])}</p>{_parameters(operation)}{''.join(_examples(operation))}"
    return f'<dt id="{escape(operation["operationId"])}">{heading}</dt><dd>{says}{_refusals(operation)}</dd>'


def _parameters(operation: Operation) -> str:
    rows = [
        f"<li><code>{escape(each['name'])}</code> ({escape(each['in'])}{', required' if each['required'] else ''}) "
        f"{escape(each.get('description', ''))}</li>"
        for each in operation.get("parameters", ())
    ]
    return f"<ul>{''.join(rows)}</ul>" if rows else ""


def _examples(operation: Operation) -> Iterator[str]:
    """What is sent, and what comes back where all is well."""
    places = {"Request": operation.get("requestBody", {})}
    places |= {f"Answer {status}": answer for status, answer in operation["responses"].items() if status.startswith("2")}
    for name, place in places.items():
        for media, content in place.get("content", {}).items():
            for example in _shown(content):
                yield f"<details><summary>{escape(name)}: {escape(media)}</summary><pre>{escape(example)}</pre></details>"


def _shown(content: Mapping[str, Any]) -> Iterator[str]:
    values = [content["example"]] if "example" in content else [each["value"] for each in content.get("examples", {}).values()]
    for value in values:
        yield value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)


def _refusals(operation: Operation) -> str:
    refused = {status: answer["description"] for status, answer in operation["responses"].items() if not status.startswith("2")}
    rows = "".join(f"<li>{escape(status)}: {escape(description)}</li>" for status, description in refused.items())
    return f"<details><summary>Refusals</summary><ul>{rows}</ul></details>" if refused else ""
