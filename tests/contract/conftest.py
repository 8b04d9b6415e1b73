"""The embedded parts that every contract runs against; another adapter joins by another parameter."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from service.adapters.blobs import BlobDirectory
from service.adapters.pane_segments import PaneSegments
from service.adapters.redis_store import RedisStore, connect
from service.adapters.sqlite import Retention, SqliteLog, SqliteStore
from service.adapters.sqlite.pane_log import USUAL
from service.ports import Store
from service.settings import RedisSettings

Opener: TypeAlias = Callable[..., Any]
"""Opens another handle on the same state; options are those of the adapter."""


REDIS = pytest.param("redis", marks=pytest.mark.server("redis-server"))


@pytest.fixture(params=["sqlite file", "sqlite memory", REDIS])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opener]:
    yield from openers(request, tmp_path)


@pytest.fixture(params=["sqlite file", REDIS])
def open_durable_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opener]:
    yield from openers(request, tmp_path)


def openers(request: pytest.FixtureRequest, folder: Path) -> Iterator[Opener]:
    """A store that keeps to this test: a file, memory, or a key prefix of its own."""
    with ExitStack() as stack:
        if request.param == "redis":
            url = request.getfixturevalue("redis_server").url
            open_it: Opener = partial(redis_store, url, f"t{secrets.token_hex(8)}", folder)
        else:
            open_it = partial(SqliteStore, ":memory:" if request.param == "sqlite memory" else folder / "state.db")

        def opener(**options: Any) -> Store:
            store: Store = stack.enter_context(closing(open_it(**options)))
            return store

        yield opener


def redis_store(url: str, prefix: str, folder: Path, *, panes: Retention = USUAL, **options: Any) -> RedisStore:
    """Takes the options of the SQLite store."""
    return RedisStore(
        connect(RedisSettings(url=url, prefix=prefix)),
        blobs=BlobDirectory(folder / "blobs", cap_bytes=10_000_000),
        archive=lambda state: PaneSegments(folder / "panes" / state, retain_bytes=panes.bytes, retain_seconds=panes.seconds),
        **options,
    )


@pytest.fixture(params=["sqlite file", "sqlite memory"])
def open_log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opener]:
    with ExitStack() as stack:
        path = ":memory:" if request.param == "sqlite memory" else tmp_path / "log.db"

        def opener(*, backlog_bytes: int = 1_000_000, retention_bytes: int = 1_000_000) -> SqliteLog:
            return stack.enter_context(closing(SqliteLog(path, backlog_bytes=backlog_bytes, retention_bytes=retention_bytes)))

        yield opener


@pytest.fixture(params=["sqlite file"])
def open_durable_log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opener]:
    with ExitStack() as stack:

        def opener(*, backlog_bytes: int = 10_000_000, retention_bytes: int = 0) -> SqliteLog:
            log = SqliteLog(tmp_path / "log.db", backlog_bytes=backlog_bytes, retention_bytes=retention_bytes)
            return stack.enter_context(closing(log))

        yield opener
