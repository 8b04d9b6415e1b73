"""What goes because somebody asked for it, or because it is old; deleted content is overwritten, see `database`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from sqlite3 import Connection

from service.adapters.sqlite import entities, reserve, rows
from service.adapters.sqlite.database import Database, single
from service.records import KINDS
from service.records.erasure import Doomed, Forgotten
from service.truth import answers

_WHERE: Mapping[str, str] = {
    "pool": """DELETE FROM pool WHERE place >= :id << 32 AND place < (:id + 1) << 32
               AND (sample IN (SELECT value FROM json_each(:samples)) OR time < :before)""",
    "waiting": """DELETE FROM waiting WHERE monitor = :name
                  AND (sample IN (SELECT value FROM json_each(:samples)) OR time < :before)""",
    "labels": "DELETE FROM labels WHERE monitor = :name AND sample IN (SELECT value FROM json_each(:samples))",
    "judgements": "DELETE FROM judgements WHERE monitor = :id AND sample IN (SELECT value FROM json_each(:samples))",
    "judged": "DELETE FROM judged_samples WHERE monitor = :id AND sample IN (SELECT value FROM json_each(:samples))",
}
"""What holds samples, but for the reserve and the answers."""


class Erasing:
    """The part of the store that lets go."""

    _database: Database
    _forgotten: frozenset[str] = frozenset()

    def erase(self, doomed: Doomed) -> Mapping[str, int]:
        """Where → how many rows were there."""
        with self._database.write() as connection:
            return erase(connection, doomed)

    def drop_dead_letters(self, ids: Collection[str]) -> int:
        """Returns how many of them were there."""
        with self._database.write() as connection:
            gone = "DELETE FROM dead_letters WHERE id IN (SELECT value FROM json_each(?))"
            return connection.execute(gone, (rows.listed(ids),)).rowcount

    def forgotten(self) -> frozenset[str]:
        """The ids of all that must not be taken again: they only grow, so they are read again when there are more."""
        known = self._forgotten
        with self._database.read() as connection:
            if sum(entities.tally(connection, Forgotten).values()) != len(known):
                found = connection.execute("SELECT id FROM entities WHERE kind = ?", (KINDS[Forgotten],))
                self._forgotten = known = frozenset(each for (each,) in found)
        return known

    def scrub(self) -> None:
        """The write-ahead log still holds pages as they were."""
        self._database.scrub()


def erase(connection: Connection, doomed: Doomed) -> Mapping[str, int]:
    """Samples out of pool, reserve and join; of those named, also what is known of them."""
    known = single(connection, "SELECT id FROM monitors WHERE name = ?", (doomed.monitor,))
    given = {"name": doomed.monitor, "id": known and known[0], "samples": rows.listed(doomed.samples), "before": max(doomed.before, -1e300)}
    found = {where: connection.execute(statement, given).rowcount for where, statement in _WHERE.items()}
    found["reserve"] = _of_reserve(connection, doomed, given)
    if doomed.samples and known:
        found["answers"] = _answers(connection, known[0], doomed.samples)
    return {where: count for where, count in found.items() if count > 0}


def _of_reserve(connection: Connection, doomed: Doomed, given: Mapping[str, object]) -> int:
    """Rows, and the names of those that others were twins of."""
    old = """SELECT sample FROM reserve WHERE monitor = :id
             AND (sample IN (SELECT value FROM json_each(:samples)) OR time < :before)"""
    found = [sample for (sample,) in connection.execute(old, given).fetchall()]
    connection.execute("UPDATE reserve SET twin = '' WHERE monitor = :id AND twin IN (SELECT value FROM json_each(:samples))", given)
    return reserve.drop(connection, doomed.monitor, found, None)


def _answers(connection: Connection, monitor: int, samples: Collection[str]) -> int:
    """Rows of the answers that are theirs: blocks of columns, in which nobody is found by then."""
    gone = 0
    for last, body in connection.execute("SELECT last, body FROM answers WHERE monitor = ?", (monitor,)).fetchall():
        without, count = answers.without(body, samples)
        if count:
            connection.execute("UPDATE answers SET body = ? WHERE (monitor, last) = (?, ?)", (without, monitor, last))
            gone += count
    return gone
