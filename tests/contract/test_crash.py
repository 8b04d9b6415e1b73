"""SIGKILL at any moment loses nothing that was acknowledged and doubles nothing."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np

from detectors.reservoir import hashes, sampling_keys
from service.adapters.sqlite import SqliteLog, SqliteStore
from service.records import Event, Pane, Partition
from tests.contract.crashing import RESERVED

PROGRAM = Path(__file__).with_name("crashing.py")
KILLED_AFTER = (40, 7)
"""Acknowledgements after which each run is killed, in the middle of whatever it does then."""


def run_and_kill(*arguments: str, acknowledgements: int) -> int:
    """The last acknowledged offset."""
    with subprocess.Popen([sys.executable, str(PROGRAM), *arguments], stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        lines = [program.stdout.readline() for _ in range(acknowledgements)]
        program.kill()
        rest = program.stdout.read().splitlines(keepends=True)
    return int([line for line in (*lines, *rest) if line.endswith("\n")][-1])


def test_commits_survive_kills(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    for number in KILLED_AFTER:
        acknowledged = run_and_kill("commits", str(path), acknowledgements=number)
        with closing(SqliteStore(path, pool_rows={"chat": 100})) as store:
            assert_whole(store, acknowledged)


def assert_whole(store: SqliteStore, acknowledged: int) -> None:
    held = store.assign(Partition("http", "t"))
    assert held.offset in (acknowledged, acknowledged + 8)
    assert store.samples_taken("chat") == held.offset
    assert [pane.key.first_offset for pane in held.open_panes] == [held.offset]
    entries = store.entries("chat", 0, 100_000)
    panes = [(entry.sequence, entry.key.first_offset) for entry in entries if isinstance(entry, Pane)]
    assert panes == [(n + 1, 8 * n) for n in range(held.offset // 8)]
    assert [int(sample.id) for sample in store.pool("chat")] == list(range(max(0, held.offset - 100), held.offset))
    keys = sampling_keys(hashes("chat", [str(number) for number in range(held.offset)]), 1)
    assert {int(each.row.id) for each in store.reserve("chat")} == set(np.argsort(keys)[-RESERVED:].tolist())


def test_resets_survive_kills(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    for number in KILLED_AFTER:
        acknowledged = run_and_kill("resets", str(path), acknowledgements=number)
        with closing(SqliteStore(path)) as store:
            held = store.assign(Partition("http", "t"))
            entries = store.entries("chat", 0, 100_000)
            panes = [entry.key.first_offset for entry in entries if isinstance(entry, Pane)]
            assert held.offset in (acknowledged, acknowledged + 8)
            assert [*panes, *(pane.key.first_offset for pane in held.open_panes)] == list(range(0, held.offset, 8))
            assert [entry.id for entry in entries if isinstance(entry, Event)] == [f"to {first + 8}" for first in panes]
            if held.open_panes:  # killed between the two
                store.reset(held.partition, held.offset, [Event(f"to {held.offset}", "chat", "offsets", 0.0, "ana")])


def test_appends_survive_kills(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    standing = 0
    for number in KILLED_AFTER:
        acknowledged = run_and_kill("appends", str(path), str(standing), acknowledgements=number)
        with closing(SqliteLog(path, backlog_bytes=10**9, retention_bytes=10**9)) as log:
            entries = log.read(0, 1_000_000)
        standing = len(entries)
        assert standing in (acknowledged, acknowledged + 3)
        assert [(entry.offset, entry.body) for entry in entries] == [(n, b"%d" % n) for n in range(standing)]
