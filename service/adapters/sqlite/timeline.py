"""How each stream went, ever coarser with age: a bounded number of passages per level."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from sqlite3 import Connection

import msgspec

from service.records import LEVELS, Measured, Passage

_Strongest = tuple[float, float, float, float, int]
"""(threshold, effect's estimate and interval, reference version) at the strongest evidence."""

_encode, _decode = msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder(_Strongest).decode
_KEPT = dict(LEVELS)
_LEVEL = "FROM timeline WHERE monitor = ?1 AND segment = ?2 AND seconds = ?3"
_TRIM = f"DELETE {_LEVEL} AND start <= (SELECT start {_LEVEL} ORDER BY start DESC LIMIT 1 OFFSET ?4)"


def add(connection: Connection, monitor: int, passages: Iterable[Passage]) -> None:
    """Each joins what is there of its passage."""
    connection.executemany(
        """INSERT INTO timeline VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
               samples = samples + excluded.samples, evidence = max(evidence, excluded.evidence),
               at_strongest = iif(excluded.evidence > evidence, excluded.at_strongest, at_strongest)""",
        ((monitor, *passage.place, passage.samples, passage.evidence, _strongest(passage)) for passage in passages),
    )


def _strongest(passage: Passage) -> bytes:
    effect = passage.effect
    return _encode((passage.threshold, effect.estimate, effect.low, effect.high, passage.reference_version))


def trim(connection: Connection, monitor: int) -> None:
    """Lets go of what is older than the newest that are kept, now and then: nobody reads it."""
    for seconds, kept in LEVELS:
        full = connection.execute(
            "SELECT segment FROM timeline WHERE monitor = ? AND seconds = ? GROUP BY segment HAVING count(*) > ?", (monitor, seconds, kept)
        )
        for (segment,) in full.fetchall():
            connection.execute(_TRIM, (monitor, segment, seconds, kept))


def read(connection: Connection, monitor: str, segment: str, seconds: float, limit: int) -> Sequence[Passage]:
    """The newest, oldest first."""
    found = connection.execute(
        """SELECT start, samples, evidence, at_strongest FROM timeline
           WHERE monitor = (SELECT id FROM monitors WHERE name = ?) AND segment = ? AND seconds = ? ORDER BY start DESC LIMIT ?""",
        (monitor, segment, seconds, min(limit, _KEPT.get(seconds, 0))),
    )
    return [_passage(segment, seconds, row) for row in found][::-1]


def _passage(segment: str, seconds: float, row: tuple[float, int, float, bytes]) -> Passage:
    start, samples, evidence, strongest = row
    threshold, estimate, low, high, version = _decode(strongest)
    return Passage(segment, seconds, start, samples, evidence, threshold, Measured(estimate, low, high), version)
