"""A controller of many monitors, in small."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

import benchmarks.many_monitors as bench
from service.adapters.sqlite import SqliteStore


def test_every_pane_of_a_round_is_decided_and_nothing_alarms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "MONITORS": 3,
        "SEGMENTS": 2,
        "REFERENCES": 1,
        "REFERENCE_ROWS": 4_000,
        "ROUNDS": 2,
        "AGE": 20,
        "POOL": 128,
    }.items():
        monkeypatch.setattr(bench, name, value)
    world = bench.World(tmp_path, lambda _: None)
    with closing(SqliteStore(":memory:")) as store:
        figures = {figure.name: figure for figure in bench.decided_figures("SQLite", world, store, lambda _: None)}
        assert store.undecided() == []
        assert [store.decided(f"m{n}")[0] for n in range(3)] == [6, 6, 6]
        assert store.status("m0")["state"] == "watching"
    assert figures["SQLite: 3 monitors × 3 streams, a pane each in 10 s"].holds
