"""The log of panes and events with its sequence numbers, and how far it has been decided."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from operator import attrgetter
from sqlite3 import Connection
from typing import Any

import msgspec

from service.adapters.sqlite import entities, leases, pane_log, panes, rows, timeline
from service.adapters.sqlite.database import single
from service.errors import ConflictError
from service.records import Decision, Event, Pane

_event = msgspec.json.Decoder(Event)


def entries(connection: Connection, monitor: str, after: int, limit: int) -> Sequence[Pane | Event]:
    """Panes and events above `after`, merged in order of their number."""
    span = (monitor, after, limit)
    merged: Iterable[Pane | Event] = heapq.merge(_panes(connection, span), _events(connection, span), key=attrgetter("sequence"))
    return list(islice(merged, limit))


def _panes(connection: Connection, span: tuple[str, int, int]) -> Iterator[Pane]:
    found = connection.execute(
        f"""SELECT p.sequence, m.name, p.segment, p.reference_version, {rows.PANE_COLUMNS}
            FROM panes p JOIN monitors m ON m.id = p.monitor JOIN partitions q ON q.id = p.partition
            WHERE m.name = ? AND p.sequence > ? ORDER BY p.sequence LIMIT ?""",  # noqa: S608 - a constant
        span,
    )
    for sequence, name, segment, version, *rest in found:
        yield rows.pane(name, segment, version, tuple(rest), sequence)


def _events(connection: Connection, span: tuple[str, int, int]) -> Iterator[Event]:
    found = connection.execute(
        """SELECT e.document FROM events e JOIN monitors m ON m.id = e.monitor
           WHERE m.name = ? AND e.sequence > ? ORDER BY e.sequence LIMIT ?""",
        span,
    )
    for (document,) in found:
        yield _event.decode(document)


def events(connection: Connection, monitor: str) -> Sequence[Event]:
    """All of them, in order of their number."""
    return list(_events(connection, (monitor, 0, -1)))


def record_event(connection: Connection, event: Event) -> Event:
    """Appends the event, unless its id is there already."""
    stored = single(connection, "SELECT document FROM events WHERE id = ?", (event.id,))
    if stored is not None:
        return _event.decode(stored[0])
    monitor = panes.monitor_id(connection, event.monitor)
    numbered = replace(event, sequence=panes.next_sequence(connection, monitor))
    document = msgspec.json.encode(numbered)
    connection.execute("INSERT INTO events VALUES (?, ?, ?, ?)", (event.id, monitor, numbered.sequence, document))
    return numbered


def decided(connection: Connection, monitor: str) -> tuple[int, int, bytes | None]:
    """How far the log is decided, how far the checkpoint covers it, and the checkpoint; zeros before the first decision."""
    row = single(
        connection,
        """SELECT d.sequence, c.sequence, c.checkpoint
           FROM monitors m JOIN decisions d ON d.monitor = m.id LEFT JOIN checkpoints c ON c.monitor = m.id WHERE m.name = ?""",
        (monitor,),
    )
    sequence, covered, checkpoint = row or (0, 0, None)
    return sequence, covered or 0, checkpoint


def decide(connection: Connection, decision: Decision, kept: pane_log.Retention) -> None:
    """Writes all that deciding changed if nobody decided meanwhile, and drops panes that the checkpoint made unnecessary."""
    monitor = panes.monitor_id(connection, decision.monitor)
    if decision.fence is not None:
        leases.compare(connection, decision.fence)
    _compare(connection, monitor, decision)
    connection.execute(
        """INSERT INTO decisions VALUES (?, ?, ?)
           ON CONFLICT DO UPDATE SET sequence = excluded.sequence, state = coalesce(excluded.state, state)""",
        (monitor, decision.decided_sequence, decision.state),
    )
    entities.save(connection, decision.alarms, decision.outbox)
    timeline.add(connection, monitor, decision.timeline)
    if decision.checkpoint is not None:
        covered = decision.decided_sequence
        connection.execute("INSERT OR REPLACE INTO checkpoints VALUES (?, ?, ?)", (monitor, covered, decision.checkpoint))
        timeline.trim(connection, monitor)
        pane_log.shorten(connection, monitor, covered, decision.checkpoint, kept)


def undecided(connection: Connection) -> Sequence[str]:
    """Monitors whose log goes on behind the last decision."""
    found = connection.execute(
        """SELECT m.name FROM monitors m LEFT JOIN decisions d ON d.monitor = m.id
           WHERE m.sequence > coalesce(d.sequence, 0) ORDER BY m.name"""
    )
    return [name for (name,) in found]


def _compare(connection: Connection, monitor: int, decision: Decision) -> None:
    row = single(connection, "SELECT sequence FROM decisions WHERE monitor = ?", (monitor,))
    stands = row[0] if row else 0
    if decision.expected_sequence != stands:
        raise ConflictError(
            f"monitor {decision.monitor}: decided up to {stands}, the decision expected {decision.expected_sequence}; read again from there"
        )
    last = single(connection, "SELECT sequence FROM monitors WHERE id = ?", (monitor,))[0]
    if not stands <= decision.decided_sequence <= last:
        raise ConflictError(
            f"monitor {decision.monitor}: can't decide up to {decision.decided_sequence}; decided {stands}, recorded {last}"
        )


def status(connection: Connection, monitor: str) -> Mapping[str, Any]:
    """The newest state document, {} before the first."""
    found = "SELECT d.state FROM decisions d JOIN monitors m ON m.id = d.monitor WHERE m.name = ? AND d.state IS NOT NULL"
    row = single(connection, found, (monitor,))
    return msgspec.json.decode(row[0], type=dict[str, Any]) if row else {}
