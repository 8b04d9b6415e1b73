"""What goes because somebody asked for it, or because it is old. Payloads that shared a blob with others take it along: the others move."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import chain
from typing import Any

from service.adapters.redis_store import codec, dead_letters, partitions, pool, reserve, truth
from service.adapters.redis_store.server import Server
from service.errors import DriftgateError
from service.ports import Blobs
from service.records import KINDS
from service.records.erasure import Doomed, Forgotten


class Erasing:
    """The part of the store that lets go."""

    _server: Server
    _blobs: Blobs
    _forgotten: frozenset[str] = frozenset()

    def erase(self, doomed: Doomed) -> Mapping[str, int]:
        """Where → how many rows were there."""
        loose = set[str]()
        found = {
            "pool": pool.erase(self._server, self._blobs, doomed, loose),
            "reserve": reserve.erase(self._server, self._blobs, doomed, loose),
            "waiting": _waiting(self._server, doomed, loose),
        }
        if doomed.samples:
            found |= truth.erase(self._server, doomed.monitor, doomed.samples)
        self._discard(loose)
        return {where: count for where, count in found.items() if count}

    def drop_dead_letters(self, ids: Collection[str]) -> int:
        """Returns how many of them were there."""
        before = dead_letters.addresses(self._server)
        dropped = int(self._server.run("drop_letters", {"ids": list(ids)}))
        self._discard(before - dead_letters.addresses(self._server))
        return dropped

    def forgotten(self) -> frozenset[str]:
        """The ids of all that must not be taken again: they only grow, so they are read again when there are more."""
        known, ids = self._forgotten, self._server.key("entities", KINDS[Forgotten].replace(" ", "-"))
        if self._server.ask("ZCARD", ids) != len(known):
            self._forgotten = known = frozenset(each.decode() for each in self._server.ask("ZRANGE", ids, 0, -1))
        return known

    def scrub(self) -> None:
        """The append-only file is written anew, and so is a snapshot where the server makes any; both go on after this returns."""
        for command in _rewrites(self._server):
            try:
                self._server.ask(command)
            except DriftgateError as error:
                if "progress" not in str(error):  # one is being written already, and the next takes the rest
                    raise

    def _discard(self, loose: Collection[str]) -> None:
        """Blobs go at once, unless somebody else refers to them."""
        if loose := set(loose) - {""}:
            self._blobs.discard(loose - self._all_referred())

    def _all_referred(self) -> set[str]:
        names = self._server.ask("SMEMBERS", self._server.key("payloads"))
        own = chain.from_iterable(self._referred(name.decode()) for name in names)
        return {*own, *dead_letters.addresses(self._server), *partitions.addresses(self._server)}

    def _referred(self, monitor: str) -> set[str]:
        raise NotImplementedError


def _rewrites(server: Server) -> list[str]:
    """Which files of its own the server has to write anew."""
    persistence: Mapping[str, Any] = server.ask("INFO", "persistence")
    saves = bool(server.ask("CONFIG GET", "save").get("save"))
    return ["BGREWRITEAOF"] * bool(persistence.get("aof_enabled")) + ["BGSAVE"] * saves


def _waiting(server: Server, doomed: Doomed, loose: set[str]) -> int:
    """Samples whose response has not come."""
    gone = 0
    for name in server.ask("SMEMBERS", server.key("partitions")):
        found: Mapping[bytes, bytes] = server.ask("HGETALL", server.key("partition", name.decode(), "waiting"))
        bodies = {field.decode(): codec.read_waiting(body) for field, body in found.items()}
        fields = [field for field, body in bodies.items() if body.monitor == doomed.monitor and doomed.covers(body.id, body.time)]
        if fields:
            gone += int(server.run("erase_waiting", {"partition": name.decode(), "fields": fields}))
            loose |= {bodies[field].payload.address for field in fields}
    return gone
