"""The recent samples of each monitor: a chunk of columns and one of vectors per commit, the oldest going as a whole."""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from service.adapters.redis_store import payloads
from service.adapters.redis_store.codec import Place, pack, place
from service.adapters.redis_store.payloads import Kept
from service.adapters.redis_store.server import Server
from service.ports import Blobs
from service.records import Output, Partition, Payload, Pooled
from service.records.erasure import Doomed

DEFAULT_ROWS = 8_000

COMMIT_BYTES = 64_000_000
"""Of one commit's rows; where it brings more, the newest share of each monitor's is all that its pool then holds."""

Facts: TypeAlias = tuple[dict[str, str], Output | None, str | None]
"""What a sample says of itself: segments, output, label."""

_HEAD = struct.Struct("<Id")
"""Rows and newest time of a chunk, for the scripts."""


class _Columns(msgspec.Struct, array_like=True, frozen=True):
    """Rows of one partition and batch; arrays are numpy's bytes. What no row has is an empty column."""

    partition: Place
    ids: list[str]
    times: bytes
    offsets: bytes
    novelty: bytes
    versions: bytes
    facts: list[Facts]
    payloads: list[Kept | None]


_NO_FACTS: Facts = ({}, None, None)
_decoder = msgspec.msgpack.Decoder(_Columns)


@dataclass(frozen=True, slots=True)
class PoolBounds:
    """How many rows a monitor's pool has, and how many bytes of their payloads."""

    rows: int
    payload_bytes: int


def chunks(samples: Sequence[Pooled], capacity: Mapping[str, int], blobs: Blobs) -> Iterator[Mapping[str, Any]]:
    """What a commit adds to the pools: no more of a monitor than its pool holds."""
    by_monitor = dict[str, list[Pooled]]()
    for sample in samples:
        by_monitor.setdefault(sample.monitor, []).append(sample)
    sizes = {name: capacity.get(name, DEFAULT_ROWS) for name in by_monitor}
    weight = sum(_weight(sample) for name, mine in by_monitor.items() for sample in mine[-sizes[name] :])
    share = min(COMMIT_BYTES / max(weight, 1), 1.0)
    for name, mine in by_monitor.items():
        size = sizes[name] if share == 1.0 else max(int(share * min(len(mine), sizes[name])), 1)
        before = len(mine) - len(mine[-size:])
        for _, same in groupby(mine[-size:], key=lambda sample: (sample.partition, sample.embedding.size)):
            rows = list(same)
            kept = payloads.keep_all(blobs, [sample.payload for sample in rows])
            yield {
                "monitor": name,
                "capacity": size,
                "rows": len(rows),
                "pooled": len(rows) + before,
                "columns": _pack_columns(rows, kept),
                "vectors": np.stack([sample.embedding for sample in rows]).astype("<f2", copy=False).tobytes(),
                "payloads": any(kept),
            }
            before = 0


def _weight(sample: Pooled) -> int:
    """About how many bytes it takes."""
    output = sample.output
    numbers = 0 if output is None else len(output.probabilities or ()) + len(output.logits or ())
    return 200 + sample.embedding.size * 2 + numbers * 9 + sum(map(len, sample.segments.values()))


def _pack_columns(rows: Sequence[Pooled], kept: list[Kept | None]) -> bytes:
    times = np.array([sample.time for sample in rows], "<f8")
    facts: list[Facts] = [(dict(sample.segments), sample.output, sample.label) for sample in rows]
    columns = _Columns(
        place(rows[0].partition),
        [sample.id for sample in rows],
        times.tobytes(),
        np.array([sample.offset for sample in rows], "<i8").tobytes(),
        np.array([sample.novelty for sample in rows], "<f8").tobytes(),
        np.array([sample.reference_version for sample in rows], "<u4").tobytes(),
        facts if any(fact != _NO_FACTS for fact in facts) else [],
        kept if any(kept) else [],
    )
    return _HEAD.pack(len(rows), times.max()) + pack(columns)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which of the samples, and how much of each."""

    since: float = 0.0
    limit: int = 100_000
    ids: Collection[str] | None = None
    payloads: bool = True

    def holds(self, row: _Row) -> bool:
        """Whether it is one of them."""
        return row.time >= self.since and (self.ids is None or row.id in self.ids)


def read(server: Server, blobs: Blobs, monitor: str, wanted: Wanted, bounds: PoolBounds) -> Sequence[Pooled]:
    """The newest `limit` of the kept samples with time ≥ since, oldest first. Beyond the bytes the oldest are without payload."""
    found = server.run("pool", {"monitor": monitor, "since": wanted.since})
    kept = [sample for columns, vectors in zip(*found, strict=True) for sample in _unpack(columns, vectors)][-bounds.rows :]
    held = [row for row in zip(kept, _within(kept, bounds.payload_bytes), strict=True) if wanted.holds(row[0])][-wanted.limit :]
    opened = payloads.Opened(blobs)
    return [sample.pooled(monitor, opened.fetch(payload) if wanted.payloads and payload is not None else None) for sample, payload in held]


def begins(server: Server, monitor: str, bounds: PoolBounds) -> float:
    """The oldest kept sample's time where older ones have gone, else 0."""
    pooled, columns = server.together(("HGET", server.key("monitor", monitor), "pooled"), ("LRANGE", server.key("pool", monitor), 0, -1))
    times = np.concatenate([np.empty(0), *(np.frombuffer(_columns(chunk).times, "<f8") for chunk in columns)])[-bounds.rows :]
    return float(times.min()) if 0 < len(times) < int(pooled or 0) else 0.0


