"""The configuration in force: every setting with where it comes from, without secrets; and how each monitor is declared."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fastapi import Request
from fastapi.responses import HTMLResponse

from service.api.console.frame import ROWS, After, page, pages
from service.api.context import Caller, Served
from service.declarations import API, Declared
from service.records import Role
from service.settings import MonitorSettings, Settings, parse

router = pages()

_LONGEST = 200
_MOST_VERSIONS = 50
_LISTED = ("destinations", "monitors", "teams")
"""Shown as tables of their own, or counted."""
_PREFIX = "DRIFTGATE__"


@dataclass(frozen=True, slots=True)
class Setting:
    """One value, as a page shows it."""

    name: str
    """With its sections: `server.port`."""
    value: str
    origin: str


@router.get("/configuration")
def show_configuration(request: Request, service: Served, caller: Caller, after: After = None) -> HTMLResponse:
    """The installation's settings for those who may read all of it, and the monitors that the caller may see."""
    settings, declared = service.settings(), list(service.declaring.declared.items())
    start = int(after) if after and after.isdecimal() and len(after) < 9 else 0
    return page(
        request,
        "configuration.html",
        settings=_installation(settings) if caller.over_all(Role.READER) else (),
        destinations=[_destination(each.model_dump(mode="json")) for each in settings.destinations[:_MOST_VERSIONS]],
        counts={"destinations": len(settings.destinations), "teams": len(settings.teams), "monitors": len(declared)},
        monitors=declared[start : start + ROWS],
        next=str(start + ROWS) if start + ROWS < len(declared) else None,
        named=origin_named,
    )


@router.get("/monitors/{monitor}/configuration")
def show_monitor(monitor: str, request: Request, service: Served) -> HTMLResponse:
    """How one monitor is declared, and the versions of its reference."""
    known = service.declaring.declared[service.known(monitor)]
    document = known.settings.model_dump(mode="json")
    versions = list(reversed(service.references.versions(monitor)))[:_MOST_VERSIONS]
    return page(
        request,
        "monitor_configuration.html",
        monitor=monitor,
        known=known,
        named=origin_named(known.origin),
        by_api=known.origin == API,
        settings=list(_of_monitor(known, service.settings().policy.defaults)),
        document=json.dumps(masked(document), indent=1, ensure_ascii=False),
        versions=versions,
        warnings=[warning for made in versions if made["active"] for warning in made.get("warnings", ())],
    )


def origin_named(origin: str) -> str:
    """How people call it."""
    return {API: "the API", "program": "the program that started it"}.get(origin, f"the file {origin}")


def _installation(settings: Settings) -> Sequence[Setting]:
    given = settings.model_dump(mode="json", exclude=set(_LISTED))
    default = parse({}, base=Path(), environment=False).model_dump(mode="json", exclude=set(_LISTED))
    return [Setting(name, _written(value), _origin(name, value, default)) for name, value in _flat(given)]


def _origin(name: str, value: Any, default: Mapping[str, Any]) -> str:
    """The environment stands over the file; a file that says what is so anyhow is not told apart."""
    variable = _PREFIX + name.upper().replace(".", "__")
    if variable in os.environ:
        return variable
    return "default" if dict(_flat(default)).get(name, None) == value else "configuration file"


def _of_monitor(known: Declared, policy: Mapping[str, Any]) -> Iterator[Setting]:
    default = dict(_flat(MonitorSettings.model_validate({"name": known.settings.name, "embedder": _BARE}).model_dump(mode="json")))
    inherited = dict(_flat(policy))
    for name, value in _flat(known.settings.model_dump(mode="json")):
        if name in inherited and inherited[name] == value:
            origin = "policy"
        else:
            origin = "default" if name in default and default[name] == value else origin_named(known.origin)
        yield Setting(name, _written(_mask(name, value)), origin)


_BARE = {"input": "none", "dimension": 1}


def _destination(document: Mapping[str, Any]) -> Sequence[Setting]:
    return [Setting(name, _written(_mask(name, value)), "") for name, value in _flat(document) if value not in (None, "", [], {})]


def _flat(document: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(name with its sections, value), lists as they are."""
    for name, value in document.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def masked(document: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The document with nothing that an address may hide."""
    return {
        name: masked(value, f"{prefix}{name}.") if isinstance(value, Mapping) else _mask(prefix + name, value)
        for name, value in document.items()
    }


def _mask(name: str, value: Any) -> Any:
    """Of an address the host: its path may be a secret (Slack), and so is a password before the host."""
    if not isinstance(value, str) or "://" not in value or name.endswith("_file"):
        return value
    found = urlsplit(value)
    host = found.hostname or ""
    return f"{found.scheme}://{host}{f':{found.port}' if found.port else ''}{'/…' if found.path.strip('/') or found.query else ''}"


def _written(value: Any) -> str:
    text = "–" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
