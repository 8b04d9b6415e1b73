"""Writes docs/http-api.md and docs/http-schemas.md from the OpenAPI document: `python docs/http_api.py` (a test keeps them in step)."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from service.api import document

Schema: TypeAlias = Mapping[str, Any]
OPERATIONS, SCHEMAS = Path(__file__).with_name("http-api.md"), Path(__file__).with_name("http-schemas.md")
REFERENCE = "#/components/schemas/"
JSON = "application/json"
WIDTH = 120
EVERYWHERE = ("400", "401", "403", "404", "413", "415", "422", "429", "503")
"""Statuses that api.md tells of once; an operation names those that mean something particular there."""

OF_OPERATIONS = """\
# HTTP operations

<!-- Written by docs/http_api.py from the OpenAPI document; edit service/api. -->

Every operation, by noun. What holds for all of them (tokens, lists, errors, keys against doing twice, conditions) is told on
[the HTTP API](api.md); the fields of bodies and answers stand under [HTTP bodies](http-schemas.md). `driftgate openapi` prints the same as
an OpenAPI 3.1 document.

*Checked by the tests, not run: the examples name samples, alarms and batches of some installation.*
"""
OF_SCHEMAS = """\
# HTTP bodies

<!-- Written by docs/http_api.py from the OpenAPI document; edit service/api. -->

