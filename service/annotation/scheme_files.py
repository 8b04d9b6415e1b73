"""A label scheme as people write it: YAML or JSON, a class as a name or with aliases and guideline."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import yaml

from service.annotation.scheme import Draft
from service.errors import InputError
from service.records import LabelScheme

MOST_BYTES = 4_000_000


def read_draft(path: Path) -> Draft:
    """What the file says; InputError names the field that can't be read."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise InputError("file", f"{path}: {path.stat().st_size:,} bytes, at most {MOST_BYTES:,} are read")
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("file", f"{path}: {error}") from error
    except yaml.YAMLError as error:
        raise InputError("file", f"{path}: neither YAML nor JSON: {error}") from error
    return draft_of(document, str(path))


def draft_of(document: Any, where: str) -> Draft:
    """A parsed file. `classes` may hold bare names."""
    if not isinstance(document, Mapping) or not isinstance(document.get("classes"), list):
        raise InputError("scheme", f"{where}: a mapping with `classes`, a list, is taken; `driftgate scheme show --yaml` writes one")
    classes = [{"name": each} if isinstance(each, str) else each for each in document["classes"]]
    _require_known(document, {"classes", "guideline", "renamed", "note"}, where)
    for each in classes:
        if isinstance(each, Mapping):
            _require_known(each, {"name", "aliases", "guideline"}, f"{where}, class {each.get('name', '?')!r:.80}")
    try:
        return msgspec.convert({**document, "classes": classes}, Draft)
    except msgspec.ValidationError as error:
        raise InputError("scheme", f"{where}: {error}") from error


def _require_known(document: Mapping[Any, Any], fields: set[str], where: str) -> None:
    unknown = sorted(set(map(str, document)) - fields)
    if unknown:
        raise InputError("scheme", f"{where}: {unknown[0]!r:.80} is no field; there are {', '.join(sorted(fields))}")


def as_yaml(scheme: LabelScheme) -> str:
    """A file to edit and apply."""
    classes = [
        {"name": each.name}
        | ({"aliases": list(each.aliases)} if each.aliases else {})
        | ({"guideline": each.guideline} if each.guideline else {})
        for each in scheme.classes
    ]
    return yaml.safe_dump({"guideline": scheme.guideline, "classes": classes}, sort_keys=False, allow_unicode=True)
