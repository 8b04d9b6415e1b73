"""Items that could not be used, the newest of them."""

from __future__ import annotations

from collections.abc import Sequence
from sqlite3 import Connection

import msgspec

from service.adapters.sqlite.database import single
from service.records import DeadLetter

_decoder = msgspec.msgpack.Decoder(DeadLetter)


def add(connection: Connection, letters: Sequence[DeadLetter]) -> None:
    """Idempotent by id."""
    documents = [(letter, msgspec.msgpack.encode(letter)) for letter in letters]
    connection.executemany(
        """INSERT INTO dead_letters (id, monitor, ends, document)
           VALUES (?, ?, coalesce((SELECT ends FROM dead_letters ORDER BY number DESC LIMIT 1), 0) + ?, ?) ON CONFLICT DO NOTHING""",
        [(letter.id, letter.rejected.monitor, len(document), document) for letter, document in documents],
    )


def trim(connection: Connection, keep: int, keep_bytes: int) -> None:
    """Drops all but the newest, as many as both bounds allow; the newest one stays."""
    connection.execute("DELETE FROM dead_letters WHERE number <= (SELECT max(number) FROM dead_letters) - ?", (keep,))
    newest = single(connection, "SELECT number, ends FROM dead_letters ORDER BY number DESC LIMIT 1")
    if newest is None:
        return
    number, ends = newest
    connection.execute(
        """DELETE FROM dead_letters WHERE number < coalesce((
               SELECT number FROM dead_letters WHERE ends - length(document) >= ? ORDER BY number LIMIT 1), ?)""",
        (ends - keep_bytes, number),
    )


def read(connection: Connection, monitor: str | None, limit: int) -> Sequence[DeadLetter]:
    """Newest first."""
    found = connection.execute(
        "SELECT document FROM dead_letters WHERE :monitor IS NULL OR monitor = :monitor ORDER BY number DESC LIMIT :limit",
        {"monitor": monitor, "limit": limit},
    )
    return [_decoder.decode(document) for (document,) in found]
