"""JSON as we accept it: strict, bounded, without a key given twice."""

from __future__ import annotations

import json
import re
from typing import Any, TypeVar

import msgspec

from service.errors import InputError

T = TypeVar("T")

_KEY = re.compile(rb'"[ \t\r\n]*:')


def parse(text: bytes) -> Any:
    """The document; InputError `not_finite` for NaN and Infinity, which some senders write, `json` for broken UTF-8, numbers out of
    range, a repeated key, deep nesting."""
    try:
        document = msgspec.json.decode(text)
        if len(_KEY.findall(text)) != _count_keys(document):
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


def elements(text: bytes) -> list[bytes]:
    """An array's elements as JSON texts, each to be judged by itself: one that holds NaN (some writers do) spoils no other."""
    try:
        return [bytes(element) for element in msgspec.json.decode(text, type=list[msgspec.Raw])]
    except ValueError:
        return [json.dumps(element).encode() for element in _leniently(text, list)]


def members(text: bytes) -> dict[str, bytes]:
    """An object's members as JSON texts, in the same way."""
    try:
        return {name: bytes(member) for name, member in msgspec.json.decode(text, type=dict[str, msgspec.Raw]).items()}
    except ValueError:
        return {name: json.dumps(member).encode() for name, member in _leniently(text, dict).items()}


def _leniently(text: bytes, kind: type[T]) -> T:
    document = json.loads(text, object_pairs_hook=_once)
    if not isinstance(document, kind):
        raise ValueError(f"expected {type_name(kind())}, found {type_name(document)}")  # noqa: TRY004 - what is read is wrong, not the caller
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
