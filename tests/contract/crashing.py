"""A program that is killed: commits, resets or appends without end, and prints what was acknowledged."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping

import numpy as np

from detectors import Summary
from detectors.reservoir import hashes, sampling_keys
from service.adapters.sqlite import SqliteLog, SqliteStore
from service.records import Commit, Event, Pane, PaneKey, Partition, Pooled, Reservation, Reserved

PARTITION = Partition("http", "t")
PER_COMMIT = 8
RESERVED = 20


def acknowledge(offset: int) -> None:
    sys.stdout.write(f"{offset}\n")
    sys.stdout.flush()


def commits(path: str) -> None:
    """Each commit closes a pane, opens another, and pools and reserves its samples, named by their offsets."""
    store = SqliteStore(path, pool_rows={"chat": 100})
    held = store.assign(PARTITION)
    offset = held.offset
    while True:
        samples = tuple(pooled(n) for n in range(offset, offset + PER_COMMIT))
        following = offset + PER_COMMIT
        keys = sampling_keys(hashes("chat", [sample.id for sample in samples]), 1).tolist()
        reserved = tuple(Reserved(sample, {"uniform": key}, 0.0) for sample, key in zip(samples, keys, strict=True))
        commit = Commit(
            PARTITION,
            held.epoch,
            offset,
            following,
            0.0,
            (pane(offset),),
            (pane(following),),
            samples,
            (Reservation("chat", reserved, {"uniform": RESERVED}, 1.0),),
            counts={"chat": PER_COMMIT},
        )
        store.commit(commit)
        acknowledge(following)
        offset = following


def resets(path: str) -> None:
    """Each round opens a pane, and goes on behind it by a reset, which closes it and is recorded."""
    store = SqliteStore(path)
    while True:
        held = store.assign(PARTITION)
        following = held.offset + PER_COMMIT
        store.commit(Commit(PARTITION, held.epoch, held.offset, following, 0.0, touched=(pane(held.offset),)))
        store.reset(PARTITION, following, [Event(f"to {following}", "chat", "offsets", 0.0, "ana")])
        acknowledge(following)


def pane(first: int) -> Pane:
    return Pane(PaneKey("chat", "all", 1, PARTITION, first), first + PER_COMMIT - 1, 0.0, 0.0, Summary.empty(64, 2, 4))


def pooled(number: int) -> Pooled:
    embedding = np.full(64, number % 100, np.float16)
    return Pooled("chat", str(number), float(number), PARTITION, number, "text", {}, None, None, embedding, 0.5, 1)


def appends(path: str) -> None:
    """Each entry says its own offset."""
    log = SqliteLog(path, backlog_bytes=10**9, retention_bytes=10**9)
    offset = int(sys.argv[3])
    while True:
        first = log.append([b"%d" % n for n in range(offset, offset + 3)], now=1.0)
        offset = first + 3
        acknowledge(offset)


if __name__ == "__main__":
    programs: Mapping[str, Callable[[str], None]] = {"commits": commits, "resets": resets, "appends": appends}
    programs[sys.argv[1]](sys.argv[2])
