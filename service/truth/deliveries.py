"""Labels as they come in, over HTTP or in files: each is read by itself, so that a bad one never harms the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import lru_cache
from typing import Any

import msgspec

from service.decoding.fields import string_of
from service.decoding.json_text import parse_object
from service.decoding.sample_json import time_of
from service.errors import InputError
from service.observe import Observer
from service.ports import Store
from service.redaction import Redaction
from service.settings import MonitorSettings
from service.truth.taking import MOST_NAMED, Fate, Given, Named, Receipt, take

LONGEST_LABEL = 100_000
"""Bytes."""

_LONGEST_ID, _LONGEST_CLASS = 1_000, 200
"""Characters. The ids of logged inferences are longer than those of samples."""


_FIELDS = ("id", "label", "time", "predicted")
_ALIKE = 0.82
"""Of letters: `tme` and `predcted` are misspelt, `idx` is a field of somebody's own."""


class _Body(msgspec.Struct):
    labels: list[msgspec.Raw]


_body = msgspec.json.Decoder(_Body)


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """Takes deliveries of labels for every monitor."""

    store: Store
    monitor: Callable[[str], MonitorSettings]
    """A monitor's settings with the model in force: its classes are the scheme."""
    observer: Observer
    max_items: int = 10_000

    def deliver(self, monitor: str, body: bytes, *, now: float) -> Receipt:
        """`{"labels": [...]}`; InputError where it is no such document, or too large."""
        try:
            labels = _body.decode(body).labels
        except (msgspec.MsgspecError, RecursionError) as error:
            raise InputError("json", f'{error}; send {{"labels": [{{"id": ..., "label": ...}}]}}') from error
        if not 0 < len(labels) <= self.max_items:
            raise InputError("too_large" if labels else "empty", f"{len(labels)} labels in one request; send 1 to {self.max_items}")
        return self.take(monitor, [(f"labels[{number}]", bytes(raw)) for number, raw in enumerate(labels)], now=now)

    def take(self, monitor: str, documents: Sequence[tuple[str, bytes]], *, now: float) -> Receipt:
        """Labels as JSON, each with where it stands."""
        settings = self.monitor(monitor)
        read = [_read(where, document, settings.classes) for where, document in documents]
        told = Redaction.of(settings.privacy).text
        malformed = [replace(each, message=told(each.message)) for each in read if isinstance(each, Named)]
        taken = take(self.store, settings, [each for each in read if isinstance(each, Given)], now=now)
        receipt = taken.plus(Receipt({Fate.MALFORMED: len(malformed)}, malformed[:MOST_NAMED])) if malformed else taken
        self.observer.labels(monitor, {fate.value: count for fate, count in receipt.counts.items()}, taken.delays)
        return receipt


def _read(where: str, document: bytes, classes: Sequence[str]) -> Given | Named:
    """Fields as those of samples; further ones are ignored, for an export may hold more, but not where they look like one misspelt."""
    try:
        found = _document(document)
        time = None if found.get("time") is None else time_of(found["time"], 0.0, now=0.0, max_ahead=None)
        predicted = string_of(found.get("predicted"), "predicted", _LONGEST_CLASS, classes)
        return Given(_name(found, "id", _LONGEST_ID), _name(found, "label", _LONGEST_CLASS, classes), time, predicted)
    except InputError as error:
        return Named(where, Fate.MALFORMED, f'{error}; a label is {{"id", "label"}}, with `time` and `predicted` where they are known')


def _document(label: bytes) -> dict[str, Any]:
    """A label's fields, none of them misspelt."""
    if len(label) > LONGEST_LABEL:
        raise InputError("too_large", f"longer than {LONGEST_LABEL:,} bytes")
    found = parse_object(label)
    for field in found.keys() - _FIELDS:
        if meant := _meant(field):
            raise InputError("field", f"unknown field {field!r:.40}: is `{meant}` meant?")
    return found


@lru_cache
def _meant(field: str) -> str:
    """Which field is misspelt so, or ''."""
    return next(iter(get_close_matches(field[:_LONGEST_CLASS], _FIELDS, 1, _ALIKE)), "")


def _name(document: Mapping[str, Any], field: str, longest: int, classes: Sequence[str] = ()) -> str:
    name = string_of(document.get(field), field, longest, classes)
    if not name:
        raise InputError("field", f"{field} is missing")
    return name
