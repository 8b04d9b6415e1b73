"""Alarms, annotation batches, refresh cycles, declarations and failure marks: documents whose version is compared at every change."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice, product
from operator import itemgetter
from sqlite3 import Connection

import msgspec

from service.adapters.sqlite import outbox
from service.adapters.sqlite.database import single
from service.errors import ConflictError, absent
from service.ports import E
from service.records import (
    KINDS,
    Alarm,
    Entity,
    OutboxItem,
)

_MONITOR, _STATE = "AND monitor = :monitor", "AND state = :state"
_FIND = {
    (of_monitor is not None, in_state is not None): f"""SELECT created, rowid, document FROM entities
        WHERE kind = :kind {of_monitor or ""} {in_state or ""} AND (created, rowid) < (:created, :number)
        ORDER BY created DESC, rowid DESC LIMIT :limit"""  # noqa: S608 - constants
    for of_monitor in (None, _MONITOR)
    for in_state in (None, _STATE)
}
"""By whether a monitor is given, and a state."""


def get(connection: Connection, kind: type[E], id: str) -> E:
    """The entity as it stands; NotFoundError when there is none."""
    row = single(connection, "SELECT document FROM entities WHERE (kind, id) = (?, ?)", (KINDS[kind], id))
    if row is None:
        raise absent(KINDS[kind], id)
    return msgspec.json.decode(row[0], type=kind)


def find(
    connection: Connection, kind: type[E], monitors: Sequence[str] | None, states: Sequence[str], *, after: str | None, limit: int
) -> Sequence[E]:
    """Newest first; None and no states mean all. Each monitor's and state's are read along an index of their own, no further than asked."""
    created, number = _place(connection, kind, after)
    given = {"kind": KINDS[kind], "created": created, "number": number, "limit": limit}
    wanted = product((None,) if monitors is None else monitors, states or (None,))
    lists = [
        connection.execute(_FIND[monitor is not None, state is not None], {**given, "monitor": monitor, "state": str(state)})
        for monitor, state in wanted
    ]
    newest = islice(heapq.merge(*lists, key=itemgetter(0, 1), reverse=True), limit)
    return [msgspec.json.decode(document, type=kind) for _, _, document in newest]


def _place(connection: Connection, kind: type[E], after: str | None) -> tuple[float, int]:
    """Where a list goes on after an entity, whatever its state is by now; without one, before the newest."""
    if after is None:
        return math.inf, 2**63 - 1
    row = single(connection, "SELECT created, rowid FROM entities WHERE (kind, id) = (?, ?)", (KINDS[kind], after))
    if row is None:
        raise absent(KINDS[kind], after)
    return float(row[0]), int(row[1])


def tally(connection: Connection, kind: type[Entity]) -> Mapping[tuple[str, str], int]:
    """(monitor, state) → how many there are."""
    found = connection.execute("SELECT monitor, state, entities FROM entity_counts WHERE kind = ? AND entities > 0", (KINDS[kind],))
    return {(monitor, state): count for monitor, state, count in found}


def drop(connection: Connection, kind: type[Entity], ids: Iterable[str]) -> int:
    """Returns how many of them were there."""
    return connection.executemany("DELETE FROM entities WHERE (kind, id) = (?, ?)", [(KINDS[kind], each) for each in ids]).rowcount


def save(connection: Connection, entities: Iterable[Entity], items: Iterable[OutboxItem]) -> None:
    """Each version must be one above the stored one; what leaves because of the change goes into the same transaction."""
    outbox.add(connection, items)
    for entity in entities:
        name = KINDS[type(entity)]
        row = single(connection, "SELECT version FROM entities WHERE (kind, id) = (?, ?)", (name, entity.id))
        stored = row[0] if row else 0
        if entity.version != stored + 1:
            raise ConflictError(
                f"{name} {entity.id}: version {stored} is stored, a change must bring {stored + 1}, not {entity.version}; read it again"
            )
        created = entity.opened if isinstance(entity, Alarm) else entity.created
        connection.execute(
            """INSERT INTO entities VALUES (?, ?, ?, ?, ?, ?, ?)
               ON CONFLICT DO UPDATE SET state = excluded.state, version = excluded.version, document = excluded.document""",
            (name, entity.id, entity.monitor, entity.state, entity.version, created, _document(entity)),
        )


def _document(entity: Entity) -> bytes:
    """JSON that has been read back: a number that JSON can't hold is refused now, not found out later."""
    document = msgspec.json.encode(entity)
    msgspec.json.decode(document, type=type(entity))
    return document
