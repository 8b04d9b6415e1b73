"""How each stream went, ever coarser with age: a bounded number of passages per level."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from sqlite3 import Connection

import msgspec

from service.adapters.sqlite.database import single
from service.records import LEVELS, Measured, Passage

_Strongest = tuple[float, float, float, float, int]
"""(threshold, effect's estimate and interval, reference version) at the strongest evidence."""

_encode, _decode = msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder(_Strongest).decode
_KEPT = dict(LEVELS)


def add(connection: Connection, monitor: int, passages: Iterable[Passage]) -> None:
    """Each joins what is there of its passage; of the level's oldest as many go as are too many."""
    trimmed = set()
    for passage in passages:
        effect = passage.effect
        strongest = _encode((passage.threshold, effect.estimate, effect.low, effect.high, passage.reference_version))
        connection.execute(
            """INSERT INTO timeline VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
                   samples = samples + excluded.samples, evidence = max(evidence, excluded.evidence),
                   at_strongest = iif(excluded.evidence > evidence, excluded.at_strongest, at_strongest)""",
            (monitor, *passage.place, passage.samples, passage.evidence, strongest),
        )
        trimmed.add((passage.segment, passage.seconds))
    for segment, seconds in trimmed:
        _trim(connection, (monitor, segment, seconds))


def _trim(connection: Connection, level: tuple[int, str, float]) -> None:
    last = single(
        connection,
        "SELECT start FROM timeline WHERE monitor = ? AND segment = ? AND seconds = ? ORDER BY start DESC LIMIT 1 OFFSET ?",
        (*level, _KEPT[level[2]]),
    )
    if last is not None:
        connection.execute("DELETE FROM timeline WHERE monitor = ? AND segment = ? AND seconds = ? AND start <= ?", (*level, last[0]))


def read(connection: Connection, monitor: str, segment: str, seconds: float, limit: int) -> Sequence[Passage]:
    """The newest, oldest first."""
    found = connection.execute(
        """SELECT start, samples, evidence, at_strongest FROM timeline
           WHERE monitor = (SELECT id FROM monitors WHERE name = ?) AND segment = ? AND seconds = ? ORDER BY start DESC LIMIT ?""",
        (monitor, segment, seconds, limit),
    )
    return [_passage(segment, seconds, row) for row in found][::-1]


def _passage(segment: str, seconds: float, row: tuple[float, int, float, bytes]) -> Passage:
    start, samples, evidence, strongest = row
    threshold, estimate, low, high, version = _decode(strongest)
    return Passage(segment, seconds, start, samples, evidence, threshold, Measured(estimate, low, high), version)
