"""Samples as JSON: `{"id", "time", "text" | "image" | "vector", "segments", "output", "label"}`, from HTTP and from files.

Times are RFC 3339, taken as UTC where they name no zone, or seconds since the epoch. An image is base64 (a data URL too) or,
in files only, a path relative to the file; a string with a dot is a path, because base64 has none. A vector may be nested:
a tensor. Integer labels are positions in the monitor's classes, where these are declared. Fields of other names are ignored.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import msgspec

from service.decoding.fields import output_of, segments_of, string_of
from service.decoding.json_text import parse, parse_array, parse_object
from service.decoding.options import SampleOptions
from service.decoding.payloads import payload_of
from service.errors import InputError
from service.records import KEPT_BYTES, Rejected, Sample
from service.redaction import NOTHING, Redaction


def decode_sample(
    item: bytes | Mapping[str, Any],
    *,
    monitor: str,
    now: float,
    default_id: str = "",
    default_time: float = math.nan,
    options: SampleOptions,
) -> Sample | Rejected:
    """One sample from JSON text or from a document already read; the defaults (empty, NaN) are what the log replaces."""
    try:
        document = _document(item, options)
        payload = payload_of(document, options)
        if options.check is not None:
            options.check(payload)
        sample = Sample(
            monitor,
            string_of(document.get("id"), "id", 256) or default_id,
            time_of(document.get("time"), default_time, now=now, max_ahead=options.max_ahead),
            payload,
            segments_of(document.get("segments")),
            output_of(document.get("output"), options.classes),
            string_of(document.get("label"), "label", 200, options.classes),
        )
    except InputError as error:
        redaction = options.redaction
        return Rejected(error.reason, redaction.text(str(error)), original_of(item, redaction), monitor=monitor)
    return options.redaction.sample(sample)


def decode_samples(body: bytes, *, monitor: str, now: float, options: SampleOptions, max_items: int = 10_000) -> list[Sample | Rejected]:
    """A request's body: one sample or an array of them, each judged by itself. InputError when the body as a whole can't be read."""
    if body.lstrip()[:1] != b"[":
        return [decode_sample(body, monitor=monitor, now=now, options=options)]
    items = parse_array(body)
    if len(items) > max_items:
        raise InputError("too_large", f"{len(items)} samples in one request; send at most {max_items}")
    decoded = [decode_sample(item, monitor=monitor, now=now, options=options) for item in items]
    return [replace(item, index=i) if isinstance(item, Rejected) else item for i, item in enumerate(decoded)]


def time_of(value: object, default: float, *, now: float, max_ahead: float | None) -> float:
    """Seconds since the epoch, of an RFC 3339 string, a number of seconds or a datetime."""
    if value is None:
        return default
    try:
        moment = value if isinstance(value, datetime) else msgspec.convert(value, datetime, strict=False)
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError) as error:
        raise InputError(
            "time", f"time {value!s:.60}: expected RFC 3339, like 2026-03-01T12:00:00Z, or seconds since the epoch: {error}"
        ) from error
    if max_ahead is not None and seconds > now + max_ahead:
        raise InputError(
            "time_future",
            f"time {value!s:.60} lies {seconds - now:.0f} s ahead (allowed: {max_ahead:.0f}); check the sender's clock",
        )
    return seconds


def original_of(item: bytes | Mapping[str, Any], redaction: Redaction = NOTHING) -> bytes:
    """What came, as it may be kept: redacted first, so that no cut goes through what is to be found, then cut."""
    if isinstance(item, bytes):
        return redaction.raw(item)[:KEPT_BYTES]
    try:
        return redaction.raw(msgspec.json.encode(item, enc_hook=_shown))[:KEPT_BYTES]
    except (ValueError, TypeError, OverflowError, RecursionError):
        return b""


def _shown(value: object) -> str:
    return repr(value)


def _document(item: bytes | Mapping[str, Any], options: SampleOptions) -> Mapping[str, Any]:
    if isinstance(item, bytes) and len(item) > options.max_bytes:
        raise InputError("too_large", f"a sample of {len(item)} bytes; at most {options.max_bytes} are taken")
    if options.document is not None:
        return options.document(options.redaction.document(parse(item) if isinstance(item, bytes) else item))
    document = parse_object(item) if isinstance(item, bytes) else item
    return options.redaction.document(document) if options.redaction else document
