"""Which processes work on the keys: each says so again and again, and is taken to be gone once it has been silent for a while."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from service.adapters.redis_store.server import Server

LASTS_SECONDS = 30.0
"""How long a process that says nothing counts as one that runs."""

COMMAND = "command "
"""How the names of those begin that hold a lease only for a command that a person runs."""


@dataclass(frozen=True, slots=True)
class Process:
    """One that runs, as it says of itself."""

    name: str
    role: str
    version: str
    level: int
    """The newest that it can write; 0 of one that is so old that it says nothing."""


_read = msgspec.json.Decoder(Process).decode


def announce(server: Server, process: Process) -> None:
    """Counts for LASTS_SECONDS."""
    server.run("announce", {"name": process.name, "body": msgspec.json.encode(process), "seconds": LASTS_SECONDS})


def leave(server: Server, name: str) -> None:
    """It is about to end."""
    server.run("leave", {"name": name})


def present(server: Server, lease: str) -> Sequence[Process]:
    """Those that run, whatever level the keys are of. Of those that say nothing, the one that holds the lease is seen by that."""
    bodies, holder = server.run("present", {"lease": lease})
    found = sorted((_read(body) for body in bodies), key=lambda process: (process.role, process.name))
    leads = holder.decode()
    if leads and not leads.startswith((COMMAND, *(f"{process.name}-" for process in found))):
        found.append(Process(leads, "controller", "unknown", 0))
    return found
