"""`driftgate migrate`, as typed, beside files and a Redis that other versions of driftgate wrote."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from service.adapters.redis_store import Process, announce, connect, leave, levels
from service.adapters.redis_store.levels import Step
from service.adapters.sqlite import STORE_SCHEMA
from service.app import STORE, alone, opened
from service.settings import load
from tests.servers.redis_server import RedisServer
from tests.service.cli.conftest import MONITOR, Desk

pytestmark = pytest.mark.long

OLD = Path(__file__).parents[1] / "adapters" / "schema_9.sql"
NEXT = levels.NEWEST + 1


@pytest.fixture
def older(desk: Desk) -> Desk:
    """With a store that an older driftgate wrote."""
    state = desk.folder / "state"
    state.mkdir()
    with closing(sqlite3.connect(state / STORE)) as connection:
        connection.executescript(OLD.read_text(encoding="utf-8"))
    return desk


def stands(desk: Desk) -> int:
    with closing(sqlite3.connect(desk.folder / "state" / STORE)) as connection:
        return int(connection.execute("SELECT version FROM driftgate_schema").fetchone()[0])


def set_version(desk: Desk, version: int) -> None:
    with closing(sqlite3.connect(desk.folder / "state" / STORE)) as connection, connection:
        connection.execute("UPDATE driftgate_schema SET version = ?", (version,))


def test_a_file_is_only_looked_at_and_then_led_up(older: Desk) -> None:
    for _ in range(2):
        found = older.json("migrate", "--check", code=1)
        assert found["parts"][0] == {"part": STORE, "level": 9, "newest": STORE_SCHEMA.version, "works": False, "pending": True}
    assert "`driftgate migrate` leads it up" in older.run("migrate", "--check", code=1).output
    assert "up to date" in older.run("migrate").output
    assert stands(older) == STORE_SCHEMA.version
    assert older.json("migrate", "--check")["finished"]


def test_nobody_leads_up_a_file_that_an_older_process_serves(older: Desk) -> None:
    with alone(older.folder / "state"):
        for command in (("migrate",), ("alarm", "list")):
            assert f"an older `driftgate serve` works on {STORE}; end it" in older.run(*command, code=2).output
    assert stands(older) == 9
    older.run("alarm", "list")
    assert stands(older) == STORE_SCHEMA.version


def test_there_is_no_way_back(desk: Desk) -> None:
    desk.run("alarm", "list")
    set_version(desk, STORE_SCHEMA.version + 1)
    assert "run the version that wrote it, or restore" in " ".join(desk.run("migrate", "--check", code=1).output.split())
    assert not desk.json("migrate", code=1)["finished"]
    assert "written by a newer driftgate" in desk.run("alarm", "list", code=1).output


@pytest.fixture
def shared(desk: Desk, redis_server: RedisServer) -> Desk:
    """With its state in Redis."""
    desk.configure(lambda document: document.update(redis={"url": redis_server.url, "prefix": desk.folder.name}))
    with opened(load(desk.folder / "driftgate.yaml")):
        return desk


@pytest.mark.server("redis-server")
def test_keys_are_led_up_once_no_older_process_runs(shared: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(shared.folder / "driftgate.yaml").redis
    assert settings is not None
    assert "up to date" in shared.run("migrate", "--check").output
    monkeypatch.setattr(levels, "NEWEST", NEXT)
    monkeypatch.setitem(levels.STEPS, NEXT - 1, Step("", oldest=NEXT))
    with closing(connect(settings)) as server:
        announce(server, Process("host-1", "worker", "0.9", NEXT - 1))
        found = shared.json("migrate", "--check", code=1)
        assert (found["older"], found["finished"], found["parts"][-1]["works"]) == (["host-1"], False, True)
        assert "older processes still run" in " ".join(shared.run("migrate", "--check", code=1).output.split())
        assert "worker host-1 (version 0.9)" in shared.run("migrate", "--wait", 0.1, code=1).output
        shared.run("status", "--monitor", MONITOR)

        announce(server, Process("host-2", "worker", "1.0", NEXT))
        leave(server, "host-1")
        result = shared.run("migrate", "--wait", 60)
        assert "up to date" in result.output
        assert shared.json("migrate", "--check")["processes"] == [{"name": "host-2", "role": "worker", "version": "1.0", "level": NEXT}]

    monkeypatch.setattr(levels, "NEWEST", NEXT - 1)
    assert "can't work on it" in " ".join(shared.run("migrate", "--check", code=1).output.split())
    assert f"level {NEXT}, written by a newer driftgate" in shared.run("migrate", code=1).output
    refused: Any = shared.run("alarm", "list", code=1)
    assert "restore what was backed up before" in refused.output
