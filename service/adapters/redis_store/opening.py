"""What is checked before a store is used: the server's kind, and that its keys are of this version."""

from __future__ import annotations

import secrets
from collections.abc import Mapping

from service.adapters.redis_store import server as keys
from service.adapters.redis_store.examining import examine
from service.adapters.redis_store.server import Server, unreadable
from service.errors import ArtefactError, ConfigurationError

UPGRADES: Mapping[int, str] = {}
"""Schema → Lua that turns its keys into those of the next one; it sees what common.lua defines."""


def check(server: Server) -> None:
    """ConfigurationError for a server that can't hold exact state as it is set up; one that can't be asked is no such server yet."""
    server.ask("PING")
    fatal = [f"{trouble.says}: {trouble.remedy}" for trouble in examine(server) if trouble.fatal]
    if fatal:
        raise ConfigurationError(f"redis: {'; '.join(fatal)}")


def prepare(server: Server) -> str:
    """The id of the state under the prefix, after what an older driftgate left was brought up to date."""
    while True:
        version, identity = server.run("open", {"id": secrets.token_hex(8)})
        if version == keys.SCHEMA:
            return str(identity.decode())
        if version not in UPGRADES:
            raise unreadable(version)
        try:
            server.upgrade(version, UPGRADES[version])
        except ArtefactError:
            if server.run("open", {"id": ""})[0] == version:  # else another process was quicker
                raise
