"""Whether a Redis server can hold exact state: what must be, and what ought to be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from service.adapters.redis_store.server import Server
from service.errors import DriftgateError

OLDEST = (7, 0)
"""Scripts say since then what they may do while memory is full."""

FULL = 0.9
"""Share of maxmemory from which it is told."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that is not as it should be. With a `fatal` one nothing can be kept there."""

    says: str
    remedy: str
    fatal: bool = True


def examine(server: Server) -> list[Trouble]:
    """Everything that is wrong with the server, the worst first."""
    try:
        found: Mapping[str, Any] = server.ask("INFO")
    except DriftgateError as error:
        return [Trouble(str(error), "mend that first")]
    troubles = [*_kind(found), *_room(found), *_durability(found), *_fsync(server, found)]
    return sorted(troubles, key=lambda trouble: not trouble.fatal)


def _kind(found: Mapping[str, Any]) -> Iterator[Trouble]:
    version = str(found["redis_version"])
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST:
        yield Trouble(f"Redis {version} is too old", "install Redis 7.0 or newer")
    if found.get("redis_mode") == "cluster" or found.get("cluster_enabled"):
        yield Trouble(
            "Redis Cluster spreads keys over servers, and a commit must change many keys at once or none",
            "use one primary, with Sentinel if it must be replaced when it fails",
        )
    if found.get("role") == "slave":
        yield Trouble("this is a read-only replica", "connect to the primary, or through Sentinel")
    if found.get("loading"):
        yield Trouble("it is still reading its file", "wait")


def _room(found: Mapping[str, Any]) -> Iterator[Trouble]:
    policy, limit, used = found.get("maxmemory_policy", "noeviction"), found.get("maxmemory", 0), found.get("used_memory", 0)
    if policy != "noeviction":
        yield Trouble(f"maxmemory-policy is {policy}: Redis would drop state by itself", "set maxmemory-policy noeviction")
    if limit and used >= limit:
        yield Trouble(f"its memory is full ({used / 1e6:,.0f} of {limit / 1e6:,.0f} MB)", "raise maxmemory, or keep less")
    elif limit and used >= FULL * limit:
        yield Trouble(
            f"its memory is nearly full ({used / 1e6:,.0f} of {limit / 1e6:,.0f} MB)", "raise maxmemory, or keep less", fatal=False
        )


def _durability(found: Mapping[str, Any]) -> Iterator[Trouble]:
    if not found.get("aof_enabled"):
        yield Trouble("appendonly is off: a restart loses what came after the last snapshot", "set appendonly yes", fatal=False)
    for written in ("aof_last_write_status", "aof_last_bgrewrite_status", "rdb_last_bgsave_status"):
        if found.get(written, "ok") != "ok":
            yield Trouble(f"{written} is {found[written]}: it can't write to its disk", "free space there, or see its log")


def _fsync(server: Server, found: Mapping[str, Any]) -> Iterator[Trouble]:
    if not found.get("aof_enabled"):
        return
    try:
        said = server.ask("CONFIG GET", "appendfsync").get("appendfsync", "unknown")
    except DriftgateError:
        yield Trouble("appendfsync can't be asked for", "make sure that it is `always`, or give the user +config|get", fatal=False)
        return
    if said != "always":
        lost = "a power cut loses labels, verdicts and decisions of the last second that nothing can bring back"
        yield Trouble(f"appendfsync is {said}: {lost}", "set appendfsync always", fatal=False)
