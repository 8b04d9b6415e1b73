"""The table of values in the chart's README, made from the comments of values.yaml."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import yaml

_KEY = re.compile(r"^( *)([A-Za-z][A-Za-z0-9]*):(?:\s|$)")
_COMMENT = re.compile(r"^( *)# ?(.*)$")
_LONGEST = 60
"""Characters of a default that a table shows."""


@dataclass(frozen=True, slots=True)
class Value:
    """A key, and what is said above it."""

    path: tuple[str, ...]
    says: str
    documented: bool
    """By a comment that begins with `--`; any other is the introduction of its section."""


def values(text: str) -> Sequence[Value]:
    """Every key with a comment directly above it, in the file's order."""
    found, path, said = list[Value](), list[tuple[int, str]](), list[str]()
    for line in text.splitlines():
        if comment := _COMMENT.match(line):
            said.append(comment[2])
            continue
        if key := _KEY.match(line):
            indent = len(key[1])
            path = [*((at, name) for at, name in path if at < indent), (indent, key[2])]
            if said:
                documented = said[0].startswith("-- ")
                found.append(Value(tuple(name for _, name in path), " ".join(said).removeprefix("-- "), documented))
        said = []
    return found


def tables(text: str) -> str:
    """What concerns the whole release first, then a table for each section."""
    known, document = values(text), yaml.safe_load(text)
    inner = {value.path[0] for value in known if len(value.path) > 1}
    whole = [value for value in known if value.documented and value.path[0] not in inner]
    parts = [_table(whole, document)]
    for name, section in groupby((value for value in known if value.path[0] in inner), key=lambda value: value.path[0]):
        rows = list(section)
        said = [value.says for value in rows if value.path == (name,)]
        parts.append("\n\n".join([f"### `{name}`", *said, _table([value for value in rows if value.path != (name,)], document)]))
    return "\n\n".join(parts)


def _table(rows: Sequence[Value], document: Any) -> str:
    return "\n".join(["| value | default | meaning |", "|---|---|---|", *(_row(value, document) for value in rows)])


def _row(value: Value, document: Any) -> str:
    return f"| `{'.'.join(value.path)}` | {_default(value.path, document)} | {value.says.replace('|', chr(92) + '|')} |"


def _default(path: Sequence[str], document: Any) -> str:
    found = document
    for name in path:
        found = found[name]
    if found in ("", None) or (isinstance(found, dict) and any(isinstance(inner, dict) for inner in found.values())):
        return ""
    shown = found if isinstance(found, str) else json.dumps(found)
    return f"`{shown}`" if len(shown) <= _LONGEST else "see values.yaml"


def undocumented(text: str) -> Iterator[str]:
    """Keys that no comment covers, neither their own nor that of one they lie in."""
    said = {value.path for value in values(text) if value.documented}

    def walk(found: Any, path: tuple[str, ...]) -> Iterator[str]:
        if path in said and not any(each[: len(path)] == path for each in said - {path}):
            return
        if isinstance(found, dict) and found:
            for name, inner in found.items():
                yield from walk(inner, (*path, name))
        elif path not in said:
            yield ".".join(path)

    yield from walk(yaml.safe_load(text), ())