What [operations](http-api.md) take and answer, by name. Of what is sent, a `required` field must be there; answers may have more fields.
"""


def render() -> dict[Path, str]:
    """Both pages."""
    found = document("")
    return {OPERATIONS: "\n".join([OF_OPERATIONS, *_operations(found)]), SCHEMAS: "\n".join([OF_SCHEMAS, *_schemas(found)])}


def _operations(found: Schema) -> Iterator[str]:
    for tag in found["tags"]:
        yield f"## {tag['name'].capitalize()}\n\n{tag['description']}\n"
        for path, methods in found["paths"].items():
            for method, operation in methods.items():
                if operation["tags"][0] == tag["name"]:
                    yield from _operation(method.upper(), path, operation)


def _operation(method: str, path: str, operation: Schema) -> Iterator[str]:
    yield f"### {operation['summary']}\n\n`{method} {path}`\n\n{operation['description']}\n"
    if operation.get("parameters"):
        yield "| parameter | in | value | default | meaning |\n|---|---|---|---|---|"
        yield from (_parameter(each) for each in operation["parameters"])
        yield ""
    yield from _asked(method, path, operation)
    yield "| status | | |\n|---|---|---|"
    for status, answer in operation["responses"].items():
        if status not in EVERYWHERE or JSON in answer.get("content", {}):
            yield _answer(status, answer)
    common = [status for status in operation["responses"] if status in EVERYWHERE]
    if common:
        yield f"| {', '.join(common)} | [problem](api.md#errors) | as everywhere |"
    yield ""


def _parameter(given: Schema) -> str:
    default = "required" if given["required"] else _default(given["schema"])
    return f"| `{given['name']}` | {given['in']} | {_value(given['schema'])} | {default} | {_escaped(given.get('description', ''))} |"


def _asked(method: str, path: str, operation: Schema) -> Iterator[str]:
    """The call with its body, as one would type it."""
    bodies = operation.get("requestBody", {}).get("content", {})
    address = re.sub(r"\{(\w+)\}", lambda name: name[1].upper(), path)
    words = ["curl", *(["-X", method] if method != "GET" and not (method == "POST" and bodies) else [])]
    typed = " ".join(words) + (' -H "Authorization: Bearer $TOKEN"' if operation["security"] else "") + f" localhost:8080{address}"
    media = JSON if JSON in bodies else next(iter(bodies), None)
    if media is None:
        yield f"```sh\n{typed}\n```\n"
        return
    names = [_value(body["schema"]) for body in bodies.values() if body.get("schema", {}).get("format") != "binary"]
    yield f"Takes {', '.join(f'`{each}`' for each in bodies)}" + (f": {', '.join(dict.fromkeys(names))}." if names else ".") + "\n"
    shown = [*(each["value"] for each in bodies[media].get("examples", {}).values()), *[bodies[media].get("example")]]
    if shown[0] is not None:
        sent = shown[0]
        body = sent.strip() if isinstance(sent, str) else compact(sent)
        yield f"```sh\n{typed} \\\n  -H 'Content-Type: {media}' -d {shlex.quote(body)}\n```\n"
    else:
        yield f"```sh\n{typed} -H 'Content-Type: {media}' --data-binary @FILE\n```\n"


def _answer(status: str, answer: Schema) -> str:
    contents = answer.get("content", {})
    body = ", ".join(dict.fromkeys(_body(media, content) for media, content in contents.items()))
    said = answer["description"].removeprefix("Successful Response")
    return f"| {status} | {body} | {_escaped(said)} |"


def _body(media: str, content: Schema) -> str:
    if media == "application/problem+json":
        return "[problem](api.md#errors)"
    return _value(content["schema"]) if media == JSON and content["schema"] else f"`{media}`"


def _schemas(found: Schema) -> Iterator[str]:
    examples = dict(_examples(found))
    for name, schema in sorted(found["components"]["schemas"].items(), key=lambda each: _short(each[0])):
        yield f"## {_short(name)}\n"
        if schema.get("description"):
            yield schema["description"] + "\n"
        if "enum" in schema:
            yield f"One of {', '.join(f'`{value}`' for value in schema['enum'])}.\n"
        if schema.get("properties"):
            yield "| field | value | default | meaning |\n|---|---|---|---|"
            yield from (_field(each, part, schema) for each, part in schema["properties"].items())
            yield ""
        if name in examples:
            yield f"```json\n{compact(examples[name])}\n```\n"


def _examples(found: Schema) -> Iterator[tuple[str, Any]]:
    """By the name of a schema: an example that some operation shows of it."""
    for methods in found["paths"].values():
        for operation in methods.values():
            for holder in [operation.get("requestBody", {}), *operation["responses"].values()]:
                content = holder.get("content", {}).get(JSON, {})
                if "$ref" in content.get("schema", {}) and "example" in content:
                    yield content["schema"]["$ref"].removeprefix(REFERENCE), content["example"]


def _field(name: str, field: Schema, schema: Schema) -> str:
    default = "required" if name in schema.get("required", ()) else _default(field)
    return f"| `{name}` | {_value(field)} | {default} | {_escaped(field.get('description', ''))} |"


def _value(field: Schema) -> str:
    """In words, with a link to what a named part is made of."""
    if "$ref" in field:
        name = _short(field["$ref"].removeprefix(REFERENCE))
        return f"[{name}](http-schemas.md#{name.lower()})"
    options = [_value(each) for each in (*field.get("anyOf", ()), *field.get("oneOf", ()), *field.get("allOf", ()))]
    if options:
        return " or ".join(dict.fromkeys(options))
    if "enum" in field or "const" in field:
        return ", ".join(f"`{value}`" for value in field.get("enum", [field.get("const")]))
    return " ".join([_kind(field), *_limits(field)])


def _kind(field: Schema) -> str:
    match field.get("type"):
        case "array":
            return f"list of {_value(field['items'])}" if field.get("items") else "list"
        case "object" if field.get("additionalProperties"):
            inner = field["additionalProperties"]
            return f"map to {_value(inner)}" if isinstance(inner, dict) else "object"
        case "string":
            return {"date-time": "time", "binary": "bytes"}.get(field.get("format", ""), "text")
        case list(kinds):
            return " or ".join("null" if each == "null" else _value({**field, "type": each}) for each in kinds)
        case kind:
            return {"boolean": "`true`, `false`", None: "any"}.get(kind, str(kind))


def _limits(field: Schema) -> Iterator[str]:
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    limits = [f"{sign} {field[key]:,.12g}" for key, sign in signs.items() if key in field]
    if limits:
        yield ", ".join(limits)
    for key, unit in (("maxLength", "characters"), ("maxItems", "entries")):
        if key in field:
            yield f"(at most {field[key]:,} {unit})"


def _default(field: Schema) -> str:
    default = field.get("default")
    return "" if default in (None, "", [], {}) else f"`{default if isinstance(default, str) else json.dumps(default)}`"


def compact(value: Any, indent: int = 0) -> str:
    """JSON in as few lines as fit."""
    line = json.dumps(value, ensure_ascii=False)
    if len(line) + indent <= WIDTH or not isinstance(value, (dict, list)) or not value:
        return line
    space = " " * (indent + 2)
    if isinstance(value, list):
        inner = [compact(each, indent + 2) for each in value]
        return f"[\n{space}" + f",\n{space}".join(inner) + f"\n{' ' * indent}]"
    inner = [f"{json.dumps(key)}: {compact(each, indent + 2)}" for key, each in value.items()]
    return f"{{\n{space}" + f",\n{space}".join(inner) + f"\n{' ' * indent}}}"


def _short(name: str) -> str:
    """`service__api__audit__EntryView`: of audit, where several have the name."""
    parts = name.split("__")
    return parts[-1] if len(parts) == 1 else f"{parts[-2].capitalize()}{parts[-1]}"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    for page, text in render().items():
        page.write_text(text, encoding="utf-8")
