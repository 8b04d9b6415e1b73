"""What is done before a store is used: the server's kind is checked, and its keys are brought up to date."""

from __future__ import annotations

import secrets
from collections.abc import Mapping

from service.adapters.redis_store import server as keys
from service.adapters.redis_store.examining import refusals, version_of
from service.adapters.redis_store.server import Server, unreadable, upgrade
from service.errors import ArtefactError, ConfigurationError

UPGRADES: Mapping[int, str] = {1: upgrade("counted")}
"""Schema → Lua that turns its keys into those of the next one; it sees what common.lua defines."""


def check(server: Server) -> None:
    """ConfigurationError for a server that may not hold exact state as it is set up."""
    refused = refusals(server.ask("INFO"))
    if refused:
        raise ConfigurationError("redis: " + "; ".join(f"{trouble.says}: {trouble.remedy}" for trouble in refused))


def prepare(server: Server) -> str:
    """The id of the state under the prefix, after what an older driftgate left was brought up to date."""
    server.run("rights")
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


def probe(server: Server) -> None:
    """Raises the reason why the server would take no commit of this process now."""
    version = version_of(server)
    if version != keys.SCHEMA:
        raise unreadable(version)
