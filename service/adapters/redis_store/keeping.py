"""The samples that are kept: the recent ones, and the reserve."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from service.adapters.redis_store import pool, reserve
from service.adapters.redis_store.pool import PoolBounds
from service.adapters.redis_store.server import Server
from service.ports import Blobs
from service.records import Pooled, Reservation, Reserved, ReservedPart


class Keeping:
    """The part of the store that samples stay in."""

    _server: Server
    _blobs: Blobs
    _pool_rows: Mapping[str, int]
    _pool_bytes: int

    def pool(
        self, monitor: str, *, since: float = 0.0, limit: int = 100_000, ids: Collection[str] | None = None, payloads: bool = True
    ) -> Sequence[Pooled]:
        """The kept samples with time ≥ since, oldest first; the newest ones where there are more than `limit`."""
        wanted = pool.Wanted(since, limit, ids, payloads)
        return pool.read(self._server, self._blobs, monitor, wanted, self._pool_bounds(monitor))

    def pool_begins(self, monitor: str) -> float:
        """The time from which on every sample is kept; 0 where none has gone yet."""
        return pool.begins(self._server, monitor, self._pool_bounds(monitor))

    def pool_bytes(self, monitor: str) -> int:
        """Of the kept samples' payloads."""
        return pool.payload_bytes(self._server, monitor, self._pool_bounds(monitor))

    def _pool_bounds(self, monitor: str) -> PoolBounds:
        return PoolBounds(self._pool_rows.get(monitor, pool.DEFAULT_ROWS), self._pool_bytes)

    def reserve(self, monitor: str, *, part: str | None = None) -> Sequence[Reserved]:
        """The rows of the monitor's reserve, or of one part of it, oldest first."""
        return reserve.read(self._server, self._blobs, monitor, part, self._pool_bytes)

    def reserve_parts(self, monitor: str) -> Mapping[str, ReservedPart]:
        """How full each part of the monitor's reserve is."""
        return reserve.parts(self._server, monitor)

    def keep_reserved(self, reservation: Reservation) -> int:
        """Takes rows in, as a commit does; returns how many of them are there then."""
        return reserve.keep(self._server, reservation, self._blobs)

    def drop_reserved(self, monitor: str, samples: Collection[str], *, part: str | None = None) -> int:
        """Takes samples out of a part of the reserve, or out of all; returns how many were in it."""
        return reserve.drop(self._server, monitor, samples, part)

    def _referred(self, monitor: str) -> set[str]:
        """Where the payloads lie of what is kept."""
        recent = pool.addresses(self._server, monitor, self._pool_bounds(monitor))
        return recent | reserve.addresses(self._server, monitor, self._pool_bytes)
