"""What a worker owns: epoch, offset, open panes, waiting samples and recent ids of a partition. Functions run inside a transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from sqlite3 import Connection

import numpy as np
from numpy.typing import NDArray

from service.adapters.sqlite import panes, pool, reserve, rows, truth
from service.adapters.sqlite.database import single
from service.errors import ConflictError
from service.records import Assignment, Commit, Pane, Partition, Position, Waiting

RETIRED = "another topic of this name is read in its place"
"""Why a partition of a deleted topic is not read on."""

RECENT_IDS = 10_000
"""Ids that a partition remembers to tell a repeated sample."""

_POSITIONS = "SELECT id, topic, topic_id, number, start, next_offset, epoch, time, lost, stopped, retired FROM partitions"


def assign(connection: Connection, partition: Partition, *, start: int) -> Assignment:
    """Raises the epoch and returns what the last commit left; a partition never seen begins at `start`."""
    number, epoch, offset, time, stopped, retired = single(
        connection,
        """INSERT INTO partitions (topic, topic_id, number, epoch, next_offset, start) VALUES (?1, ?2, ?3, 1, ?4, ?4)
           ON CONFLICT DO UPDATE SET epoch = epoch + 1 RETURNING id, epoch, next_offset, time, stopped, retired""",
        (partition.topic, partition.topic_id, partition.number, start),
    )
    left = (panes.open_in(connection, number), _waiting(connection, number), _recent_ids(connection, number))
    shapes = {monitor: version for monitor, (version, _) in _shapes(connection, number).items()}
    return Assignment(partition, epoch, offset, time, *left, shapes, RETIRED if retired else stopped)


def positions(connection: Connection) -> Sequence[Position]:
    """How far each partition is read."""
    return [_position(connection, row) for row in connection.execute(f"{_POSITIONS} ORDER BY topic, topic_id, number").fetchall()]


def siblings(connection: Connection, partition: Partition) -> Sequence[Position]:
    """How far each partition of this topic and number is read."""
    same = connection.execute(f"{_POSITIONS} WHERE (topic, number) = (?, ?) ORDER BY topic_id", (partition.topic, partition.number))
    return [_position(connection, row) for row in same.fetchall()]


def epochs(connection: Connection, asked: Collection[Partition]) -> Mapping[Partition, int]:
    """Under which epoch each is held."""
    rows = connection.execute("SELECT topic, topic_id, number, epoch FROM partitions")
    known = {Partition(*place): epoch for *place, epoch in rows}
    return {partition: known[partition] for partition in asked if partition in known}


def _position(connection: Connection, row: rows.Row) -> Position:
    place, topic, topic_id, number, start, offset, epoch, time, lost, stopped, retired = row
    shapes = _shapes(connection, place)
    return Position(Partition(topic, topic_id, number), start, offset, epoch, time, lost, stopped, bool(retired), shapes)


def halt(connection: Connection, partition: Partition, epoch: int, reason: str) -> None:
    """Stops a partition that is still held under this epoch."""
    number = _held(connection, partition, epoch)[0]
    connection.execute("UPDATE partitions SET stopped = ? WHERE id = ?", (reason, number))


def commit(connection: Connection, commit: Commit, pool_rows: Mapping[str, int], *, pool_bytes: int) -> Sequence[Pane]:
    """Writes a batch of the partition if it is still held at the expected offset; returns the closed panes, numbered."""
    partition = _advance(connection, commit)
    monitors = _monitors(connection, commit)
    panes.touch(connection, partition, monitors, commit.touched)
    closed = panes.close(connection, partition, monitors, commit.closed)
    pool.add(connection, partition, monitors, commit.pooled, pool_rows, payload_bytes=pool_bytes)
    for reservation in commit.reserved:
        reserve.add(connection, monitors[reservation.monitor], reservation, payload_bytes=pool_bytes)
    for block in commit.answers:
        truth.add_answers(connection, monitors[block.monitor], block)
    for truths in commit.truths:
        truth.judge(connection, monitors[truths.monitor], truths)
    _join(connection, partition, commit)
    _remember(connection, partition, commit.recent_ids)
    connection.executemany("UPDATE monitors SET taken = taken + ? WHERE name = ?", [(n, name) for name, n in commit.counts.items()])
    return closed


def _held(connection: Connection, partition: Partition, epoch: int) -> tuple[int, int, str]:
    """The partition's number, offset and why it is stopped, where this epoch still holds it."""
    found = single(
        connection,
        "SELECT epoch, id, next_offset, iif(retired, ?, stopped) FROM partitions WHERE (topic, topic_id, number) = (?, ?, ?)",
        (RETIRED, partition.topic, partition.topic_id, partition.number),
    )
    if found is None or epoch != found[0]:
        holder = found[0] if found else "no other"
        raise ConflictError(f"partition {partition}: epoch {epoch} is over, {holder} holds it now; take the partition up again")
    return found[1:]  # type: ignore[no-any-return]  # rows of sqlite3 are untyped


