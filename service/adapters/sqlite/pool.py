"""The recent samples of each monitor, as a ring that is overwritten in place."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from sqlite3 import Connection

from service.adapters.sqlite import rows
from service.adapters.sqlite.database import single
from service.records import Pooled

DEFAULT_ROWS = 8_000


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which of the samples, and how much of each."""

    since: float = 0.0
    limit: int = 100_000
    ids: Collection[str] | None = None
    payloads: bool = True


def add(
    connection: Connection,
    partition: int,
    monitors: Mapping[str, int],
    samples: Sequence[Pooled],
    capacity: Mapping[str, int],
    *,
    payload_bytes: int,
) -> None:
    """Puts the samples over the oldest of their monitor's ring; beyond `payload_bytes` the oldest lose their payloads."""
    for name in dict.fromkeys(sample.monitor for sample in samples):
        size, base = capacity.get(name, DEFAULT_ROWS), monitors[name] << 32
        mine = [sample for sample in samples if sample.monitor == name]
        kept = [(sample, *rows.pack_payload(sample.payload)) for sample in mine[-size:]]
        added = "UPDATE monitors SET pooled = pooled + ?, pooled_bytes = pooled_bytes + ? WHERE id = ? RETURNING pooled, pooled_bytes"
        volume = sum(rows.size(payload) for _, payload, _ in kept)
        number, total = single(connection, added, (len(mine), volume, monitors[name]))
        connection.executemany(
            "INSERT OR REPLACE INTO pool VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            _values(kept, partition, range(number - len(kept), number), base, size, total - volume),
        )
        _release(connection, base, base + number % size, total - payload_bytes)


def _values(
    kept: Sequence[tuple[Pooled, str | bytes | None, bytes | None]], partition: int, numbers: range, base: int, size: int, starts: int
) -> Iterator[rows.Row]:
    for number, (sample, payload, shape) in zip(numbers, kept, strict=True):
        yield (
            base + number % size,
            number,
            sample.time,
            sample.id,
            partition,
            sample.offset,
            sample.novelty,
            sample.reference_version,
            rows.pack_facts(sample.segments, sample.output, sample.label),
            sample.embedding.astype("<f2", copy=False).tobytes(),
            starts,
            payload,
            shape,
        )
        starts += rows.size(payload)


def _release(connection: Connection, base: int, oldest: int, start: int) -> None:
    """Drops the payloads that began before `start`. The oldest row tells whether there are any, so that the ring is seldom searched."""
    began = single(connection, "SELECT starts FROM pool WHERE place = ?", (oldest,))
    if (began[0] if began else 0) < start:
        connection.execute(
            """UPDATE pool SET payload = NULL, shape = NULL
               WHERE place >= ? AND place < ? AND starts < ? AND payload IS NOT NULL""",
            (base, base + (1 << 32), start),
        )


def fit(connection: Connection, capacity: Mapping[str, int]) -> None:
    """Drops what lies beyond a ring that was made smaller; other slots are overwritten in time."""
    for name, size in capacity.items():
        connection.execute(
            """DELETE FROM pool WHERE place >= (SELECT (id << 32) + :size FROM monitors WHERE name = :name)
                                 AND place < (SELECT (id + 1) << 32 FROM monitors WHERE name = :name)""",
            {"size": size, "name": name},
        )


def read(connection: Connection, monitor: str, wanted: Wanted) -> Sequence[Pooled]:
    """The newest `limit` samples with time ≥ since, oldest first."""
    known = single(connection, "SELECT id FROM monitors WHERE name = ?", (monitor,))
    if known is None:
        return []
    payload = "p.payload, p.shape" if wanted.payloads else "NULL, NULL"
    among = "" if wanted.ids is None else "AND sample IN (SELECT value FROM json_each(:ids))"
    found = connection.execute(
        f"""SELECT p.number, p.sample, p.time, q.topic, q.topic_id, q.number, p."offset", {payload}, p.facts,
                  p.embedding, p.novelty, p.reference_version
           FROM pool p JOIN partitions q ON q.id = p.partition
           WHERE p.place IN (SELECT place FROM pool WHERE place >= :id << 32 AND place < (:id + 1) << 32 AND time >= :since {among}
                             ORDER BY number DESC LIMIT :limit)""",  # noqa: S608 - constants
        {"id": known[0], "since": wanted.since, "limit": wanted.limit, "ids": rows.listed(wanted.ids or ())},
    ).fetchall()
    return [rows.pooled(monitor, row[1:]) for row in sorted(found, key=lambda row: int(row[0]))]


def payload_bytes(connection: Connection, monitor: str) -> int:
    """Of the payloads in the monitor's ring."""
    known = single(connection, "SELECT id FROM monitors WHERE name = ?", (monitor,))
    if known is None:
        return 0
    ring = "SELECT sum(length(CAST(payload AS BLOB))) FROM pool WHERE place >= :id << 32 AND place < (:id + 1) << 32"
    return int(connection.execute(ring, {"id": known[0]}).fetchone()[0] or 0)


def begins(connection: Connection, monitor: str) -> float:
    """The oldest kept sample's time where older ones have gone, else 0."""
    known = single(connection, "SELECT id, pooled FROM monitors WHERE name = ?", (monitor,))
    if known is None:
        return 0.0
    ring = "SELECT count(*), min(time) FROM pool WHERE place >= :id << 32 AND place < (:id + 1) << 32"
    count, oldest = connection.execute(ring, {"id": known[0]}).fetchone()
    return float(oldest) if 0 < count < known[1] else 0.0
