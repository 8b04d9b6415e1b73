"""The embedded parts that every contract runs against; another adapter joins by another parameter."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from service.adapters.sqlite import SqliteLog, SqliteStore

Opener: TypeAlias = Callable[..., Any]
"""Opens another handle on the same state; options are those of the adapter."""


@pytest.fixture(params=["sqlite file", "sqlite memory"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opener]:
    with ExitStack() as stack:
        path = ":memory:" if request.param == "sqlite memory" else tmp_path / "state.db"

        def opener(**options: Any) -> SqliteStore:
            return stack.enter_context(closing(SqliteStore(path, **options)))

        yield opener


@pytest.fixture(params=["sqlite file"])
def open_durable_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opener]:
    with ExitStack() as stack:

        def opener(**options: Any) -> SqliteStore:
            return stack.enter_context(closing(SqliteStore(tmp_path / "state.db", **options)))

        yield opener


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
