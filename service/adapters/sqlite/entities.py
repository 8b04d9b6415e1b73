"""Alarms, annotation batches, refresh cycles, declarations and failure marks: documents whose version is compared at every change."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from sqlite3 import Connection

import msgspec

from service.adapters.sqlite import outbox, rows
from service.adapters.sqlite.database import single
from service.errors import ConflictError, absent
from service.ports import E
from service.records import (
    KINDS,
    Alarm,
    Entity,
    OutboxItem,
)


def get(connection: Connection, kind: type[E], id: str) -> E:
    """The entity as it stands; NotFoundError when there is none."""
    row = single(connection, "SELECT document FROM entities WHERE (kind, id) = (?, ?)", (KINDS[kind], id))
    if row is None:
        raise absent(KINDS[kind], id)
    return msgspec.json.decode(row[0], type=kind)


def find(connection: Connection, kind: type[E], *, monitor: str | None, states: Iterable[str], limit: int) -> Sequence[E]:
    """Newest first; no states means all."""
    found = connection.execute(
        """SELECT document FROM entities
           WHERE kind = :kind AND (:monitor IS NULL OR monitor = :monitor)
             AND (:states = '[]' OR state IN (SELECT value FROM json_each(:states)))
           ORDER BY created DESC, rowid DESC LIMIT :limit""",
        {"kind": KINDS[kind], "monitor": monitor, "states": rows.listed(states), "limit": limit},
    )
    return [msgspec.json.decode(document, type=kind) for (document,) in found]


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
