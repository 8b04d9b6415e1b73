"""A person's word on where a partition is read on. Runs inside a transaction."""

from __future__ import annotations

from sqlite3 import Connection

from service.adapters.sqlite import panes
from service.adapters.sqlite.database import single
from service.records import Partition


def reset(connection: Connection, partition: Partition, offset: int) -> None:
    """Sets the offset and lets go of what came of the one before; other topics of this name retire."""
    name = (partition.topic, partition.topic_id, partition.number)
    (place,) = single(
        connection,
        """INSERT INTO partitions (topic, topic_id, number, epoch, next_offset, start) VALUES (?1, ?2, ?3, 1, ?4, ?4)
           ON CONFLICT DO UPDATE SET epoch = epoch + 1, next_offset = ?4, start = min(start, ?4), stopped = '', retired = 0
           RETURNING id""",
        (*name, offset),
    )
    connection.execute("UPDATE shapes SET since = min(since, ?) WHERE partition = ?", (offset, place))
    retired = connection.execute(
        """UPDATE partitions SET epoch = epoch + 1, retired = 1
           WHERE topic = ? AND topic_id <> ? AND number = ? AND NOT retired RETURNING id""",
        name,
    ).fetchall()
    for (left,) in ((place,), *sorted(retired)):
        _settle(connection, left)


def _settle(connection: Connection, partition: int) -> None:
    """Open panes close as they stand: what was counted stays counted. What waits and the recent ids belong to the reading that ends."""
    left = panes.open_in(connection, partition)
    monitors = {name: panes.monitor_id(connection, name) for name in sorted({pane.key.monitor for pane in left})}
    panes.close(connection, partition, monitors, left)
    connection.execute("DELETE FROM waiting WHERE partition = ?", (partition,))
    connection.execute("DELETE FROM recent_ids WHERE partition = ?", (partition,))
