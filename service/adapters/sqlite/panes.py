"""Each monitor's panes: those that are open, and the log of closed ones with their numbers. Functions run inside a transaction."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from sqlite3 import Connection

from service.adapters.sqlite import rows
from service.adapters.sqlite.database import single
from service.records import Pane, PaneKey


def monitor_id(connection: Connection, name: str) -> int:
    """The monitor's number; the first mention makes it."""
    connection.execute("INSERT INTO monitors (name) VALUES (?) ON CONFLICT DO NOTHING", (name,))
    return int(single(connection, "SELECT id FROM monitors WHERE name = ?", (name,))[0])


def next_sequence(connection: Connection, monitor: int, count: int = 1) -> int:
    """Takes `count` numbers of the monitor's sequence and returns the first."""
    last = single(connection, "UPDATE monitors SET sequence = sequence + ? WHERE id = ? RETURNING sequence", (count, monitor))[0]
    return int(last) - count + 1


def open_of(connection: Connection, monitor: str) -> Sequence[Pane]:
    """The open panes of a monitor, over all partitions."""
    found = connection.execute(
        f"""SELECT m.name, p.segment, p.reference_version, {rows.PANE_COLUMNS}
            FROM open_panes p JOIN monitors m ON m.id = p.monitor JOIN partitions q ON q.id = p.partition
            WHERE m.name = ? ORDER BY p.first_offset, p.segment""",  # noqa: S608 - a constant
        (monitor,),
    )
    return [rows.pane(name, segment, version, tuple(rest)) for name, segment, version, *rest in found]


def open_in(connection: Connection, partition: int) -> tuple[Pane, ...]:
    """The open panes of a partition, over all monitors."""
    found = connection.execute(
        f"""SELECT m.name, p.segment, p.reference_version, {rows.PANE_COLUMNS}
            FROM open_panes p JOIN monitors m ON m.id = p.monitor JOIN partitions q ON q.id = p.partition
            WHERE p.partition = ? ORDER BY m.name, p.segment, p.first_offset""",  # noqa: S608 - a constant
        (partition,),
    )
    return tuple(rows.pane(name, segment, version, tuple(rest)) for name, segment, version, *rest in found)


def touch(connection: Connection, partition: int, monitors: Mapping[str, int], panes: Sequence[Pane]) -> None:
    """Keeps open panes as they stand now."""
    connection.executemany(
        """INSERT OR REPLACE INTO open_panes (partition, monitor, segment, reference_version, first_offset,
               last_offset, first_time, last_time, losses, summary) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)""",
        [(partition, monitors[pane.key.monitor], *rows.pane_values(pane)) for pane in panes],
    )


def close(connection: Connection, partition: int, monitors: Mapping[str, int], panes: Sequence[Pane]) -> Sequence[Pane]:
    """Numbers the panes and moves them from the open ones to their monitors' logs."""
    numbered = _numbered(connection, monitors, panes)
    connection.executemany(
        """INSERT INTO panes (monitor, sequence, partition, segment, reference_version, first_offset,
               last_offset, first_time, last_time, losses, summary, ends) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)""",
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
