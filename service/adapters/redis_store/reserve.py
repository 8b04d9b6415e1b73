"""The reserve of each monitor: a hash for each row, and for each part its rows in order of their keys."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from service.adapters.redis_store import payloads
from service.adapters.redis_store.codec import Place, pack, place
from service.adapters.redis_store.payloads import Kept
from service.adapters.redis_store.server import Server
from service.ports import Blobs
from service.records import Output, Partition, Pooled, Reservation, Reserved, ReservedPart
from service.records.erasure import Doomed

_VERSION = struct.Struct("<I")
"""What a body begins with, for the scripts: the reference version."""


class _Body(msgspec.Struct, array_like=True, frozen=True):
    """What a sample said when it came, and where it lies."""

    partition: Place
    offset: int
    time: float
    segments: dict[str, str]
    novelty: float
    embedding: bytes


class _Row(msgspec.Struct, omit_defaults=True, frozen=True):
    """A row on its way in, as the scripts unpack it. Bytes are marked as strings: Redis's msgpack knows no others."""

    id: str
    twin: str
    at: float
    count: int
    keys: Mapping[str, float]
    body: msgspec.Raw
    output: msgspec.Raw | None = None
    label: str | None = None
    payload: msgspec.Raw | None = None


_body = msgspec.msgpack.Decoder(_Body)
_output = msgspec.msgpack.Decoder(Output)
_kept = msgspec.msgpack.Decoder(Kept)


def packed(reservation: Reservation, blobs: Blobs) -> Mapping[str, Any]:
    """Rows as the scripts take them: packed once more as a whole, which costs a fraction of what so many arguments would."""
    kept = payloads.keep_all(blobs, [each.row.payload for each in reservation.rows])
    rows = pack([_packed(each, payload) for each, payload in zip(reservation.rows, kept, strict=True)])
    quotas = dict(reservation.quotas)
    return {"monitor": reservation.monitor, "rows": rows, "quotas": quotas, "half_life": float(reservation.half_life)}


def _packed(each: Reserved, payload: Kept | None) -> _Row:
    row = each.row
    vector = row.embedding.astype("<f2", copy=False).tobytes()
    body = _Body(place(row.partition), row.offset, row.time, dict(row.segments), row.novelty, vector)
    return _Row(
        row.id,
        each.twin,
        float(each.at),
        each.count,
        each.keys,
        _string(_VERSION.pack(row.reference_version) + pack(body)),
        None if row.output is None else _string(pack(row.output)),
        row.label,
        None if payload is None else _string(pack(payload)),
    )


def _string(content: bytes) -> msgspec.Raw:
    """Bytes as msgpack's longest kind of string."""
    return msgspec.Raw(b"\xdb" + len(content).to_bytes(4, "big") + content)


def keep(server: Server, reservation: Reservation, blobs: Blobs) -> int:
    """Takes rows in; how many of them are there then. Once is as good as twice, but for the counts of twins: see the port."""
    return int(server.run("keep_reserved", packed(reservation, blobs)))


def drop(server: Server, monitor: str, samples: Collection[str], part: str | None) -> int:
    """Takes samples out of a part, or out of all; how many were in it."""
    given = {"monitor": monitor, "samples": list(dict.fromkeys(samples))}
    return int(server.run("drop_reserved", given if part is None else {**given, "part": part}))


def parts(server: Server, monitor: str) -> Mapping[str, ReservedPart]:
    """How full each is."""
    found = server.run("reserve_parts", {"monitor": monitor})
    return {part.decode(): ReservedPart(rows, float(least), float(half_life)) for part, rows, least, half_life in found}


