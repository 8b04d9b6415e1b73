"""What a worker owns: epoch, offset, open panes, waiting samples and recent ids of a partition. Functions run inside a transaction."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from sqlite3 import Connection

import numpy as np
from numpy.typing import NDArray

from service.adapters.sqlite import dead_letters, pool, rows
from service.adapters.sqlite.database import single
from service.errors import ConflictError
from service.records import Assignment, Commit, Pane, PaneKey, Partition, Waiting

RECENT_IDS = 10_000
"""Ids that a partition remembers to tell a repeated sample."""


def assign(connection: Connection, partition: Partition) -> Assignment:
    """Raises the epoch and returns what the last commit left."""
    row = single(
        connection,
        """INSERT INTO partitions (topic, topic_id, number, epoch) VALUES (?, ?, ?, 1)
           ON CONFLICT DO UPDATE SET epoch = epoch + 1 RETURNING id, epoch, next_offset, time""",
        (partition.topic, partition.topic_id, partition.number),
    )
    number, epoch, offset, time = row
    left = (_open_panes(connection, number), _waiting(connection, number), _recent_ids(connection, number))
    return Assignment(partition, epoch, offset, time, *left)


def commit(connection: Connection, commit: Commit, pool_rows: Mapping[str, int], *, pool_bytes: int) -> Sequence[Pane]:
    """Writes a batch of the partition if it is still held at the expected offset; returns the closed panes, numbered."""
    partition = _advance(connection, commit)
    monitors = _monitors(connection, commit)
    _touch(connection, partition, monitors, commit.touched)
    closed = _close(connection, partition, monitors, commit.closed)
    pool.add(connection, partition, monitors, commit.pooled, pool_rows, payload_bytes=pool_bytes)
    _join(connection, partition, commit)
    _remember(connection, partition, commit.recent_ids)
    dead_letters.add(connection, commit.dead_letters)
    connection.executemany("UPDATE monitors SET taken = taken + ? WHERE name = ?", [(n, name) for name, n in commit.counts.items()])
    return closed


def open_panes(connection: Connection, monitor: str) -> Sequence[Pane]:
    """The open panes of a monitor, over all partitions."""
    found = connection.execute(
        f"""SELECT m.name, p.segment, p.reference_version, {rows.PANE_COLUMNS}
            FROM open_panes p JOIN monitors m ON m.id = p.monitor JOIN partitions q ON q.id = p.partition
            WHERE m.name = ? ORDER BY p.first_offset, p.segment""",  # noqa: S608 - a constant
        (monitor,),
    )
    return [rows.pane(name, segment, version, tuple(rest)) for name, segment, version, *rest in found]


def monitor_id(connection: Connection, name: str) -> int:
    """The monitor's number; the first mention makes it."""
    connection.execute("INSERT INTO monitors (name) VALUES (?) ON CONFLICT DO NOTHING", (name,))
    return int(single(connection, "SELECT id FROM monitors WHERE name = ?", (name,))[0])


def next_sequence(connection: Connection, monitor: int, count: int = 1) -> int:
    """Takes `count` numbers of the monitor's sequence and returns the first."""
    last = single(connection, "UPDATE monitors SET sequence = sequence + ? WHERE id = ? RETURNING sequence", (count, monitor))[0]
    return int(last) - count + 1


def _advance(connection: Connection, commit: Commit) -> int:
    """Compares epoch and offset and moves both offset and time on."""
    key = (commit.partition.topic, commit.partition.topic_id, commit.partition.number)
    held = single(connection, "SELECT id, epoch, next_offset FROM partitions WHERE (topic, topic_id, number) = (?, ?, ?)", key)
    number, epoch, offset = held or (0, 0, 0)
    if epoch == 0 or commit.epoch != epoch:
        raise ConflictError(
            f"partition {commit.partition}: epoch {commit.epoch} is over, {epoch} holds it now; take the partition up again"
        )
    if commit.expected_offset != offset:
        raise ConflictError(f"partition {commit.partition}: stands at offset {offset}, the commit expected {commit.expected_offset}")
    if commit.next_offset < offset:
        raise ConflictError(f"partition {commit.partition}: a commit can't go back from offset {offset} to {commit.next_offset}")
    connection.execute("UPDATE partitions SET next_offset = ?, time = ? WHERE id = ?", (commit.next_offset, commit.time, number))
    return int(number)


