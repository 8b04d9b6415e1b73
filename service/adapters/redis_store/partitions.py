"""What a worker owns: epoch, offset, open panes, waiting samples and recent ids of a partition."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.adapters.redis_store import codec, dead_letters, decisions, pool, reserve, truth
from service.adapters.redis_store.server import Server
from service.ports import Blobs
from service.records import Assignment, Commit, Event, Pane, Partition, Position

RECENT_IDS = 10_000
"""Ids that a partition remembers to tell a repeated sample."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a commit may leave behind: pool rows by monitor, dead letters by number and bytes."""

    pool_rows: Mapping[str, int]
    letters: tuple[int, int]


def assign(server: Server, partition: Partition, start: int, blobs: Blobs) -> Assignment:
    """Raises the epoch and returns what the last commit left; a partition never seen begins at `start`."""
    found = server.run("assign", {"partition": codec.partition_name(partition), "start": start})
    (epoch, offset, time, added), stopped, open_panes, waiting, ring, shapes = found
    panes = [codec.unpack_pane(body) for _, bodies in open_panes for body in bodies]
    waits = [codec.unpack_waiting(body, blobs) for body in waiting]
    return Assignment(
        partition,
        int(epoch),
        int(offset),
        float(time),
        tuple(sorted(panes, key=lambda pane: (pane.key.monitor, pane.key.segment, pane.key.first_offset))),
        tuple(sorted(waits, key=lambda sample: (sample.expires, sample.event_id, sample.index))),
        _remembered(ring, int(added)),
        {monitor: version for monitor, (version, _) in _shapes(shapes).items()},
        stopped.decode(),
    )


def commit(server: Server, commit: Commit, limits: Limits, blobs: Blobs) -> Sequence[Pane]:
    """Writes a batch of the partition if it is still held at the expected offset; returns the closed panes, numbered."""
    numbers = server.run("commit", _given(commit, limits, blobs))
    return [replace(pane, sequence=number) for pane, number in zip(commit.closed, numbers, strict=True)]


def _given(commit: Commit, limits: Limits, blobs: Blobs) -> Mapping[str, Any]:
    return {
        "partition": codec.partition_name(commit.partition),
        "epoch": commit.epoch,
        "expected": commit.expected_offset,
        "next": commit.next_offset,
        "time": float(commit.time),
        "lost": commit.lost,
        "shapes": dict(commit.shapes),
        "counts": dict(commit.counts),
        "touched": [_pane(pane) for pane in commit.touched],
        "closed": [_pane(pane) for pane in commit.closed],
        "pooled": list(pool.chunks(commit.pooled, limits.pool_rows, blobs)),
        "reserved": [reserve.packed(reservation, blobs) for reservation in commit.reserved],
        "answers": [truth.packed_answers(block) for block in commit.answers],
        "truths": [truth.packed(truths) for truths in commit.truths],
        "waiting": [
            {"field": codec.waiting_field(waiting.event_id, waiting.index), "body": codec.pack_waiting(waiting, blobs)}
            for waiting in commit.waiting
        ],
        "answered": [codec.waiting_field(event, index) for event, index in commit.answered],
        "ids": commit.recent_ids[-RECENT_IDS:].astype("<u8", copy=False).tobytes(),
        "remembered": RECENT_IDS,
        "letters": dead_letters.packed(commit.dead_letters, limits.letters[0], blobs),
        "keep_letters": limits.letters[0],
        "keep_letter_bytes": limits.letters[1],
    }


def _pane(pane: Pane) -> Mapping[str, Any]:
    return {"monitor": pane.key.monitor, "field": codec.pane_field(pane.key), "body": codec.pack_pane(pane)}


def positions(server: Server) -> Sequence[Position]:
    """How far each partition is read, by topic, id and number."""
    return _positions(server.run("positions"))


def siblings(server: Server, partition: Partition) -> Sequence[Position]:
    """How far each partition of this topic and number is read."""
    topic, _, number = codec.partition_name(partition).split("/")
    return _positions(server.run("positions", {"topic": topic, "number": number}))


def _positions(answers: Sequence[Any]) -> Sequence[Position]:
    found = [
        Position(
            codec.named_partition(name.decode()),
            int(start),
            int(offset),
            int(epoch),
            float(time),
            int(lost),
            stopped.decode(),
            retired == b"1",
            _shapes(shapes),
        )
        for name, (start, offset, epoch, time, lost, stopped, retired), shapes in answers
    ]
    return sorted(found, key=lambda at: (at.partition.topic, at.partition.topic_id, at.partition.number))


def epochs(server: Server, asked: Collection[Partition]) -> Mapping[Partition, int]:
    """Under which epoch each is held."""
    found = server.run("epochs", {"partitions": [codec.partition_name(partition) for partition in asked]})
    return {partition: int(epoch) for partition, epoch in zip(asked, found, strict=True) if epoch is not None}


def halt(server: Server, partition: Partition, epoch: int, reason: str) -> None:
    """Stops a partition that is still held under this epoch."""
    server.run("halt", {"partition": codec.partition_name(partition), "epoch": epoch, "reason": reason})


def reset(server: Server, partition: Partition, offset: int, events: Sequence[Event]) -> None:
    """Sets the offset and lets go of what came of the one before; other topics of this name retire."""
    recorded = [decisions.packed_event(event) for event in events]
    server.run("reset", {"partition": codec.partition_name(partition), "offset": offset, "events": recorded})


def addresses(server: Server) -> set[str]:
    """Where the payloads of waiting samples lie."""
    places = [server.key("partition", name.decode(), "waiting") for name in server.ask("SMEMBERS", server.key("partitions"))]
    bodies = (body for place in places for body in server.ask("HVALS", place))
    return {codec.read_waiting(body).payload.address for body in bodies}


def _remembered(ring: bytes, added: int) -> NDArray[np.uint64]:
    """The ring from its oldest id on."""
    ids = np.frombuffer(ring, "<u8")
    return np.roll(ids, -(added % RECENT_IDS)) if added > RECENT_IDS else ids


def _shapes(flat: Sequence[bytes]) -> dict[str, tuple[int, int]]:
    """Monitor → (version, the offset from which on it counts)."""
    versions = {monitor.decode(): value.split() for monitor, value in zip(flat[::2], flat[1::2], strict=True)}
    return {monitor: (int(version), int(since)) for monitor, (version, since) in sorted(versions.items())}
