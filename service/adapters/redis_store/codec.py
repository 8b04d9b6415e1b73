"""Records to bytes and back: msgpack arrays around numpy's own bytes, always little-endian."""

from __future__ import annotations

from typing import TypeAlias
from urllib.parse import quote, unquote

import msgspec
import numpy as np

from detectors import Summary
from service.adapters.redis_store import payloads
from service.adapters.redis_store.payloads import Kept
from service.ports import Blobs
from service.records import Output, Pane, PaneKey, Partition, Sample, Waiting

Place: TypeAlias = tuple[str, str, int]
"""A partition: topic, topic id, number."""

pack = msgspec.msgpack.Encoder().encode


class PaneBody(msgspec.Struct, array_like=True, frozen=True):
    """A pane; its number is its key in the log."""

    monitor: str
    segment: str
    version: int
    partition: Place
    first_offset: int
    last_offset: int
    first_time: float
    last_time: float
    losses: dict[str, int]
    summary: bytes


class WaitingBody(msgspec.Struct, array_like=True, frozen=True):
    """A sample that waits for its response."""

    event: str
    index: int
    expires: float
    monitor: str
    id: str
    time: float
    payload: Kept
    segments: dict[str, str]
    output: Output | None
    label: str | None
    embedding: bytes
    fingerprint: str


_pane = msgspec.msgpack.Decoder(PaneBody)
_waiting = msgspec.msgpack.Decoder(WaitingBody)


def partition_name(partition: Partition) -> str:
    """As keys hold it: no topic can be taken for two others."""
    return f"{quote(partition.topic, safe='')}/{quote(partition.topic_id, safe='')}/{partition.number}"


def named_partition(name: str) -> Partition:
    """What `partition_name` made it of."""
    topic, topic_id, number = name.split("/")
    return Partition(unquote(topic), unquote(topic_id), int(number))


def place(partition: Partition) -> Place:
    """The partition as a part of a body."""
    return partition.topic, partition.topic_id, partition.number


def pane_field(key: PaneKey) -> str:
    """Names an open pane within its partition and monitor; in order of where they began."""
    return f"{key.first_offset:020d} {key.reference_version} {key.segment}"


def pack_pane(pane: Pane) -> bytes:
    """All but its number."""
    key = pane.key
    named = (key.monitor, key.segment, key.reference_version, place(key.partition), key.first_offset)
    return pack(PaneBody(*named, pane.last_offset, pane.first_time, pane.last_time, dict(pane.losses), pane.summary.to_bytes()))


def read_pane(body: bytes) -> PaneBody:
    """What `pack_pane` made, the summary still as bytes."""
    return _pane.decode(body)


def unpack_pane(body: bytes, number: int = 0) -> Pane:
    """The pane under its number; 0 while it is open."""
    found = _pane.decode(body)
    key = PaneKey(found.monitor, found.segment, found.version, Partition(*found.partition), found.first_offset)
    return Pane(key, found.last_offset, found.first_time, found.last_time, Summary.from_bytes(found.summary), number, found.losses)


def waiting_field(event: str, index: int) -> str:
    """Names a waiting sample within its partition."""
    return f"{index} {event}"


def pack_waiting(waiting: Waiting, blobs: Blobs) -> bytes:
    """The payload goes to the blobs."""
    sample = waiting.sample
    return pack(
        WaitingBody(
            waiting.event_id,
            waiting.index,
            waiting.expires,
            sample.monitor,
            sample.id,
            sample.time,
            payloads.keep(blobs, sample.payload),
            dict(sample.segments),
            sample.output,
            sample.label,
            waiting.embedding.astype("<f4", copy=False).tobytes(),
            waiting.fingerprint,
        )
    )


def read_waiting(body: bytes) -> WaitingBody:
    """What `pack_waiting` made, the payload still where it is."""
    return _waiting.decode(body)


def unpack_waiting(body: bytes, blobs: Blobs) -> Waiting:
    """A payload that is gone meanwhile is an empty one: the sample still counts."""
    found = _waiting.decode(body)
    payload = payloads.Opened(blobs).fetch(found.payload)
    if payload is None:
        payload = payloads.nothing(found.payload)
    sample = Sample(found.monitor, found.id, found.time, payload, found.segments, found.output, found.label)
    return Waiting(found.event, found.index, sample, np.frombuffer(found.embedding, "<f4"), found.fingerprint, found.expires)
