"""A store that an older driftgate wrote is led up where it stands, with all that it holds."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from service.adapters.sqlite import SqliteStore
from service.adapters.sqlite.schema import STORE
from service.errors import ArtefactError
from service.records import Alarm, Commit, Fence, Pane, Partition

OLD = {version: Path(__file__).with_name(f"schema_{version}.sql") for version in (6, 7, 8, 9)}
"""One dump of each version that there is a way up from."""

PARTITION = Partition("http", "topic-1")


def written(path: Path, version: int) -> Path:
    """A file as that version left it."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(OLD[version].read_text())
        connection.execute("PRAGMA journal_mode = WAL")
    return path


def columns(path: Path) -> set[tuple[object, ...]]:
    """Every column and index of the file, wherever it stands in its table."""
    with closing(sqlite3.connect(path)) as connection:
        return set(
            connection.execute(
                """SELECT m.type, m.tbl_name, c.name, c.type, c."notnull", c.dflt_value, c.pk
                   FROM sqlite_master m LEFT JOIN pragma_table_info(m.name) c"""
            )
        )


def test_every_version_with_a_way_up_is_tried() -> None:
    assert OLD.keys() == STORE.upgrades.keys() == set(range(min(OLD), STORE.version))


@pytest.mark.parametrize("version", OLD)
def test_an_older_store_becomes_like_a_new_one(tmp_path: Path, version: int) -> None:
    old, new = written(tmp_path / "old.db", version), tmp_path / "new.db"
    for path in (old, new, old):
        SqliteStore(path).close()
    assert columns(old) == columns(new)


@pytest.mark.parametrize("version", OLD)
def test_all_that_an_older_store_holds_is_kept_and_gone_on_with(tmp_path: Path, version: int) -> None:
    with closing(SqliteStore(written(tmp_path / "state.db", version))) as store:
        held = store.assign(PARTITION, start=99)
        assert (held.epoch, held.offset, held.time, held.stopped, dict(held.shapes)) == (2, 11, 11.0, "", {})
        assert ([pane.key.first_offset for pane in held.open_panes], held.recent_ids.tolist()) == ([8], [7, 9])
        assert [(waiting.event_id, waiting.sample.payload) for waiting in held.waiting] == [("ev", "text")]
        assert [(sample.id, sample.payload) for sample in store.pool("chat")] == [("s0", "hello")]
        assert store.get(Alarm, "a1").version == 1
        assert [(letter.offset, letter.sent, letter.original) for letter in store.dead_letters()] == [(4, True, None)]
        (position,) = store.positions()
        assert (position.start, position.offset, position.lost, position.retired) == (0, 11, 0, False)

        store.commit(Commit(PARTITION, held.epoch, 11, 16, 16.0, held.open_panes, shapes={"chat": 1}))
        panes = [entry for entry in store.entries("chat", 0, 10) if isinstance(entry, Pane)]
        assert [(pane.sequence, pane.summary.count, dict(pane.losses)) for pane in panes] == [(2, 8, {}), (3, 3, {})]
        assert store.decided("chat") == (1, 1, b"checkpoint")
        assert store.undecided() == ["chat"]
        assert store.lease("decide", "me", 1.0) == Fence("decide", 1).token


def test_a_way_up_that_breaks_off_leaves_the_older_store(tmp_path: Path) -> None:
    path = written(tmp_path / "state.db", 6)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE leases (in_the_way TEXT)")
    before = columns(path)

    with pytest.raises(ArtefactError, match="not a usable store"):
        SqliteStore(path)
    assert columns(path) == before


def test_one_without_a_way_up_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "state.db", 6)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE driftgate_schema SET version = 5")

    with pytest.raises(ArtefactError, match="schema 5 was written by an older driftgate"):
        SqliteStore(path)
