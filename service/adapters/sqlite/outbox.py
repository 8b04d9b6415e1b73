"""What must leave, until it is delivered or visibly dead."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from itertools import islice
from sqlite3 import Connection

import msgspec

from service.adapters.sqlite.database import single
from service.adapters.sqlite.rows import listed
from service.errors import NotFoundError
from service.records import OutboxItem

_decoder = msgspec.json.Decoder(OutboxItem)


def add(connection: Connection, items: Iterable[OutboxItem]) -> None:
    """Idempotent by id: an item that is there already keeps its state."""
    connection.executemany(
        "INSERT INTO outbox VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
        [(item.id, item.state, item.due, msgspec.json.encode(item)) for item in items],
    )


class _Addressed(msgspec.Struct):
    """As much of an item as says where it goes."""

    destination: str


_addressed = msgspec.json.Decoder(_Addressed)


def due(connection: Connection, now: float, limit: int, without: Collection[str]) -> Sequence[OutboxItem]:
    """Pending items whose time has come, the longest due first. Read no further than asked."""
    rows = connection.execute("SELECT document FROM outbox WHERE state = 'pending' AND due <= ? ORDER BY due, rowid", (now,))
    documents = (document for (document,) in rows if not without or _addressed.decode(document).destination not in without)
    return [_decoder.decode(document) for document in islice(documents, limit)]


def settle(connection: Connection, item: OutboxItem) -> None:
    """Replaces all but the payload of an item that is there."""
    _replace(connection, replace(item, payload=_stored(connection, item.id).payload))


def reword(connection: Connection, item: OutboxItem) -> None:
    """Replaces the payload alone."""
    _replace(connection, replace(_stored(connection, item.id), payload=item.payload))


def _stored(connection: Connection, id: str) -> OutboxItem:
    row = single(connection, "SELECT document FROM outbox WHERE id = ?", (id,))
    if row is None:
        raise NotFoundError(f"no outbox item {id!r}")
    return _decoder.decode(row[0])


def _replace(connection: Connection, item: OutboxItem) -> None:
    document = msgspec.json.encode(item)
    connection.execute("UPDATE outbox SET state = ?, due = ?, document = ? WHERE id = ?", (item.state, item.due, document, item.id))


def read(connection: Connection, states: Iterable[str], after: str | None, limit: int) -> Sequence[OutboxItem]:
    """Newest first; no states means all."""
    found = connection.execute(
        """SELECT document FROM outbox
           WHERE (:states = '[]' OR state IN (SELECT value FROM json_each(:states))) AND rowid < :before
           ORDER BY rowid DESC LIMIT :limit""",
        {"states": listed(states), "before": _place(connection, after), "limit": limit},
    )
    return [_decoder.decode(document) for (document,) in found]


def _place(connection: Connection, after: str | None) -> int:
    if after is None:
        return 2**63 - 1
    row = single(connection, "SELECT rowid FROM outbox WHERE id = ?", (after,))
    if row is None:
        raise NotFoundError(f"no outbox item {after!r:.100}")
    return int(row[0])
