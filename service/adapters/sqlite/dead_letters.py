"""Items that could not be used, the newest of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from sqlite3 import Connection

import msgspec

from service.adapters.sqlite.database import single
from service.errors import NotFoundError
from service.records import DeadLetter

_decoder = msgspec.msgpack.Decoder(DeadLetter)


def add(connection: Connection, letters: Sequence[DeadLetter]) -> None:
    """Idempotent by id; one that has arrived in its topic does not wait for it any more."""
    documents = [(letter, msgspec.msgpack.encode(letter)) for letter in letters]
    connection.executemany(
        """INSERT INTO dead_letters (id, monitor, ends, document, sent)
           VALUES (?, ?, coalesce((SELECT ends FROM dead_letters ORDER BY number DESC LIMIT 1), 0) + ?, ?, ?)
           ON CONFLICT DO UPDATE SET sent = max(sent, excluded.sent)""",
        [(letter.id, letter.rejected.monitor, len(document), document, letter.sent) for letter, document in documents],
    )


def trim(connection: Connection, keep: int, keep_bytes: int) -> None:
    """Drops all but the newest, as many as both bounds allow; the newest one stays, and what waits for its topic."""
    connection.execute("DELETE FROM dead_letters WHERE sent AND number <= (SELECT max(number) FROM dead_letters) - ?", (keep,))
    newest = single(connection, "SELECT number, ends FROM dead_letters ORDER BY number DESC LIMIT 1")
    if newest is None:
        return
    number, ends = newest
    connection.execute(
        """DELETE FROM dead_letters WHERE sent AND number < coalesce((
               SELECT number FROM dead_letters WHERE ends - length(document) >= ? ORDER BY number LIMIT 1), ?)""",
        (ends - keep_bytes, number),
    )


def read(connection: Connection, monitor: str | None, after: str | None, limit: int) -> Sequence[DeadLetter]:
    """Newest first."""
    found = connection.execute(
        """SELECT document, sent FROM dead_letters WHERE (:monitor IS NULL OR monitor = :monitor) AND number < :before
           ORDER BY number DESC LIMIT :limit""",
        {"monitor": monitor, "before": _place(connection, after), "limit": limit},
    )
    return list(_letters(found))


def _place(connection: Connection, after: str | None) -> int:
    if after is None:
        return 2**63 - 1
    row = single(connection, "SELECT number FROM dead_letters WHERE id = ?", (after,))
    if row is None:
        raise _gone(after)
    return int(row[0])


def get(connection: Connection, id: str) -> DeadLetter:
    """NotFoundError when there is none."""
    found = _letters(connection.execute("SELECT document, sent FROM dead_letters WHERE id = ?", (id,)))
    for letter in found:
        return letter
    raise _gone(id)


def _gone(id: str) -> NotFoundError:
    return NotFoundError(f"no dead letter {id!r:.100}; it may have made room for newer ones")


def unsent(connection: Connection, limit: int) -> Sequence[DeadLetter]:
    """Those that wait for their topic, oldest first."""
    return list(_letters(connection.execute("SELECT document, sent FROM dead_letters WHERE NOT sent ORDER BY number LIMIT ?", (limit,))))


def unsent_count(connection: Connection) -> int:
    """How many wait for their topic."""
    return int(connection.execute("SELECT count(*) FROM dead_letters WHERE NOT sent").fetchone()[0])


def mark_sent(connection: Connection, ids: Iterable[str]) -> None:
    """They have arrived in their topic."""
    connection.executemany("UPDATE dead_letters SET sent = 1 WHERE id = ?", [(letter,) for letter in ids])


def _letters(found: Iterable[tuple[bytes, int]]) -> Iterator[DeadLetter]:
    for document, sent in found:
        yield replace(_decoder.decode(document), sent=bool(sent))
