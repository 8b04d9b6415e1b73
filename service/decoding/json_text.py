"""JSON as we accept it: strict, bounded, without a key given twice."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

from service.errors import InputError

_KEY = re.compile(rb'"[ \t\r\n]*:')


def parse(text: bytes) -> Any:
    """The document; InputError `json` for NaN, broken UTF-8, numbers out of range, a repeated key, deep nesting."""
    try:
        document = msgspec.json.decode(text)
        if len(_KEY.findall(text)) != _count_keys(document):
            json.loads(text, object_pairs_hook=_once)
    except ValueError as error:
        raise InputError("json", f"not JSON that can be read: {error}") from error
    except RecursionError as error:
        raise InputError("json", "nested too deep; a sample needs a few levels at most") from error
    return document


def parse_object(text: bytes) -> dict[str, Any]:
    """The document, which must be an object."""
    document = parse(text)
    if not isinstance(document, dict):
        raise InputError("json", f"expected a JSON object, found {type_name(document)}")
    return document


def type_name(value: object) -> str:
    """What JSON calls the value's type."""
    names = {
        dict: "an object",
        list: "an array",
        str: "a string",
        bool: "a boolean",
        int: "a number",
        float: "a number",
        type(None): "null",
    }
    return names.get(type(value), type(value).__name__)


def _count_keys(document: object) -> int:
    """Keys of the objects inside objects: never more than the text has, so equality with the text's count proves that none was repeated."""
    if not isinstance(document, dict):
        return 0
    return len(document) + sum(_count_keys(value) for value in document.values() if isinstance(value, dict))


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for key, value in pairs:
        if key in members:
            raise ValueError(f"the key {key[:80]!r} is given twice")
        members[key] = value
    return members
