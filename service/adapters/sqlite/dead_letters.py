"""Items that could not be used, the newest of them."""

from __future__ import annotations

from collections.abc import Sequence
from sqlite3 import Connection

import msgspec

from service.records import DeadLetter

_decoder = msgspec.msgpack.Decoder(DeadLetter)


def add(connection: Connection, letters: Sequence[DeadLetter]) -> None:
    """Idempotent by id."""
    connection.executemany(
        "INSERT INTO dead_letters (id, monitor, document) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        [(letter.id, letter.rejected.monitor, msgspec.msgpack.encode(letter)) for letter in letters],
    )


def trim(connection: Connection, keep: int) -> None:
    """Drops all but the newest."""
    connection.execute("DELETE FROM dead_letters WHERE number <= (SELECT max(number) FROM dead_letters) - ?", (keep,))


def read(connection: Connection, monitor: str | None, limit: int) -> Sequence[DeadLetter]:
    """Newest first."""
    found = connection.execute(
        "SELECT document FROM dead_letters WHERE :monitor IS NULL OR monitor = :monitor ORDER BY number DESC LIMIT :limit",
        {"monitor": monitor, "limit": limit},
    )
    return [_decoder.decode(document) for (document,) in found]
