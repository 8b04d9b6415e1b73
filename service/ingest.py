"""From a request's body to durable entries of the log, with an answer per item."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import NoReturn

from service.decoding import envelope
from service.decoding.json_text import wrapped_array
from service.decoding.kserve import decode_events
from service.decoding.options import SampleOptions
from service.decoding.sample_json import decode_sample, decode_samples
from service.errors import InputError, NotFoundError
from service.observe import Observer
from service.ports import Sink
from service.records import Item, Payload, Rejected, Request, Response, Sample
from service.records.erasure import forgotten_id
from service.redaction import Redaction, passed
from service.settings import MonitorSettings

UNROUTED = ""
"""Stands for the monitor of an event that belongs to none."""

Take = Callable[[Mapping[str, int], float], None]
"""Told how many samples of each monitor are about to be taken, and when; BacklogFullError where that is too many."""

Check = Callable[[Payload], None]
"""An embedder's `check`: InputError for a payload that can't be embedded."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one item of a request."""

    index: int
    id: str | None
    """The sender's; None where it gave none."""
    reason: str | None = None
    message: str | None = None

    @property
    def status(self) -> str:
        """`accepted`: durably in the log."""
        return "accepted" if self.reason is None else "rejected"


@dataclass(frozen=True, slots=True)
class _Declared:
    """The monitors there are, replaced as a whole."""

    settings: tuple[MonitorSettings, ...]
    options: Mapping[str, SampleOptions]

    @property
    def rules(self) -> Mapping[str, Redaction]:
        """What is replaced in whose."""
        return {name: options.redaction for name, options in self.options.items()}


class Ingest:
    """Decodes, checks, appends, answers; the API above it is only HTTP. Safe to call from several threads.

    `check` gives a monitor's check in force, None where samples are checked by the worker alone; it is asked once per request.
    """

    def __init__(
        self,
        sink: Sink,
        monitors: Sequence[MonitorSettings],
        check: Callable[[str], Check | None],
        *,
        observer: Observer,
        max_items: int = 10_000,
        take: Take = lambda _, __: None,
    ) -> None:
        self._sink = sink
        self._take = take
        self._check = check
        self._observer = observer
        self._max_items = max_items
        self.forgotten: Callable[[], frozenset[str]] = frozenset
        """What must not be taken again: it is answered as what is repeated, and goes nowhere."""
        self.declare(monitors)

    def declare(self, monitors: Sequence[MonitorSettings]) -> None:
        """From the next request on these are the monitors."""
        self._declared = _Declared(tuple(monitors), {monitor.name: SampleOptions.of(monitor) for monitor in monitors})

    @property
    def monitors(self) -> tuple[str, ...]:
        """The monitors that samples can be sent to."""
        return tuple(self._declared.options)

    def only(self, monitors: Collection[str]) -> Ingest:
        """The same for some monitors: what is meant for others belongs to none."""
        narrow = copy(self)
        kept = tuple(settings for settings in self._declared.settings if settings.name in monitors)
        narrow._declared = _Declared(kept, {monitor.name: self._declared.options[monitor.name] for monitor in kept})
        return narrow

    def samples(self, monitor: str, body: bytes, *, lines: bool, now: float) -> tuple[Answer, ...]:
        """Takes the good samples of a body and refuses the others, each with its reason; returns once the good ones are durable."""
        options = self._declared.options.get(monitor)
        if options is None:
            raise NotFoundError(f"no monitor {monitor!r:.80}; there are: {', '.join(self.monitors) or 'none'}")
        options = replace(options, check=self._check(monitor))
        if lines:
            decoded = self._lines(body, monitor, options, now)
        else:
            decoded = decode_samples(_inner(body), monitor=monitor, now=now, options=options, max_items=self._max_items)
        if not decoded:
            raise InputError("empty", 'no samples in the body; send an object, an array, {"samples": [...]} or one object per line')
        self._take({monitor: sum(isinstance(item, Sample) for item in decoded)}, now)
        self._observer.received(monitor, len(decoded))
        self._append([item for item in decoded if isinstance(item, Sample)], now)
        refused = [item for item in decoded if isinstance(item, Rejected)]
        for item in refused:
            self._observer.rejected(monitor, item.reason)
        return tuple(_answer(index, item) for index, item in enumerate(decoded))

    def events(self, headers: Mapping[str, str], body: bytes, *, now: float) -> tuple[Answer, ...]:
        """Takes logged inferences. What can't be used goes into the log too, as a dead letter: loggers can't react to an answer.

        InputError when nothing in the body is a CloudEvent. Payloads are checked by the worker, whose dead letters these become.
        """
        items = decode_events(headers, body, monitors=self._declared.settings, now=now)
        if items and all(_is_no_event(item) for item in items):
            self._refuse(items)
        self._take(_samples_in(items), now)
        for item in items:
            self._observer.received(item.monitor or UNROUTED, len(item.samples) if isinstance(item, Request) else 1)
        self._append(items, now)
        return tuple(_answer(index, item) for index, item in enumerate(items))

    def _refuse(self, items: Sequence[Item]) -> NoReturn:
        refused = [item for item in items if isinstance(item, Rejected)]
        for item in refused:
            self._observer.rejected(UNROUTED, item.reason)
        raise InputError(refused[0].reason, f"no CloudEvent: {refused[0].message}")

    def _lines(self, body: bytes, monitor: str, options: SampleOptions, now: float) -> list[Sample | Rejected]:
        lines = [line for line in body.split(b"\n") if line.strip()]
        if len(lines) > self._max_items:
            raise InputError("too_large", f"{len(lines)} samples in one request; send at most {self._max_items}")
        return [decode_sample(line, monitor=monitor, now=now, options=options) for line in lines]

    def _append(self, items: Sequence[Item], now: float) -> None:
        items = [passed(item, self._declared.rules) if isinstance(item, Rejected) else item for item in items]
        if forgotten := self.forgotten():
            items = [left for item in items if (left := _without(item, forgotten)) is not None]
        if items:
            self._sink.append([envelope.encode(item) for item in items], now=now, keys=[_key(item) for item in items])


def _without(item: Item, forgotten: Collection[str]) -> Item | None:
    """What is left of an item without what was forgotten."""
    if isinstance(item, Sample):
        return None if forgotten_id(item.monitor, item.id) in forgotten else item
    if isinstance(item, Request):
        kept = tuple(sample for sample in item.samples if _without(sample, forgotten) is not None)
        return replace(item, samples=kept) if kept else None
    return item


def _inner(body: bytes) -> bytes:
    """The array in `{"samples": [...]}`; any other body as it is, for the sample decoder to judge."""
    return wrapped_array(body, "samples") if b'"samples"' in body else body


def _samples_in(items: Sequence[Item]) -> Mapping[str, int]:
    counts = Counter[str]()
    for item in items:
        if isinstance(item, Request):
            counts[item.monitor] += len(item.samples)
    return counts


def _is_no_event(item: Item) -> bool:
    """Whether it failed before it could be routed."""
    return isinstance(item, Rejected) and item.monitor is None and item.reason != "unrouted"


def _key(item: Item) -> str:
    """Request and response of one event meet in one partition."""
    match item:
        case Request() | Response():
            return item.event_id
        case Sample():
            return item.id
        case Rejected():
            return ""


def _answer(index: int, item: Item) -> Answer:
    match item:
        case Rejected():
            return Answer(index, None, item.reason, item.message)
        case Sample():
            return Answer(index, item.id or None)
        case Request() | Response():
            return Answer(index, item.event_id)
