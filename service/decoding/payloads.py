"""The payload of a sample: text, image or vector, checked for what every embedder needs."""

from __future__ import annotations

import base64
import math
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.decoding.json_text import type_name
from service.decoding.options import SampleOptions
from service.errors import InputError
from service.records import Payload

FIELDS = ("text", "image", "vector")


def payload_of(document: Mapping[str, Any], options: SampleOptions) -> Payload:
    """The one payload that the document holds."""
    given = [field for field in FIELDS if document.get(field) is not None]
    if len(given) != 1:
        found = " and ".join(given) or f"none, only {', '.join(sorted(map(str, document)))[:200] or 'nothing'}"
        raise InputError("payload", f"give exactly one of text, image and vector; found {found}")
    match given[0]:
        case "text":
            return text_of(document["text"], options.max_text_bytes)
        case "image":
            return image_of(document["image"], options)
        case _:
            return vector_of(document["vector"])


def text_of(value: object, max_bytes: int) -> str:
    """A text that is not blank."""
    if not isinstance(value, str):
        raise InputError("payload", f"text: expected a string, found {type_name(value)}")
    if not value or value.isspace():
        raise InputError("empty", "text is blank")
    try:
        size = len(value.encode())
    except UnicodeEncodeError as error:
        raise InputError("payload", "text holds half of a surrogate pair; send valid Unicode") from error
    if size > max_bytes:
        raise InputError("too_large", f"text of {size} bytes; at most {max_bytes} are taken (embedder.max_text_bytes)")
    return value


def vector_of(value: object) -> NDArray[np.float32]:
    """A finite float32 array; nested lists of one shape are a tensor."""
    flat = _flat(value)
    return _array(value) if flat is None else flat


def _flat(value: object) -> NDArray[np.float32] | None:
    """A list of floats, as nearly every vector is, six times as fast as numpy reads it; None for what needs a closer look."""
    if type(value) is not list or not value or type(value[0]) is not float:
        return None
    try:
        array = np.frombuffer(struct.pack(f"{len(value)}f", *value), np.float32)
    except (struct.error, OverflowError):
        return None
    return array if math.isfinite(np.vdot(array, array)) else None


def _array(value: object) -> NDArray[np.float32]:
    try:
        array = np.array(value)
    except ValueError as error:
        raise InputError("payload", "vector: rows of different lengths; a tensor has one shape") from error
    if array.dtype.kind not in "iuf" or not array.ndim:
        raise InputError("payload", "vector: expected a list of numbers, or lists of one shape")
    if not array.size:
        raise InputError("empty", "vector has no elements")
    with np.errstate(over="ignore"):
        array = array.astype(np.float32)
    if not np.isfinite(array).all():
        raise InputError("not_finite", "vector holds a value that is not finite in float32")
    return array


def image_of(value: object, options: SampleOptions) -> bytes:
    """An encoded image: bytes, base64, or a path where paths are allowed. Whether it is one, the embedder tells."""
    if isinstance(value, str):
        inline = value.partition(",")[2] if value.startswith("data:") else value
        image = _read(value, options) if "." in inline else _unbase64(inline, options.max_bytes)
    elif isinstance(value, bytes):
        image = value
    else:
        raise InputError("image", f"image: expected base64 or a path, found {type_name(value)}")
    if not image:
        raise InputError("empty", "image has no bytes")
    if len(image) > options.max_bytes:
        raise InputError("too_large", f"image of {len(image)} bytes; at most {options.max_bytes} are taken")
    return image


def _unbase64(text: str, max_bytes: int) -> bytes:
    if len(text) > 2 * max_bytes:
        raise InputError("too_large", f"image of {len(text)} base64 characters; at most {max_bytes} bytes are taken")
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except ValueError as error:
        raise InputError("image", f"image: not base64 ({error}); a path needs a file name with a suffix") from error


def _read(name: str, options: SampleOptions) -> bytes:
    if options.image_root is None:
        raise InputError("image_path", "image: paths are read from files only; send the image as base64")
    try:
        root = options.image_root.resolve()
        path = (root / name).resolve()
        if not path.is_relative_to(root):
            raise InputError("image_path", f"image {name!r:.100}: lies outside of {options.image_root}")
        if not path.is_file():
            raise InputError("image", f"image {name!r:.100}: no such file below {options.image_root}")
        with path.open("rb") as file:
            return file.read(options.max_bytes + 1)
    except (OSError, ValueError) as error:
        raise InputError("image", f"image {name!r:.100}: {error}") from error
