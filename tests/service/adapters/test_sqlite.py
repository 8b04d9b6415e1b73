"""What is SQLite's own: files, schemas, and how much a commit costs."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from service.adapters.sqlite import SqliteLog, SqliteStore
from service.errors import ArtefactError
from service.records import OutboxItem

LIMITS = {"backlog_bytes": 1_000_000, "retention_bytes": 0}


def open_log(path: Path) -> SqliteLog:
    return SqliteLog(path, **LIMITS)


def test_the_folder_is_made(tmp_path: Path) -> None:
    SqliteStore(tmp_path / "a" / "b" / "state.db").close()
    assert (tmp_path / "a" / "b" / "state.db").exists()


@pytest.mark.parametrize(("version", "word"), [(0, "an older"), (99, "a newer")])
def test_another_schema_is_refused_and_left_alone(tmp_path: Path, version: int, word: str) -> None:
    path = tmp_path / "state.db"
    SqliteStore(path).close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE driftgate_schema SET version = ?", (version,))
    before = path.read_bytes()

    with pytest.raises(ArtefactError, match=f"schema {version} was written by {word} driftgate"):
        SqliteStore(path)
    assert path.read_bytes() == before


def test_a_log_is_not_a_store(tmp_path: Path) -> None:
    open_log(tmp_path / "x.db").close()
    with pytest.raises(ArtefactError, match="holds driftgate's log, expected its store"):
        SqliteStore(tmp_path / "x.db")


@pytest.mark.parametrize("opener", [SqliteStore, open_log])
def test_a_file_of_something_else_is_refused_and_left_alone(tmp_path: Path, opener: Callable[[Path], object]) -> None:
    text, foreign = tmp_path / "notes.txt", tmp_path / "foreign.db"
    text.write_text("not a database, but a text that is long enough to be one" * 100)
    with closing(sqlite3.connect(foreign)) as connection, connection:
        connection.execute("CREATE TABLE notes (text)")

    for path, message in [(text, "not a database"), (foreign, "not driftgate's"), (tmp_path, "can't be opened")]:
        with pytest.raises(ArtefactError, match=message):
            opener(path)
    assert text.read_text().startswith("not a database")


def test_writes_are_flushed_to_the_disk_before_they_are_acknowledged(tmp_path: Path) -> None:
    with closing(SqliteStore(tmp_path / "state.db")) as store, store._database.write() as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)


def test_a_lease_runs_out_by_the_clock_and_not_before(tmp_path: Path) -> None:
    now = 100.0
    with closing(SqliteStore(tmp_path / "state.db", clock=lambda: now)) as store:
        assert store.lease("decide", "one", 10.0) == 1
        now = 109.9
        assert store.lease("decide", "other", 10.0) is None
        now = 110.0
        assert store.lease("decide", "other", 10.0) == 2
        now = 120.0
        assert store.lease("decide", "other", 10.0) == 2


def test_callers_at_once_share_a_transaction(tmp_path: Path) -> None:
    with closing(open_log(tmp_path / "log.db")) as log:
        threads = [threading.Thread(target=log.append, args=([b"x"],), kwargs={"now": 1.0}) for _ in range(8)]
        with log._database._lock:
            for thread in threads:
                thread.start()
            while len(log._queue) < 7:  # one has taken its own to the disk, and waits there
                time.sleep(0.001)
            with log._database.read() as connection:
                assert connection.execute("SELECT count(*) FROM entries").fetchone() == (0,)
        for thread in threads:
            thread.join()
        assert len(log.read(0, 100)) == 8
        assert log._queue == []


def test_a_failed_append_leaves_the_next_caller_to_write(tmp_path: Path) -> None:
    with closing(open_log(tmp_path / "log.db")) as log, ThreadPoolExecutor(3) as pool:
        with log._database._lock:
            wrong: Any = "a character string"
            first = pool.submit(log.append, [wrong], now=1.0)
            while not log._led or log._queue:
                time.sleep(0.001)
            second = [pool.submit(log.append, [b"x"], now=1.0) for _ in range(2)]
            while len(log._queue) < 2:
                time.sleep(0.001)
        with pytest.raises(sqlite3.Error):
            first.result(10)
        assert sorted(each.result(10) for each in second) == [0, 1]
        assert not log._led


def test_a_failed_append_tells_every_caller_and_takes_nothing(tmp_path: Path) -> None:
    with closing(open_log(tmp_path / "log.db")) as log:
        with pytest.raises(sqlite3.Error):
            log.append(["a character string"], now=1.0)  # type: ignore[list-item]  # the error is the point
        assert log.append([b"x"], now=1.0) == 0


def test_reading_threads_do_not_pile_up_connections(tmp_path: Path) -> None:
    with closing(SqliteStore(tmp_path / "state.db")) as store:
        for _ in range(20):
            thread = threading.Thread(target=store.outbox)
            thread.start()
            thread.join()
        assert len(store._database._idle) == 1


def test_closing_twice_is_harmless_and_using_it_afterwards_is_an_error(tmp_path: Path) -> None:
    store, log = SqliteStore(tmp_path / "state.db"), open_log(tmp_path / "log.db")
    for part in (store, log, store, log):
        part.close()
    with pytest.raises(sqlite3.ProgrammingError):
        store.save(outbox=[OutboxItem("o", "k", "d", {}, created=1.0)])


def test_a_second_writer_of_a_log_is_refused_before_it_gives_an_offset_away_twice(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    with closing(open_log(path)) as one, closing(open_log(path)) as other:
        assert one.append([b"a"], now=1.0) == 0
        with pytest.raises(ArtefactError, match="another process has written"):
            other.append([b"b"], now=1.0)
        assert [entry.body for entry in one.read(0, 10)] == [b"a"]
