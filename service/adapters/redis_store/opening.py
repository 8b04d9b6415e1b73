"""What is done before a store is used: the server's kind is checked, and whether this program may work on its keys."""

from __future__ import annotations

import secrets

import structlog

from service.adapters.redis_store import levels
from service.adapters.redis_store.examining import probed, refusals
from service.adapters.redis_store.levels import Standing
from service.adapters.redis_store.server import Server, unreadable
from service.errors import ConfigurationError

log = structlog.get_logger()


def check(server: Server) -> None:
    """ConfigurationError for a server that may not hold exact state as it is set up."""
    refused = refusals(server.ask("INFO"))
    if refused:
        raise ConfigurationError("redis: " + "; ".join(f"{trouble.says}: {trouble.remedy}" for trouble in refused))


def prepare(server: Server) -> str:
    """The id of the state under the prefix; the level of its keys stays what it is."""
    server.run("rights")
    level, oldest, identity = server.run("open", {"id": secrets.token_hex(8), "oldest": levels.oldest()})
    standing = Standing(level, oldest)
    if not standing.fits:
        raise unreadable(level)
    if standing.steps:
        log.info("store.older_level", level=level, newest=levels.NEWEST, remedy="once nothing older runs: driftgate migrate")
    return str(identity.decode())


def probe(server: Server) -> None:
    """Raises the reason why the server would take no commit of this process now."""
    found = probed(server)
    if not found.fits:
        raise unreadable(found.level)