def addresses(server: Server, monitor: str, bounds: PoolBounds) -> set[str]:
    """Where the payloads lie that `read` would still give."""
    chunks: Iterable[bytes] = server.ask("LRANGE", server.key("pool", monitor), 0, -1)
    kept = [sample for chunk in chunks for sample in _unpack(chunk, b"")][-bounds.rows :]
    return {payload.address for payload in _within(kept, bounds.payload_bytes) if payload is not None}


def payload_bytes(server: Server, monitor: str, bounds: PoolBounds) -> int:
    """Of the payloads that `read` would still give."""
    chunks: Iterable[bytes] = server.ask("LRANGE", server.key("pool", monitor), 0, -1)
    kept = [sample for chunk in chunks for sample in _unpack(chunk, b"")][-bounds.rows :]
    return sum(payload.size for payload in _within(kept, bounds.payload_bytes) if payload is not None and payload.address)


def erase(server: Server, blobs: Blobs, doomed: Doomed, loose: set[str]) -> int:
    """Takes rows out of their chunks; what is left of a chunk has blobs of its own. `loose` gets the addresses that were given up."""
    gone = 0
    lists = (("LRANGE", server.key(name, doomed.monitor), 0, -1) for name in ("pool", "vectors"))
    for before, vectors in zip(*server.together(*lists), strict=True):
        rows = list(_unpack(before, vectors))
        left = [row for row in rows if not doomed.covers(row.id, row.time)]
        if len(left) == len(rows):
            continue
        opened = payloads.Opened(blobs)
        stay = [row.pooled(doomed.monitor, opened.fetch(row.payload) if row.payload else None) for row in left]
        given = {
            "monitor": doomed.monitor,
            "before": before,
            "rows": len(stay),
            "columns": _pack_columns(stay, payloads.keep_all(blobs, [row.payload for row in stay])) if stay else b"-",
            "vectors": np.stack([row.embedding for row in stay]).astype("<f2", copy=False).tobytes() if stay else b"-",
        }
        if server.run("replace_pooled", given):
            gone += len(rows) - len(left)
            loose |= {row.payload.address for row in rows if row.payload}
    return gone


class _Row(msgspec.Struct, frozen=True):
    """A sample as it lies in a chunk."""

    partition: Partition
    id: str
    time: float
    offset: int
    novelty: float
    version: int
    facts: Facts
    payload: Kept | None
    embedding: NDArray[np.float16]

    def pooled(self, monitor: str, payload: Payload | None) -> Pooled:
        segments, output, label = self.facts
        return Pooled(
            monitor=monitor,
            id=self.id,
            time=self.time,
            partition=self.partition,
            offset=self.offset,
            payload=payload,
            segments=segments,
            output=output,
            label=label,
            embedding=self.embedding,
            novelty=self.novelty,
            reference_version=self.version,
        )


def _columns(chunk: bytes) -> _Columns:
    return _decoder.decode(memoryview(chunk)[_HEAD.size :])


def _unpack(chunk: bytes, vectors: bytes) -> Iterator[_Row]:
    found = _columns(chunk)
    partition, none = Partition(*found.partition), [None] * len(found.ids)
    matrix = np.frombuffer(vectors, "<f2").reshape(len(found.ids), -1)
    numbers = ((found.times, "<f8"), (found.offsets, "<i8"), (found.novelty, "<f8"), (found.versions, "<u4"))
    columns = (np.frombuffer(column, kind).tolist() for column, kind in numbers)
    facts = found.facts or [_NO_FACTS] * len(found.ids)
    for row in zip(found.ids, *columns, facts, found.payloads or none, matrix, strict=True):
        yield _Row(partition, *row)


def _within(rows: Sequence[_Row], most: int) -> list[Kept | None]:
    """Each row's payload, as long as it and all younger ones are no larger than `most`."""
    kept, size = list[Kept | None](), 0
    for row in reversed(rows):
        size += row.payload.size if row.payload else 0
        kept.append(row.payload if size <= most else None)
    return kept[::-1]
