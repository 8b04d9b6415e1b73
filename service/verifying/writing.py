"""A verification as a file: JSON for programs, Markdown for tickets and pull requests, HTML to look at."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec

from service import moments
from service.errors import InputError
from service.report.parts import Unit
from service.report.rendering import html_page, markdown_page
from service.report.rendering.written import written
from service.screens.drawing import excerpt
from service.verifying.gallery import MOST, Exhibit, gallery
from service.verifying.report import Verified, sections

FORMAT = 1
"""Of the document: raised when a field goes or changes its meaning, not when one is added."""
_EYEBROW = "verification"
_LONGEST = 500


def html(verified: Verified) -> str:
    """One file that opens from disk: no network, no script."""
    return html_page.sheet_page(_EYEBROW, _title(verified), _made(verified), sections(verified))


def markdown(verified: Verified) -> str:
    """Plots become tables, pictures names."""
    return markdown_page.sheet_page(_EYEBROW, _title(verified), _made(verified), sections(verified))


def json_text(verified: Verified) -> str:
    """The document of docs/verification.md."""
    return msgspec.json.format(msgspec.json.encode(document(verified)), indent=2).decode() + "\n"


def document(verified: Verified) -> dict[str, Any]:
    """As plain values."""
    samples = {kind: [_exhibit(each) for each in found[:MOST]] for kind, found in gallery(verified.shown).items()}
    moment = moments.written(verified.made, "seconds")
    models = {"old": dict(verified.old), "new": dict(verified.new)}
    return {"report": FORMAT, "made": moment, **models, **verified.verification, "samples": samples}


WRITERS: Mapping[str, Callable[[Verified], str]] = MappingProxyType({".json": json_text, ".md": markdown, ".html": html})


def check_suffix(path: Path) -> None:
    """InputError where no report is written so, before anything is computed."""
    if path.suffix.lower() not in WRITERS:
        raise InputError("file", f"{path}: a report is written as {', '.join(WRITERS)}; its suffix says which")


def write(verified: Verified, path: Path) -> None:
    """In place of what was there, whole or not at all."""
    check_suffix(path)
    content, draft = WRITERS[path.suffix.lower()](verified), path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(content, encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        raise InputError("file", f"{path}: can't be written: {error}") from error


def _title(verified: Verified) -> str:
    return f"{verified.new.get('name', 'new')} against {verified.old.get('name', 'old')}"


def _made(verified: Verified) -> str:
    sides = ", ".join(f"{side} {_named(model)}" for side, model in (("old", verified.old), ("new", verified.new)))
    return f"Made {written(verified.made, Unit.TIME)}: {sides}."


def _named(model: Mapping[str, Any]) -> str:
    checksum = str(model.get("checksum", ""))[:12]
    return f"{model.get('name', '')} ({checksum}, {model.get('classes', 0):,} classes)"


def _exhibit(found: Exhibit) -> dict[str, Any]:
    told: dict[str, Any] = {name: getattr(found, name) for name in ("id", "of", "label", "old", "new", "confidence")}
    return {**told, "text": excerpt(found.payload, _LONGEST) if isinstance(found.payload, str) else None}
