"""Leads the keys up to this program's newest level, when somebody asks for it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from service.adapters.redis_store.entities import stored_as
from service.adapters.redis_store.levels import Standing
from service.adapters.redis_store.server import Server, unreadable
from service.errors import ConflictError
from service.records import KINDS


def standing_of(server: Server) -> Standing:
    """How the keys stand, whoever asks."""
    return Standing(*server.run("standing"))


def climb(server: Server, *, taken: Callable[[int], None] = lambda _: None) -> None:
    """Takes every step that is left, each whole or not at all; `taken` is told of the level that one leads to, before it does."""
    standing = standing_of(server)
    if standing.level and not (standing.fits or standing.leads_up):
        raise unreadable(standing.level)
    for level, step in standing.steps.items():
        taken(level + 1)
        with suppress(ConflictError):  # another process was quicker
            server.climb(level, step, [stored_as(kind) for kind in KINDS])
