"""Whether a Redis server can hold exact state: what must be, what stands in the way now, and what ought to be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from service.adapters.redis_store.levels import Standing
from service.adapters.redis_store.server import Server, unreadable
from service.errors import DriftgateError

OLDEST = (7, 0)
"""Scripts say since then what they may do while memory is full."""

FULL = 0.9
"""Share of maxmemory from which it is told."""


class Gravity(StrEnum):
    """What a trouble means."""

    REFUSED = "refused"
    """No state may be kept there as it is set up."""
    FAILING = "failing"
    """It takes no commits now; samples wait."""
    WEAK = "weak"
    """It works, and promises less."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that is not as it should be; an error's message holds its remedy already."""

    gravity: Gravity
    says: str
    remedy: str = ""


def examine(server: Server) -> list[Trouble]:
    """Everything that is wrong with the server, the worst first."""
    try:
        found: Mapping[str, Any] = server.ask("INFO")
        troubles = [*refusals(found), *_room(found), *_durability(found), *_fsync(server, found), *_commits(server)]
    except DriftgateError as error:
        return [Trouble(Gravity.FAILING, str(error))]
    return sorted(troubles, key=lambda trouble: list(Gravity).index(trouble.gravity))


def refusals(found: Mapping[str, Any]) -> list[Trouble]:
    """Why a server that says this of itself (`INFO`) may not hold exact state."""
    return list(_refusals(found))


def _refusals(found: Mapping[str, Any]) -> Iterator[Trouble]:
    version = str(found["redis_version"])
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST:
        yield Trouble(Gravity.REFUSED, f"Redis {version} is too old", "install Redis 7.0 or newer")
    if found.get("redis_mode") == "cluster" or found.get("cluster_enabled"):
        yield Trouble(
            Gravity.REFUSED,
            "Redis Cluster spreads keys over servers, and a commit must change many keys at once or none",
            "use one primary, with Sentinel to replace it when it fails",
        )
    policy = found.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        yield Trouble(Gravity.REFUSED, f"maxmemory-policy is {policy}: Redis would drop state by itself", "set maxmemory-policy noeviction")


def _room(found: Mapping[str, Any]) -> Iterator[Trouble]:
    limit, used = found.get("maxmemory", 0), found.get("used_memory", 0)
    if limit and used >= FULL * limit:
        says = f"its memory is nearly full: {used / 1e6:,.0f} of {limit / 1e6:,.0f} MB"
        yield Trouble(Gravity.WEAK, says, "raise maxmemory, or keep less: docs/redis.md says what takes how much")


def _durability(found: Mapping[str, Any]) -> Iterator[Trouble]:
    if not found.get("aof_enabled"):
        yield Trouble(Gravity.WEAK, "appendonly is off: a restart loses what came after the last snapshot", "set appendonly yes")
    for written in ("aof_last_write_status", "aof_last_bgrewrite_status", "rdb_last_bgsave_status"):
        if found.get(written, "ok") != "ok":
            yield Trouble(
                Gravity.WEAK, f"{written} is {found[written]}: it could not write to its disk", "free space there, or see its log"
            )


def _fsync(server: Server, found: Mapping[str, Any]) -> Iterator[Trouble]:
    if not found.get("aof_enabled"):
        return
    try:
        said = server.ask("CONFIG GET", "appendfsync").get("appendfsync", "unknown")
    except DriftgateError:
        yield Trouble(Gravity.WEAK, "appendfsync can't be asked for", "make sure that it is `always`, or give the user +config|get")
        return
    if said != "always":
        lost = "a power cut loses labels, verdicts and decisions of the last second, which nothing can bring back"
        yield Trouble(Gravity.WEAK, f"appendfsync is {said}: {lost}", "set appendfsync always")


def _commits(server: Server) -> Iterator[Trouble]:
    try:
        found = probed(server)
    except DriftgateError as error:
        yield Trouble(Gravity.FAILING, str(error))
        return
    if found.level and not found.fits:
        yield Trouble(Gravity.REFUSED, str(unreadable(found.level)))
    elif found.steps:
        says = f"its keys are kept at level {found.level}, so that the driftgate before this one can work on them too"
        yield Trouble(Gravity.WEAK, says, "once nothing older runs: `driftgate migrate`")


def probed(server: Server) -> Standing:
    """How the keys stand; refused as a commit would be: memory full, a replica, a disk that takes nothing."""
    return Standing(*server.run("probe"))
