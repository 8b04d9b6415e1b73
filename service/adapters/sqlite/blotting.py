"""Entries of the embedded log whose content goes: their places stay, since offsets and sizes are reckoned by them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

from service.adapters.sqlite import rows
from service.adapters.sqlite.database import Database
from service.adapters.sqlite.log import LOG

_AT_ONCE = 500


def blot(path: Path, change: Callable[[int, float, bytes], bytes | None], *, until: float = float("inf")) -> int:
    """Replaces bodies of entries that were appended before `until` by what `change` gives for (offset, time, body), None leaving them;
    returns how many changed. Beside the process that the log belongs to, or without one."""
    if not path.is_file():
        return 0
    with closing(Database(path, LOG)) as database:
        changed = sum(_blot(database, entries, change) for entries in _entries(database, until))
        if changed:
            database.scrub()
        return changed


def _entries(database: Database, until: float) -> Iterator[Sequence[rows.Row]]:
    """Some at a time, in order."""
    after = -1
    look = 'SELECT "offset", time, body FROM entries WHERE "offset" > ? AND time < ? ORDER BY "offset" LIMIT ?'
    while True:
        with database.read() as connection:
            found = connection.execute(look, (after, until, _AT_ONCE)).fetchall()
        if not found:
            return
        yield found
        after = found[-1][0]


def _blot(database: Database, entries: Sequence[rows.Row], change: Callable[[int, float, bytes], bytes | None]) -> int:
    blotted = [(body, offset) for offset, time, before in entries if (body := change(offset, time, before)) is not None]
    if blotted:
        with database.write() as connection:
            connection.executemany('UPDATE entries SET body = ? WHERE "offset" = ?', blotted)
    return len(blotted)
