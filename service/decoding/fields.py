"""The smaller fields of a sample: names, segment tags and what the model answered."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from service.decoding.json_text import type_name
from service.errors import InputError
from service.records import Output

MAX_TAGS = 16
MAX_TAG_VALUE = 200
MAX_CLASSES = 10_000


def string_of(value: object, field: str, longest: int, classes: Sequence[str] = ()) -> str | None:
    """A name; numbers and booleans become text, integers the class at that position where classes are given."""
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(classes):
        return classes[value]
    text = _scalar(value)
    if text is None:
        raise InputError("field", f"{field}: expected a string, found {type_name(value)}")
    if len(text) > longest:
        raise InputError("field", f"{field}: {len(text)} characters; at most {longest} are taken")
    return text


def segments_of(value: object) -> dict[str, str]:
    """Tags and their values; a null value is an absent tag."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InputError("segments", f"segments: expected an object of tags, found {type_name(value)}")
    if len(value) > MAX_TAGS:
        raise InputError("segments", f"segments: {len(value)} tags; at most {MAX_TAGS} are taken")
    return {_tag(tag): _tag_value(tag, worth) for tag, worth in value.items() if worth is not None}


def output_of(value: object, classes: Sequence[str]) -> Output | None:
    """What the model answered; without a label of its own, the likeliest class where the classes are known."""
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise InputError("output", f"output: expected an object, found {type_name(value)}")
    probabilities = class_values(value.get("probabilities"), "probabilities", classes)
    logits = class_values(value.get("logits"), "logits", classes)
    if probabilities and not all(-1e-3 <= p <= 1 + 1e-3 for p in probabilities):
        raise InputError("output", "output.probabilities: each must lie between 0 and 1; send unbounded values as logits")
    label = string_of(value.get("label"), "output.label", 200, classes)
    version = string_of(value.get("model_version"), "output.model_version", 200)
    found = answer(label, probabilities, logits, classes=classes, model_version=version)
    return None if found == Output() else found


def answer(
    label: str | None,
    probabilities: tuple[float, ...] | None = None,
    logits: tuple[float, ...] | None = None,
    *,
    classes: Sequence[str] = (),
    model_version: str | None = None,
) -> Output:
    """An output whose label follows from its values where the model named none."""
    values = probabilities or logits
    if label is None and values and len(values) == len(classes):
        label = classes[int(np.argmax(values))]
    return Output(label, probabilities, logits, model_version)


def class_values(value: object, field: str, classes: Sequence[str]) -> tuple[float, ...] | None:
    """One finite number per class, in the order of the classes."""
    if value is None:
        return None
    if isinstance(value, Mapping):
        value = _ordered(value, field, classes)
    try:
        array = np.array(value)
    except ValueError as error:
        raise InputError("output", f"output.{field}: expected one number per class") from error
    if array.ndim != 1 or array.dtype.kind not in "iuf" or not 0 < array.size <= MAX_CLASSES:
        raise InputError("output", f"output.{field}: expected one number per class, at most {MAX_CLASSES}")
    if classes and array.size != len(classes):
        raise InputError("output", f"output.{field}: {array.size} values for the monitor's {len(classes)} classes")
    if not np.isfinite(array).all():
        raise InputError("output", f"output.{field}: holds a value that is not finite")
    return tuple(array.astype(float).tolist())


def _ordered(value: Mapping[str, Any], field: str, classes: Sequence[str]) -> list[Any]:
    if not classes:
        raise InputError("output", f"output.{field}: an object of classes needs the monitor's `classes`; declare them or send a list")
    unknown = [str(name) for name in value if name not in classes]
    missing = [name for name in classes if name not in value] if field == "logits" else []
    if unknown or missing:
        raise InputError("output", f"output.{field}: class {(unknown or missing)[0]!r:.80} is {'not declared' if unknown else 'missing'}")
    return [value.get(name, 0.0) for name in classes]


def _tag(tag: object) -> str:
    if not isinstance(tag, str) or not 0 < len(tag) <= 63 or _scalar(tag) is None:
        raise InputError("segments", f"segments: tag {tag!r:.80} must have 1 to 63 characters")
    return tag


def _tag_value(tag: object, value: object) -> str:
    text = _scalar(value)
    if text is None or len(text) > MAX_TAG_VALUE:
        raise InputError("segments", f"segments.{tag}: expected a string of at most {MAX_TAG_VALUE} characters, found {value!r:.80}")
    return text


def _scalar(value: object) -> str | None:
    """The text of a string, finite number or boolean; None for what has none, in UTF-8 or at all."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str | int | float) or (isinstance(value, float) and not math.isfinite(value)):
        return None
    try:
        text = str(value)
        text.encode()
    except ValueError:
        return None
    return text