def _advance(connection: Connection, commit: Commit) -> int:
    """Compares epoch, offset and shapes and moves offset, time and shapes on."""
    number, offset, stopped = _held(connection, commit.partition, commit.epoch)
    if stopped:
        raise ConflictError(f"partition {commit.partition}: stopped ({stopped}); say with `driftgate offsets reset` where to go on")
    if commit.expected_offset != offset:
        raise ConflictError(f"partition {commit.partition}: stands at offset {offset}, the commit expected {commit.expected_offset}")
    if commit.next_offset < offset:
        raise ConflictError(f"partition {commit.partition}: a commit can't go back from offset {offset} to {commit.next_offset}")
    _reshape(connection, number, commit)
    moved = "UPDATE partitions SET next_offset = ?, time = ?, lost = lost + ? WHERE id = ?"
    connection.execute(moved, (commit.next_offset, commit.time, commit.lost, number))
    return number


def _reshape(connection: Connection, partition: int, commit: Commit) -> None:
    """Refuses a commit made of older settings than the partition has seen; a newer version counts from the commit's first record on."""
    seen = _shapes(connection, partition) if commit.shapes else {}
    for monitor, version in commit.shapes.items():
        known = seen.get(monitor, (0, 0))[0]
        if version < known:
            raise ConflictError(
                f"partition {commit.partition}: panes of monitor {monitor} are shaped by version {known} of its settings, "
                f"the commit knows {version}; read the monitor's declaration again"
            )
        if version > known:
            raised = "INSERT OR REPLACE INTO shapes (partition, monitor, version, since) VALUES (?, ?, ?, ?)"
            connection.execute(raised, (partition, monitor, version, commit.expected_offset))


def _shapes(connection: Connection, partition: int) -> dict[str, tuple[int, int]]:
    found = connection.execute("SELECT monitor, version, since FROM shapes WHERE partition = ? ORDER BY monitor", (partition,))
    return {monitor: (version, since) for monitor, version, since in found}


def _monitors(connection: Connection, commit: Commit) -> dict[str, int]:
    shown = {pane.key.monitor for pane in (*commit.closed, *commit.touched)}
    named = (each.monitor for part in (commit.pooled, commit.reserved, commit.answers, commit.truths) for each in part)
    names = shown.union(commit.counts, named)
    return {name: panes.monitor_id(connection, name) for name in sorted(names)}


def _join(connection: Connection, partition: int, commit: Commit) -> None:
    """New waiting samples first: an answer may have come in the same batch."""
    connection.executemany(
        """INSERT OR REPLACE INTO waiting (partition, event_id, position, expires, monitor, sample, time,
               payload, shape, facts, embedding, fingerprint) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)""",
        [(partition, *_waiting_values(waiting)) for waiting in commit.waiting],
    )
    connection.executemany(
        "DELETE FROM waiting WHERE (partition, event_id, position) = (?, ?, ?)",
        [(partition, event, position) for event, position in commit.answered],
    )


def _waiting_values(waiting: Waiting) -> rows.Row:
    sample = waiting.sample
    facts = rows.pack_facts(sample.segments, sample.output, sample.label)
    embedding = waiting.embedding.astype("<f4", copy=False).tobytes()
    head = (waiting.event_id, waiting.index, waiting.expires, sample.monitor, sample.id, sample.time)
    return (*head, *rows.pack_payload(sample.payload), facts, embedding, waiting.fingerprint)


def _remember(connection: Connection, partition: int, hashes: NDArray[np.uint64]) -> None:
    """Appends a chunk and drops those that lie wholly before the window."""
    if not hashes.size:
        return
    added = "UPDATE partitions SET ids = ids + ? WHERE id = ? RETURNING ids"
    last = single(connection, added, (hashes.size, partition))[0]
    connection.execute("INSERT INTO recent_ids VALUES (?, ?, ?)", (partition, last, hashes.astype("<u8", copy=False).tobytes()))
    connection.execute("DELETE FROM recent_ids WHERE partition = ? AND last <= ?", (partition, last - RECENT_IDS))


def _waiting(connection: Connection, partition: int) -> tuple[Waiting, ...]:
    found = connection.execute(
        """SELECT event_id, position, expires, monitor, sample, time, payload, shape, facts, embedding, fingerprint
           FROM waiting WHERE partition = ? ORDER BY rowid""",
        (partition,),
    )
    return tuple(
        Waiting(
            event, position, rows.sample(monitor, sample, time, (payload, shape), facts), np.frombuffer(embedding, "<f4"), made_by, expires
        )
        for event, position, expires, monitor, sample, time, payload, shape, facts, embedding, made_by in found
    )


def _recent_ids(connection: Connection, partition: int) -> NDArray[np.uint64]:
    found = connection.execute("SELECT hashes FROM recent_ids WHERE partition = ? ORDER BY last", (partition,))
    return np.frombuffer(b"".join(hashes for (hashes,) in found), "<u8")[-RECENT_IDS:]
