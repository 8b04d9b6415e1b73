"""JSON as we accept it: strict, bounded, without a key given twice."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

from service.errors import InputError

_KEY = re.compile(rb'"[ \t\r\n]*:')


def parse(text: bytes) -> Any:
    """The document; InputError `not_finite` for NaN and Infinity, which some senders write, `json` for broken UTF-8, numbers out of
    range, a repeated key, deep nesting."""
    try:
        document = msgspec.json.decode(text)
        if _keys_in(text) != _count_keys(document):
            json.loads(text, object_pairs_hook=_once)
    except ValueError as error:
        _refuse_constants(text)
        raise InputError("json", f"not JSON that can be read: {error}") from error
    except RecursionError as error:
        raise InputError("json", "nested too deep; a sample needs a few levels at most") from error
    return document


def parse_array(text: bytes) -> list[bytes]:
    """The items of an array, each as its own JSON. An item with NaN or Infinity in it does not spoil the others."""
    try:
        return [bytes(item) for item in msgspec.json.decode(text, type=list[msgspec.Raw])]
    except ValueError as error:
        items = _lenient(text)
        if not isinstance(items, list):
            raise InputError("json", f"not a JSON array that can be read: {error}") from error
        return [json.dumps(item).encode() for item in items]
    except RecursionError as error:
        raise InputError("json", "not a JSON array that can be read: nested too deep") from error


def wrapped_array(text: bytes, name: str) -> bytes:
    """The array in `{name: [...]}`, as JSON; any other text as it is."""
    try:
        members: Any = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    except (ValueError, RecursionError):
        found = _lenient(text)
        members = {key: json.dumps(value).encode() for key, value in found.items()} if isinstance(found, dict) else {}
    return bytes(members[name]) if members.keys() == {name} else text


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


def _keys_in(text: bytes) -> int:
    """Strings before a colon: at least as many as the objects have keys. A first array without a string, a vector, is passed over."""
    start = text.find(b"[")
    end = text.find(b"]", start)
    if start < 0 or text.find(b'"', start, end) >= 0:
        return len(_KEY.findall(text))
    return len(_KEY.findall(text, 0, start)) + len(_KEY.findall(text, end))


def _count_keys(document: object) -> int:
    """Keys of the objects in objects and in lists of them: never more than the text has, so equality with the text's count proves that
    none was repeated."""
    if isinstance(document, dict):
        return len(document) + sum(_count_keys(value) for value in document.values() if isinstance(value, dict | list))
    if isinstance(document, list) and document and isinstance(document[0], dict):
        return sum(_count_keys(item) for item in document)
    return 0


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for key, value in pairs:
        if key in members:
            raise ValueError(f"the key {key[:80]!r} is given twice")
        members[key] = value
    return members


def _lenient(text: bytes) -> Any:
    """As Python reads JSON, with NaN and Infinity; None where even that fails."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _refuse_constants(text: bytes) -> None:
    """InputError if NaN or Infinity is all that is wrong."""
    try:
        json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return


def _refuse(constant: str) -> None:
    raise InputError("not_finite", f"{constant} is no JSON number; every number must be finite")
