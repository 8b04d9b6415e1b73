"""Decoded items as the embedded log keeps them: a version byte, then MessagePack arrays; vectors and images are kept bit for bit."""

from __future__ import annotations

import math
import struct
from typing import Any, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from service.records import KEPT_BYTES, Item, Output, Rejected, Request, Response, Sample

CONTENT_TYPE = "application/vnd.driftgate.item"
"""Of a record that holds one, in a log that holds others too."""

VERSION = 1
_DIGITS = 9
"""Of an instance's number, at most."""
_VECTOR = 1
"""The extension code of a float32 array: number of axes (uint8), their lengths (uint32), the values, all little-endian."""


class _Output(msgspec.Struct, array_like=True, frozen=True):
    label: str | None
    probabilities: tuple[float, ...] | None
    logits: tuple[float, ...] | None
    model_version: str | None


class _Sample(msgspec.Struct, array_like=True, frozen=True, tag="s"):
    monitor: str
    id: str
    time: float
    payload: Any
    segments: dict[str, str]
    output: _Output | None
    label: str | None


class _Request(msgspec.Struct, array_like=True, frozen=True, tag="q"):
    monitor: str
    event_id: str
    samples: tuple[_Sample, ...]


class _Response(msgspec.Struct, array_like=True, frozen=True, tag="a"):
    monitor: str
    event_id: str
    outputs: tuple[_Output, ...]


class _Rejected(msgspec.Struct, array_like=True, frozen=True, tag="x"):
    reason: str
    message: str
    original: bytes
    index: int
    monitor: str | None
    stage: str


_Packed: TypeAlias = _Sample | _Request | _Response | _Rejected


def encode(item: Item) -> bytes:
    """The item as one entry of the log."""
    return bytes([VERSION]) + _ENCODER.encode(_pack(item))


def decode(body: bytes) -> Item:
    """What `encode` was given; an entry that is damaged or of a later version is a rejection, like any other bad input."""
    if body[:1] != bytes([VERSION]):
        return Rejected(
            "envelope", f"log entry of version {body[0] if body else 'none'}; this driftgate reads {VERSION}", body[:KEPT_BYTES]
        )
    try:
        return _unpack(_DECODER.decode(memoryview(body)[1:]))
    except (ValueError, RecursionError) as error:
        return Rejected("envelope", f"damaged log entry: {error}", body[:KEPT_BYTES])


def _pack(item: Item) -> _Packed:
    match item:
        case Sample():
            return _pack_sample(item)
        case Request():
            return _Request(item.monitor, item.event_id, tuple(_pack_sample(sample) for sample in item.samples))
        case Response():
            return _Response(item.monitor, item.event_id, tuple(_pack_output(output) for output in item.outputs))
        case Rejected():
            return _Rejected(item.reason, item.message, item.original, item.index, item.monitor, item.stage)


def _pack_sample(sample: Sample) -> _Sample:
    output = None if sample.output is None else _pack_output(sample.output)
    return _Sample(sample.monitor, sample.id, sample.time, sample.payload, dict(sample.segments), output, sample.label)


def _pack_output(output: Output) -> _Output:
    return _Output(output.label, output.probabilities, output.logits, output.model_version)


def _unpack(packed: _Packed) -> Item:
    match packed:
        case _Sample():
            return _unpack_sample(packed)
        case _Request():
            return Request(packed.monitor, packed.event_id, tuple(_unpack_instance(sample) for sample in packed.samples))
        case _Response():
            return Response(packed.monitor, packed.event_id, tuple(_unpack_output(output) for output in packed.outputs))
        case _Rejected():
            return Rejected(packed.reason, packed.message, packed.original, packed.index, packed.monitor, packed.stage)


def _unpack_instance(packed: _Sample) -> Sample:
    instance = packed.id.rpartition("/")[2]
    if not instance.isdecimal() or len(instance) > _DIGITS:
        raise msgspec.ValidationError(f"a request's sample is named by its event and its instance, as in `event/0`, not {packed.id!r:.80}")
    return _unpack_sample(packed)


def _unpack_sample(packed: _Sample) -> Sample:
    if not isinstance(packed.payload, str | bytes | np.ndarray):
        raise msgspec.ValidationError(f"a payload can't be {type(packed.payload).__name__}")
    output = None if packed.output is None else _unpack_output(packed.output)
    return Sample(packed.monitor, packed.id, packed.time, packed.payload, packed.segments, output, packed.label)


def _unpack_output(packed: _Output) -> Output:
    return Output(packed.label, packed.probabilities, packed.logits, packed.model_version)


def _write_vector(value: object) -> msgspec.msgpack.Ext:
    if not isinstance(value, np.ndarray):
        raise TypeError(f"a payload can't be {type(value).__name__}")
    head = struct.pack(f"<B{value.ndim}I", value.ndim, *value.shape)
    return msgspec.msgpack.Ext(_VECTOR, head + value.astype("<f4").tobytes())


def _read_vector(code: int, body: memoryview) -> NDArray[np.float32]:
    if code != _VECTOR or not body or len(body) < 1 + 4 * body[0]:
        raise ValueError(f"extension {code} of {len(body)} bytes is no vector")
    shape = struct.unpack_from(f"<{body[0]}I", body, 1)
    if len(body) != 1 + 4 * len(shape) + 4 * math.prod(shape):
        raise ValueError(f"{len(body)} bytes do not hold a vector of shape {shape}")
    return np.frombuffer(body, "<f4", offset=1 + 4 * len(shape)).reshape(shape).astype(np.float32)


_ENCODER = msgspec.msgpack.Encoder(enc_hook=_write_vector)
_DECODER = msgspec.msgpack.Decoder(_Packed, ext_hook=_read_vector)
