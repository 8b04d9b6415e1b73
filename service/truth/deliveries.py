"""Labels as they come in, over HTTP or in files: each is read by itself, so that a bad one never harms the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

import msgspec

from service.errors import InputError
from service.observe import Observer
from service.ports import Store
from service.settings import MonitorSettings
from service.truth.taking import MOST_NAMED, Fate, Given, Named, Receipt, take

_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=1_000)]
_Class = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class _Body(msgspec.Struct):
    labels: list[msgspec.Raw]


class _Label(msgspec.Struct):
    """Further fields are ignored: an export may hold more."""

    id: _Id
    label: _Class
    time: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    predicted: _Class | None = None


_body = msgspec.json.Decoder(_Body)
_label = msgspec.json.Decoder(_Label)


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
        except msgspec.MsgspecError as error:
            raise InputError("json", f'{error}; send {{"labels": [{{"id": ..., "label": ...}}]}}') from error
        if not 0 < len(labels) <= self.max_items:
            raise InputError("too_large" if labels else "empty", f"{len(labels)} labels in one request; send 1 to {self.max_items}")
        return self.take(monitor, [(f"labels[{number}]", bytes(raw)) for number, raw in enumerate(labels)], now=now)

    def take(self, monitor: str, documents: Sequence[tuple[str, bytes]], *, now: float) -> Receipt:
        """Labels as JSON, each with where it stands."""
        read = [_read(where, document) for where, document in documents]
        malformed = [each for each in read if isinstance(each, Named)]
        receipt = take(self.store, self.monitor(monitor), [each for each in read if isinstance(each, Given)], now=now)
        if malformed:
            receipt = receipt.plus(Receipt({Fate.MALFORMED: len(malformed)}, malformed[:MOST_NAMED]))
        self.observer.labels(monitor, {fate.value: count for fate, count in receipt.counts.items()}, receipt.delays)
        return receipt


def _read(where: str, document: bytes) -> Given | Named:
    try:
        found = _label.decode(document)
    except msgspec.MsgspecError as error:
        return Named(where, Fate.MALFORMED, f'{error}; a label is {{"id", "label"}}, with `time` (RFC 3339) and `predicted` where known')
    return Given(found.id, found.label, None if found.time is None else found.time.timestamp(), found.predicted)
