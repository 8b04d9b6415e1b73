"""Writes docs/configuration.md from the settings: `python docs/configuration.py` (a test keeps the two in step)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from service.settings import Settings

Schema: TypeAlias = Mapping[str, Any]
PAGE = Path(__file__).with_suffix(".md")

INTRODUCTION = """\
<!-- Written by docs/configuration.py from service/settings; edit those. -->
# Configuration

One YAML file, validated as a whole: every mistake is reported with its field, the value found and what is allowed.
`driftgate init` writes a commented file to start from, `driftgate config schema` prints the JSON schema for editors.

- Relative paths are taken from the folder of the file.
- `DRIFTGATE__SERVER__PORT=9000` overrides `server.port`, and so on for every field outside of lists
  (monitors and destinations come from the file).
- Secrets never stand in the file: it names another file or an environment variable. `DRIFTGATE__INGEST_TOKEN` and
  `DRIFTGATE__WEBHOOK_SECRET` are read from the environment only.
- Fields that are not listed here are errors.
"""


def render(schema: Schema) -> str:
    """The page: a table for the top level and one for each section, in the order in which the file mentions them."""
    sections = [("", "Top level", schema), *_sections(schema, schema, "")]
    return "\n".join([INTRODUCTION, *("\n".join(_section(path, title, part)) for path, title, part in sections)])


def _sections(part: Schema, root: Schema, prefix: str) -> Iterator[tuple[str, str, Schema]]:
    for name, field in part["properties"].items():
        for reference, many in _references(field):
            section = root["$defs"][reference]
            kind = section["properties"].get("type", {}).get("const")
            path = f"{prefix}{name}[]" if many else f"{prefix}{name}"
            yield path, f"`{path}`" + (f" of type `{kind}`" if kind else ""), section
            yield from _sections(section, root, f"{path}.")


def _references(field: Schema) -> Iterator[tuple[str, bool]]:
    """Names of the sections that a field holds, and whether it holds a list of them."""
    many = field.get("type") == "array"
    inner = field.get("items", {}) if many else field
    for option in (inner, *inner.get("oneOf", ()), *inner.get("anyOf", ())):
        if isinstance(option, dict) and "$ref" in option:
            yield option["$ref"].rpartition("/")[2], many


def _section(path: str, title: str, part: Schema) -> Iterator[str]:
    yield f"## {title}\n"
    if path:
        yield part.get("description", "") + "\n"
    yield "| field | value | default | meaning |\n|---|---|---|---|"
    for name, field in part["properties"].items():
        if not any(option.get("writeOnly") for option in field.get("anyOf", ())):
            yield f"| `{name}` | {_value(field)} | {_default(name, field, part)} | {_text(field)} |"
    yield ""


def _default(name: str, field: Schema, part: Schema) -> str:
    if name in part.get("required", ()):
        return "required"
    default = field.get("default")
    if isinstance(default, dict):
        return "its defaults"
    return "" if default in (None, [], "") else f"`{default if isinstance(default, str) else json.dumps(default)}`"


def _text(field: Schema) -> str:
    unsaid = "See below." if next(_references(field), None) else ""
    return str(field.get("description", unsaid)).replace("|", "\\|")


def _value(field: Schema) -> str:
    options = [o for o in field.get("anyOf", ()) if o.get("type") != "null"]
    if options:
        return _value(options[0])
    if "enum" in field or "const" in field:
        return ", ".join(f"`{value}`" for value in field.get("enum", [field.get("const")]))
    if next(_references(field), None):
        return "list of sections" if field.get("type") == "array" else "section"
    if field.get("type") == "array":
        return _list(field)
    kinds: dict[str, str] = {"string": "text", "boolean": "`true`, `false`"}
    kind = "path" if field.get("format") == "path" else kinds.get(field["type"], str(field["type"]))
    return " ".join([kind, *_limits(field)])


def _list(field: Schema) -> str:
    if "prefixItems" in field:
        return f"{len(field['prefixItems'])} × {_value(field['prefixItems'][0])}"
    return f"list of {_value(field['items'])}"


def _limits(field: Schema) -> Iterator[str]:
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    limits = [f"{sign} {field[key]:,.12g}" for key, sign in signs.items() if key in field]
    if limits:
        yield ", ".join(limits)


if __name__ == "__main__":
    PAGE.write_text(render(Settings.model_json_schema()), encoding="utf-8")
