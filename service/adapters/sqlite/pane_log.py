"""What is kept of the pane log behind the last checkpoint: so many bytes and days, and always a checkpoint where it begins."""

from __future__ import annotations

from dataclasses import dataclass
from sqlite3 import Connection

from service.adapters.sqlite.database import single

_STEPS = 8
"""The log is shortened by about this fraction of what may be kept: each step costs a stored checkpoint."""


@dataclass(frozen=True, slots=True)
class Retention:
    """What is kept of each monitor's decided panes."""

    bytes: int
    seconds: float
    """Of log time."""


USUAL = Retention(500_000_000, 90 * 86_400.0)
"""Two months of a sample a second, at about 3 kB a pane."""


def shorten(connection: Connection, monitor: int, covered: int, checkpoint: bytes, kept: Retention) -> None:
    """Drops decided panes beyond the retention, up to a checkpoint that a replay can start from: half a history decides otherwise."""
    newest = single(
        connection,
        "SELECT ends, last_time FROM panes WHERE monitor = ? AND sequence <= ? ORDER BY sequence DESC LIMIT 1",
        (monitor, covered),
    )
    if newest is None:
        return
    ends, time = newest
    since_ends, since = _last_start(connection, monitor)
    if (ends - since_ends) * _STEPS >= kept.bytes or (time - since) * _STEPS >= kept.seconds:
        connection.execute("INSERT OR REPLACE INTO starts VALUES (?, ?, ?, ?, ?)", (monitor, covered, ends, time, checkpoint))
    cut = single(
        connection,
        """SELECT max(coalesce((SELECT max(sequence) FROM starts WHERE monitor = ?1 AND time <= ?2), 0),
                      iif(?3 > 0, coalesce((SELECT min(sequence) FROM starts WHERE monitor = ?1 AND ends >= ?3), 0), 0))""",
        (monitor, time - kept.seconds, ends - kept.bytes),
    )[0]
    connection.execute("DELETE FROM panes WHERE monitor = ? AND sequence <= ?", (monitor, cut))
    connection.execute("DELETE FROM starts WHERE monitor = ? AND sequence < ?", (monitor, cut))


def _last_start(connection: Connection, monitor: int) -> tuple[int, float]:
    """Bytes and time at the newest checkpoint that is kept for replays, or at the log's first pane."""
    found = single(connection, "SELECT ends, time FROM starts WHERE monitor = ? ORDER BY sequence DESC LIMIT 1", (monitor,))
    if found is None:
        found = 0, single(connection, "SELECT last_time FROM panes WHERE monitor = ? ORDER BY sequence LIMIT 1", (monitor,))[0]
    return int(found[0]), float(found[1])


def start(connection: Connection, monitor: str) -> tuple[int, bytes | None]:
    """The number before the first pane that is kept, and the checkpoint there; (0, None) while none has gone."""
    found = single(
        connection,
        """SELECT s.sequence, s.checkpoint FROM starts s JOIN monitors m ON m.id = s.monitor
           WHERE m.name = ? AND s.sequence < coalesce((SELECT min(p.sequence) FROM panes p WHERE p.monitor = m.id), s.sequence + 1)
           ORDER BY s.sequence DESC LIMIT 1""",
        (monitor,),
    )
    return (int(found[0]), found[1]) if found else (0, None)