def _monitors(connection: Connection, commit: Commit) -> dict[str, int]:
    panes = {pane.key.monitor for pane in (*commit.closed, *commit.touched)}
    names = panes.union(commit.counts, (pooled.monitor for pooled in commit.pooled))
    return {name: monitor_id(connection, name) for name in sorted(names)}


def _touch(connection: Connection, partition: int, monitors: Mapping[str, int], panes: Sequence[Pane]) -> None:
    connection.executemany(
        """INSERT OR REPLACE INTO open_panes (partition, monitor, segment, reference_version, first_offset,
               last_offset, first_time, last_time, summary) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)""",
        [(partition, monitors[pane.key.monitor], *rows.pane_values(pane)) for pane in panes],
    )


def _close(connection: Connection, partition: int, monitors: Mapping[str, int], panes: Sequence[Pane]) -> Sequence[Pane]:
    numbered = _numbered(connection, monitors, panes)
    connection.executemany(
        """INSERT INTO panes (monitor, sequence, partition, segment, reference_version, first_offset,
               last_offset, first_time, last_time, summary, ends) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)""",
        _measured(connection, monitors, [(pane, (pane.sequence, partition, *rows.pane_values(pane))) for pane in numbered]),
    )
    connection.executemany(
        """DELETE FROM open_panes
           WHERE (partition, monitor, segment, reference_version, first_offset) = (?, ?, ?, ?, ?)""",
        [(partition, monitors[pane.key.monitor], *_within_partition(pane.key)) for pane in numbered],
    )
    return numbered


def _measured(connection: Connection, monitors: Mapping[str, int], panes: Sequence[tuple[Pane, rows.Row]]) -> list[rows.Row]:
    """The panes' rows with their monitor before and the bytes of all its panes up to them behind."""
    measured, size = [], defaultdict[str, int](int)
    for pane, row in panes:
        name = pane.key.monitor
        size[name] += len(row[-1])
        measured.append((monitors[name], *row, size[name]))
    grown = "UPDATE monitors SET paned_bytes = paned_bytes + ? WHERE id = ? RETURNING paned_bytes"
    before = {monitors[name]: single(connection, grown, (n, monitors[name]))[0] - n for name, n in size.items()}
    return [(*row[:-1], before[row[0]] + row[-1]) for row in measured]


def _within_partition(key: PaneKey) -> tuple[str, int, int]:
    return key.segment, key.reference_version, key.first_offset


def _numbered(connection: Connection, monitors: Mapping[str, int], panes: Sequence[Pane]) -> Sequence[Pane]:
    """The panes in their order, each with its monitor's next number."""
    count: defaultdict[str, int] = defaultdict(int)
    for pane in panes:
        count[pane.key.monitor] += 1
    following = {name: next_sequence(connection, monitors[name], n) for name, n in count.items()}
    numbered = []
    for pane in panes:
        numbered.append(replace(pane, sequence=following[pane.key.monitor]))
        following[pane.key.monitor] += 1
    return numbered


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


def _open_panes(connection: Connection, partition: int) -> tuple[Pane, ...]:
    found = connection.execute(
        f"""SELECT m.name, p.segment, p.reference_version, {rows.PANE_COLUMNS}
            FROM open_panes p JOIN monitors m ON m.id = p.monitor JOIN partitions q ON q.id = p.partition
            WHERE p.partition = ? ORDER BY m.name, p.segment, p.first_offset""",  # noqa: S608 - a constant
        (partition,),
    )
    return tuple(rows.pane(name, segment, version, tuple(rest)) for name, segment, version, *rest in found)


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
