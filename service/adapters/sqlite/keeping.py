"""The samples that are kept: the recent ones, and the reserve."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from service.adapters.sqlite import panes, pool, reserve
from service.adapters.sqlite.database import Database
from service.records import Pooled, Reservation, Reserved, ReservedPart


class Keeping:
    """The part of the store that samples stay in."""

    _database: Database
    _pool_bytes: int

    def pool(
        self, monitor: str, *, since: float = 0.0, limit: int = 100_000, ids: Collection[str] | None = None, payloads: bool = True
    ) -> Sequence[Pooled]:
        """The kept samples with time ≥ since, oldest first; the newest ones where there are more than `limit`."""
        with self._database.read() as connection:
            return pool.read(connection, monitor, pool.Wanted(since, limit, ids, payloads))

    def pool_begins(self, monitor: str) -> float:
        """The time from which on every sample is kept; 0 where none has gone yet."""
        with self._database.read() as connection:
            return pool.begins(connection, monitor)

    def pool_bytes(self, monitor: str) -> int:
        """Of the kept samples' payloads."""
        with self._database.read() as connection:
            return pool.payload_bytes(connection, monitor)

    def reserve(self, monitor: str, *, part: str | None = None) -> Sequence[Reserved]:
        """The rows of the monitor's reserve, or of one part of it, oldest first."""
        with self._database.read() as connection:
            return reserve.read(connection, monitor, part)

    def reserve_parts(self, monitor: str) -> Mapping[str, ReservedPart]:
        """How full each part of the monitor's reserve is."""
        with self._database.read() as connection:
            return reserve.parts(connection, monitor)

    def keep_reserved(self, reservation: Reservation) -> int:
        """Takes rows in, as a commit does; returns how many of them are there then."""
        with self._database.write() as connection:
            return reserve.add(connection, panes.monitor_id(connection, reservation.monitor), reservation, payload_bytes=self._pool_bytes)

    def drop_reserved(self, monitor: str, samples: Collection[str], *, part: str | None = None) -> int:
        """Takes samples out of a part of the reserve, or out of all; returns how many were in it."""
        with self._database.write() as connection:
            return reserve.drop(connection, monitor, samples, part)