def read(server: Server, blobs: Blobs, monitor: str, part: str | None, payload_bytes: int) -> Sequence[Reserved]:
    """The rows of a part, or all, oldest first. Beyond the bytes the oldest are without payload."""
    found, rows = server.run("reserve", {"monitor": monitor} if part is None else {"monitor": monitor, "part": part})
    keys = dict[bytes, dict[str, float]]()
    for own, ranked in found:
        for sample, rank in zip(ranked[::2], ranked[1::2], strict=True):
            keys.setdefault(sample, {})[own.decode()] = float(rank)
    within = _within(((facts[0], sample, facts[-1]) for sample, facts in rows if facts[-1]), payload_bytes)
    opened = payloads.Opened(blobs)
    made = [
        Reserved(_pooled(monitor, sample, facts, within.get(sample), opened), keys[sample], float(facts[0]), int(facts[1]))
        for sample, facts in rows
    ]
    return sorted(made, key=lambda each: (each.row.time, each.row.id))


def erase(server: Server, blobs: Blobs, doomed: Doomed, loose: set[str]) -> int:
    """Takes rows out; others move out of the blobs that they shared with anything that has gone, now or before."""
    _, rows = server.run("reserve", {"monitor": doomed.monitor})
    kept = {sample.decode(): _kept.decode(facts[-1]) for sample, facts in rows if facts[-1]}
    times = {sample.decode(): _body.decode(memoryview(facts[2])[_VERSION.size :]).time for sample, facts in rows}
    old = [sample for sample, time in times.items() if doomed.covers(sample, time)]
    gone = drop(server, doomed.monitor, old, None)
    touched = {kept.pop(sample).address for sample in old if sample in kept}
    if doomed.samples:
        touched |= _half_empty(blobs, kept.values())
    movers = {sample: payload for sample, payload in kept.items() if payload.address in touched}
    opened = payloads.Opened(blobs)
    found = {sample: content for sample, payload in movers.items() if (content := opened.fetch(payload)) is not None}
    moved = dict(zip(found, payloads.keep_all(blobs, list(found.values())), strict=True))
    if moved:
        server.run("move_payloads", {"monitor": doomed.monitor, "payloads": {sample: pack(payload) for sample, payload in moved.items()}})
    loose |= touched
    return gone


def _half_empty(blobs: Blobs, kept: Iterable[Kept]) -> set[str]:
    """Blobs that hold more than what is still referred to."""
    sizes = Counter[str]()
    for payload in kept:
        if payload.at >= 0 and payload.address:
            sizes[payload.address] += payload.size
    return {address for address, size in sizes.items() if len(blobs.get(address) or b"") > size}


def addresses(server: Server, monitor: str, payload_bytes: int) -> set[str]:
    """Where the payloads lie that `read` would still give."""
    return {kept.address for kept in _within(server.run("reserved_payloads", {"monitor": monitor}), payload_bytes).values()}


def _within(found: Iterable[tuple[bytes, bytes, bytes]], most: int) -> dict[bytes, Kept]:
    """Sample → its payload, as long as it and all younger ones are no larger than `most`. found : (since when it ages, sample, payload)."""
    kept, size = dict[bytes, Kept](), 0
    for _, sample, payload in sorted(found, key=lambda each: (float(each[0]), each[1]), reverse=True):
        one = _kept.decode(payload)
        size += one.size
        if size <= most:
            kept[sample] = one
    return kept


def _pooled(monitor: str, sample: bytes, facts: Sequence[bytes | None], kept: Kept | None, opened: payloads.Opened) -> Pooled:
    _, _, stored, output, label, _ = facts
    stored = stored or b""
    body = _body.decode(memoryview(stored)[_VERSION.size :])
    return Pooled(
        monitor=monitor,
        id=sample.decode(),
        time=body.time,
        partition=Partition(*body.partition),
        offset=body.offset,
        payload=None if kept is None else opened.fetch(kept),
        segments=body.segments,
        output=None if output is None else _output.decode(output),
        label=None if label is None else label.decode(),
        embedding=np.frombuffer(body.embedding, "<f2"),
        novelty=body.novelty,
        reference_version=_VERSION.unpack_from(stored)[0],
    )
