"""`driftgate backup` and `driftgate restore`, as typed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from service.app import LOG, STORE, open_log, opened
from service.app.files import alone
from service.records import Alarm, Pane
from service.settings import load
from tests.service.cli.conftest import MONITOR, Desk

pytestmark = pytest.mark.long


def seen(desk: Desk) -> Any:
    """What is kept of the monitor."""
    with opened(load(desk.folder / "driftgate.yaml")) as installation:
        store = installation.store
        panes = [(entry.sequence, entry.key, entry.summary.count) for entry in store.entries(MONITOR, 0, 10_000) if isinstance(entry, Pane)]
        alarms = [(alarm.id, alarm.state, alarm.version) for alarm in store.find(Alarm)]
        return store.samples_taken(MONITOR), panes, alarms, [sample.id for sample in store.pool(MONITOR)], installation.version(MONITOR)


def away(desk: Desk) -> None:
    """A disk is lost."""
    shutil.rmtree(desk.folder / "state")


def test_what_was_lost_is_put_back(alarmed: Desk) -> None:
    before = seen(alarmed)
    (alarmed.folder / "state" / "link-secret").write_text("secret", encoding="utf-8")
    (alarmed.folder / "state" / "link-secret").chmod(0o600)
    made = alarmed.json("backup", "--output", "copy")
    assert before[0] > 0
    assert made["files"] >= 3
    away(alarmed)
    assert alarmed.json("restore", "--input", "copy")["files"] == made["files"]
    found = {each["subject"]: each["level"] for each in alarmed.json("doctor", "--exit-zero")["findings"]}
    assert found["driftgate.sqlite"] == "ok"
    assert seen(alarmed) == before
    assert (alarmed.folder / "state" / "link-secret").stat().st_mode & 0o777 == 0o600
    assert "driftgate.sqlite" in alarmed.run("migrate", "--check").output


def test_one_is_put_back_only_where_nothing_is(alarmed: Desk) -> None:
    alarmed.run("backup", "-o", "copy")
    assert "move that away" in alarmed.run("restore", "-i", "copy", code=2).output
    assert "exists already" in alarmed.run("backup", "-o", "copy", code=2).output
    away(alarmed)
    (alarmed.folder / "state").mkdir()
    with alone(alarmed.folder / "state"):
        assert "another `driftgate serve`" in alarmed.run("restore", "-i", "copy", code=2).output


@pytest.mark.parametrize("harm", ["change", "remove", "manifest"])
def test_a_damaged_one_is_not_put_back(alarmed: Desk, harm: str) -> None:
    alarmed.run("backup", "-o", "copy")
    away(alarmed)
    store = alarmed.folder / "copy" / "files" / STORE
    if harm == "change":
        content = bytearray(store.read_bytes())
        content[5_000] ^= 1
        store.write_bytes(content)
    elif harm == "remove":
        store.unlink()
    else:
        (alarmed.folder / "copy" / "manifest.json").unlink()
    assert "take another" in alarmed.run("restore", "-i", "copy", code=1).output
    assert not (alarmed.folder / "state").exists()


def test_one_of_a_newer_driftgate_or_of_another_kind_is_refused(alarmed: Desk) -> None:
    alarmed.run("backup", "-o", "copy")
    away(alarmed)
    manifest = alarmed.folder / "copy" / "manifest.json"
    document = json.loads(manifest.read_text(encoding="utf-8"))
    for change, says in (
        ({"format": 2}, "of format 2"),
        ({"levels": {STORE: 99}}, "level 99"),
        ({"files": {"../evil": {"bytes": 1, "checksum": ""}}}, "is missing"),
    ):
        manifest.write_text(json.dumps({**document, **change}), encoding="utf-8")
        assert says in alarmed.run("restore", "-i", "copy", code=1).output
    manifest.write_text(json.dumps(document), encoding="utf-8")
    alarmed.configure(lambda document: document.update(redis={"url": "redis://127.0.0.1:1/0"}))
    assert "its state was in files" in alarmed.run("restore", "-i", "copy", code=2).output
    assert "--redis-dump is missing" in alarmed.run("backup", "-o", "other", code=2).output
    assert "no dump of Redis" in alarmed.run("backup", "-o", "other", "--redis-dump", "driftgate.yaml", code=2).output


def test_databases_are_of_one_moment(desk: Desk) -> None:
    """What was committed to the log before the store said so is never in the store's copy alone."""
    desk.run("alarm", "list")
    open_log(load(desk.folder / "driftgate.yaml")).close()
    state = desk.folder / "state"
    ended = threading.Event()
    with closing(sqlite3.connect(state / LOG)) as log, closing(sqlite3.connect(state / STORE)) as store:
        for database in (log, store):
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("CREATE TABLE IF NOT EXISTS seen (number INTEGER PRIMARY KEY)")
            database.commit()

    def write() -> None:
        with closing(sqlite3.connect(state / LOG)) as log, closing(sqlite3.connect(state / STORE)) as store:
            while not ended.is_set():
                for database in (log, store):
                    with database:
                        database.execute("INSERT INTO seen DEFAULT VALUES")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(5):
            desk.run("backup", "-o", f"copy-{number}")
            counts = [rows(desk.folder / f"copy-{number}" / "files" / name) for name in (LOG, STORE)]
            assert 0 <= counts[0] - counts[1] <= 1
    finally:
        ended.set()
        writer.join()


def rows(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("SELECT count(*) FROM seen").fetchone()[0])


def test_one_that_was_killed_leaves_nothing_that_can_be_put_back(alarmed: Desk) -> None:
    many = alarmed.folder / "state" / "datasets" / "filler"
    many.mkdir(parents=True)
    for number in range(2_000):
        (many / f"{number}.bin").write_bytes(b"x" * 20_000)
    command = [sys.executable, "-c", "from service.cli import main; main()", "backup", "-o", "copy"]
    process = subprocess.Popen(command, cwd=alarmed.folder, env={**os.environ})
    while not list(alarmed.folder.glob(".copy-*/files/datasets/filler/1*")):
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    (half,) = alarmed.folder.glob(".copy-*")
    assert not (alarmed.folder / "copy").exists()
    away(alarmed)
    assert "no manifest.json" in alarmed.run("restore", "-i", half, code=1).output
