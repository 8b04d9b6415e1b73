"""The reserve of each monitor: rows that stay by their keys, a bounded number in each part. Functions run inside a transaction."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from sqlite3 import Connection
from typing import Any, TypeAlias

import msgspec

from service.adapters.sqlite import rows
from service.adapters.sqlite.database import single
from service.records import Pooled, Reservation, Reserved, ReservedPart

_Place: TypeAlias = tuple[str, str, int]
_places = msgspec.msgpack.Decoder(_Place)
_pack = msgspec.msgpack.Encoder().encode


def add(connection: Connection, monitor: int, reservation: Reservation, *, payload_bytes: int) -> int:
    """Takes rows in and lets go of those with the smallest keys; how many of them are there then. Once is as good as twice, but
    for the counts of twins: see the port."""
    _age(connection, monitor, reservation.half_life)
    _take_in(connection, monitor, reservation.rows)
    for part, quota in reservation.quotas.items():
        _trim(connection, monitor, part, quota)
    if any(each.row.payload is not None for each in reservation.rows):
        _release(connection, monitor, payload_bytes)
    return len(_numbers(connection, monitor, {each.row.id for each in reservation.rows}))


def _take_in(connection: Connection, monitor: int, reserved: Sequence[Reserved]) -> None:
    """A sample that is there learns; a twin raises the one that stands for it; any other comes in."""
    given = {each.row.id: each for each in reversed(reserved)}
    numbers = _numbers(connection, monitor, given)
    leaders = _leaders(connection, monitor, {each.twin for each in reserved} - {""})
    new = [each for sample, each in given.items() if sample not in numbers and each.twin not in leaders.keys() | given.keys()]
    _insert(connection, monitor, new, numbers)
    keys, come = list[rows.Row](), {id(each) for each in new}
    for each in reserved:
        number, leader = numbers.get(each.row.id), leaders.get(each.twin) or numbers.get(each.twin)
        if number is not None and id(each) not in come:
            _repeat(connection, number, each)
        elif number is None and leader is not None:
            raised = "UPDATE reserve SET count = count + ?, at = max(at, ?) WHERE number = ?"
            connection.execute(raised, (each.count, each.at, leader))
        elif number is None:  # the twin of one that came with it, and is itself no row
            _insert(connection, monitor, [each], numbers)
        number = numbers.get(each.row.id, leader)
        keys += [(number, part, monitor, key) for part, key in each.keys.items()]
    connection.executemany("INSERT INTO reserve_keys VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET key = max(key, excluded.key)", keys)


def _leaders(connection: Connection, monitor: int, twins: Collection[str]) -> dict[str, int]:
    """The rows that are these samples, or stand in for them."""
    if not twins:
        return {}
    standing = "SELECT twin, number FROM reserve WHERE monitor = ? AND twin <> '' AND twin IN (SELECT value FROM json_each(?))"
    found = connection.execute(standing, (monitor, rows.listed(twins))).fetchall()
    return dict(found) | _numbers(connection, monitor, twins)


def _insert(connection: Connection, monitor: int, new: Sequence[Reserved], numbers: dict[str, int]) -> None:
    """Gives each its number."""
    first = single(connection, "SELECT coalesce(max(number), 0) FROM reserve")[0] + 1
    numbers |= {each.row.id: number for number, each in enumerate(new, start=first)}
    values = [(numbers[each.row.id], monitor, *_values(each)) for each in new]
    connection.executemany("INSERT INTO reserve VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values)


def _age(connection: Connection, monitor: int, half_life: float) -> None:
    """Keys that were made with another half-life would stand above all new ones, or below them."""
    known = single(connection, "SELECT half_life FROM reserves WHERE monitor = ?", (monitor,))
    if known is None:
        connection.execute("INSERT INTO reserves VALUES (?, ?)", (monitor, half_life))
    elif known[0] != half_life:
        connection.execute("UPDATE reserves SET half_life = ? WHERE monitor = ?", (half_life, monitor))
        connection.execute(
            "UPDATE reserve_keys SET key = key + ? * (SELECT at FROM reserve r WHERE r.number = reserve_keys.number) WHERE monitor = ?",
            (math.log(2) / half_life - math.log(2) / known[0], monitor),
        )


def _numbers(connection: Connection, monitor: int, samples: Collection[str]) -> dict[str, int]:
    """Of these samples those that are there."""
    known = "SELECT sample, number FROM reserve WHERE monitor = ? AND sample IN (SELECT value FROM json_each(?))"
    return dict(connection.execute(known, (monitor, rows.listed(samples))).fetchall())


def _repeat(connection: Connection, number: int, each: Reserved) -> None:
    """What is known of it by now counts: a label, a payload, an embedding under a later reference."""
    row = each.row
    known = single(connection, "SELECT facts, reference_version FROM reserve WHERE number = ?", (number,))
    segments, output, label = rows.unpack_facts(known[0])
    facts = rows.pack_facts(segments, row.output or output, label if row.label is None else row.label)
    connection.execute(
        "UPDATE reserve SET facts = ?, at = max(at, ?), count = max(count, ?) WHERE number = ?", (facts, each.at, each.count, number)
    )
    if row.reference_version > known[1]:
        newer = "UPDATE reserve SET reference_version = ?, novelty = ?, embedding = ? WHERE number = ?"
        connection.execute(newer, (row.reference_version, row.novelty, _vector(row), number))
    if row.payload is not None:
        payload, shape = rows.pack_payload(row.payload)
        kept = "UPDATE reserve SET payload = ?, shape = ?, bytes = ? WHERE number = ?"
        connection.execute(kept, (payload, shape, rows.size(payload), number))


def _values(each: Reserved) -> rows.Row:
    """Columns from `sample` on."""
    row, place, payload = each.row, each.row.partition, rows.pack_payload(each.row.payload)
    return (
        *(row.id, each.twin, each.at, rows.size(payload[0]), each.count, row.time),
        *(_pack((place.topic, place.topic_id, place.number)), row.offset, row.novelty, row.reference_version),
        *(rows.pack_facts(row.segments, row.output, row.label), _vector(row), *payload),
    )


def _vector(row: Pooled) -> bytes:
    return row.embedding.astype("<f2", copy=False).tobytes()


def _trim(connection: Connection, monitor: int, part: str, quota: int) -> None:
    """Takes the smallest keys out of the part; a row in no part any more goes."""
    own = "FROM reserve_keys WHERE monitor = ? AND part = ?"
    beyond = single(connection, f"SELECT count(*) {own}", (monitor, part))[0] - quota
    if beyond > 0:
        smallest = f"SELECT number {own} ORDER BY key LIMIT ?"
        _take_out(connection, connection.execute(smallest, (monitor, part, beyond)).fetchall(), part)


def _take_out(connection: Connection, numbers: Sequence[rows.Row], part: str) -> None:
    connection.executemany("DELETE FROM reserve_keys WHERE number = ? AND part = ?", [(number, part) for (number,) in numbers])
    bare = "DELETE FROM reserve WHERE number = ? AND NOT EXISTS (SELECT 1 FROM reserve_keys k WHERE k.number = reserve.number)"
    connection.executemany(bare, numbers)


def _release(connection: Connection, monitor: int, most: int) -> None:
    """Where payloads take more bytes than that, the oldest go."""
    held = single(connection, "SELECT sum(bytes) FROM reserve WHERE monitor = ? AND bytes > 0", (monitor,))[0] or 0
    if held > most:
        connection.execute(
            """UPDATE reserve SET payload = NULL, shape = NULL, bytes = 0 WHERE number IN (
                   SELECT number FROM (SELECT number, sum(bytes) OVER (ORDER BY at DESC, number DESC) AS held
                                       FROM reserve WHERE monitor = ? AND bytes > 0) WHERE held > ?)""",
            (monitor, most),
        )


def drop(connection: Connection, monitor: str, samples: Collection[str], part: str | None) -> int:
    """Takes samples out of a part, or out of all; how many were in it."""
    found = connection.execute(
        """SELECT k.number, k.part FROM reserve_keys k JOIN reserve r ON r.number = k.number
           WHERE r.monitor = (SELECT id FROM monitors WHERE name = ?) AND r.sample IN (SELECT value FROM json_each(?))""",
        (monitor, rows.listed(samples)),
    ).fetchall()
    gone = [(number, own) for number, own in found if part in (None, own)]
    for number, own in gone:
        _take_out(connection, [(number,)], own)
    return len({number for number, _ in gone})


def parts(connection: Connection, monitor: str) -> Mapping[str, ReservedPart]:
    """How full each is."""
    found = connection.execute(
        """SELECT k.part, count(*), min(k.key), r.half_life FROM reserve_keys k JOIN reserves r ON r.monitor = k.monitor
           WHERE k.monitor = (SELECT id FROM monitors WHERE name = ?) GROUP BY k.part""",
        (monitor,),
    )
    return {part: ReservedPart(*figures) for part, *figures in found}


def read(connection: Connection, monitor: str, part: str | None) -> Sequence[Reserved]:
    """The rows of a part, or all, oldest first."""
    known = single(connection, "SELECT id FROM monitors WHERE name = ?", (monitor,))
    keys = dict[int, dict[str, float]]()
    for number, own, key in connection.execute("SELECT number, part, key FROM reserve_keys WHERE monitor = ?", known or (None,)):
        keys.setdefault(number, {})[own] = key
    found = connection.execute(
        """SELECT number, at, count, sample, time, place, "offset", payload, shape, facts, embedding, novelty, reference_version
           FROM reserve WHERE monitor = ? ORDER BY time, sample""",
        known or (None,),
    )
    return [
        Reserved(_pooled(monitor, row), keys[number], at, count)
        for number, at, count, *row in found
        if part is None or part in keys[number]
    ]


def _pooled(monitor: str, row: Sequence[Any]) -> Pooled:
    sample, time, place, *rest = row
    return rows.pooled(monitor, (sample, time, *_places.decode(place), *rest))
