"""Traffic that follows the hour: learned from a reference's times, held against the time of the files or of the log, never guessed."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

from service.adapters.log_source import LogSource
from service.adapters.sqlite import SqliteLog
from service.app import opened
from service.decoding import envelope
from service.observe import Silent
from service.records import Sample
from service.settings import load
from service.worker import Worker

if TYPE_CHECKING:
    from tests.service.cli.conftest import Desk

pytestmark = pytest.mark.long

DAY, EVERY, MONDAY = 86_400.0, 160.0, 1_772_409_600.0
CENTRES = np.random.default_rng(99).standard_normal((8, 16)) * 1.5


def cycle(times: NDArray[np.float64], seed: int) -> NDArray[np.float32]:
    """Eight topics, each with an hour at which it is commonest."""
    rng = np.random.default_rng(seed)
    odds = np.exp(1.5 * np.cos(2 * np.pi * (times[:, None] / DAY - np.arange(8) / 8))).cumsum(1)
    topic = (rng.random(len(times))[:, None] * odds[:, -1:] > odds).sum(1)
    return np.asarray(CENTRES[topic] + rng.standard_normal((len(times), 16)), np.float32)


def times(rows: int, *, day: float) -> NDArray[np.float64]:
    return MONDAY + day * DAY + EVERY * np.arange(rows, dtype=np.float64)


def write(path: Path, rows: NDArray[np.float32], stamps: Sequence[float | None]) -> str:
    lines = [{"vector": row.tolist()} | ({} if at is None else {"time": at}) for row, at in zip(rows, stamps, strict=True)]
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return path.name


@pytest.fixture(scope="module")
def clocked(tmp_path_factory: pytest.TempPathFactory, desk_in: Callable[[Path], Desk]) -> Desk:
    """With a reference of four days."""
    desk = desk_in(tmp_path_factory.mktemp("clocked"))
    monitor = {"name": "chat", "embedder": {"input": "none", "dimension": 16}, "detection": {"run_length": 10_000, "pane_samples": 8}}
    (desk.folder / "driftgate.yaml").write_text(yaml.safe_dump({"directory": "state", "monitors": [monitor]}), encoding="utf-8")
    at = times(2_160, day=0)
    said = desk.run("reference", "build", "--input", write(desk.folder / "good.jsonl", cycle(at, 1), at.tolist())).stdout
    assert "the hour of the day" in said
    return desk


def replayed(desk: Desk, rows: NDArray[np.float32], stamps: Sequence[float | None]) -> tuple[int, int]:
    """Alarms, and samples that were not weighed."""
    found = desk.json("replay", "--input", write(desk.folder / "traffic.jsonl", rows, stamps))
    return len(found["alarms"]), found["untimed"]


def test_what_was_learned_is_shown(clocked: Desk) -> None:
    manifest = clocked.json("reference", "show", 1)
    assert (manifest["profile"], manifest["rows_needed"], manifest["warnings"]) == ("hour of day", 2_000, [])
    assert manifest["longest_window"]["seconds"] == pytest.approx(manifest["longest_window"]["samples"] * EVERY, rel=0.01)
    assert "hour of day" in clocked.run("reference", "list").stdout


def test_a_daily_cycle_raises_no_alarm_and_drift_on_it_does(clocked: Desk) -> None:
    at = times(2_160, day=7)
    assert replayed(clocked, cycle(at, 2), at.tolist()) == (0, 0)
    assert replayed(clocked, cycle(at + DAY / 2, 2), at.tolist())[0] >= 1, "the mix of midnight at noon is drift"
    assert replayed(clocked, cycle(at, 2) + np.float32(0.7), at.tolist())[0] >= 1


def test_samples_at_no_hour_are_counted_and_not_weighed(clocked: Desk) -> None:
    rows = cycle(times(540, day=7), 3)
    assert replayed(clocked, rows, [None] * 540) == (0, 540)
    said = clocked.run("replay", "--input", "traffic.jsonl").stdout
    assert "540 samples came at no known hour" in " ".join(said.split())


def test_a_sample_from_the_future_blinds_and_does_not_alarm(clocked: Desk) -> None:
    at = times(1_620, day=7)
    stamps = at.tolist()
    stamps[540] = MONDAY + 400.3 * DAY
    assert replayed(clocked, cycle(at, 4), stamps) == (0, 1_080)


def test_the_hour_is_the_logs(clocked: Desk) -> None:
    at = times(1_080, day=14)
    with (
        opened(load(clocked.folder / "driftgate.yaml"), in_memory=True) as installation,
        closing(SqliteLog(":memory:", backlog_bytes=10_000_000, retention_bytes=0)) as log,
    ):
        for i, (row, now) in enumerate(zip(cycle(at, 5), at.tolist(), strict=True)):
            log.append([envelope.encode(Sample("chat", f"s{i}", now - 3_000, row))], now=now)
        worker = Worker(LogSource(log, envelope.decode), installation.store, {"chat": installation.watched("chat")}, Silent())
        controller = installation.controller_for("chat", following=False)
        assert controller is not None
        while worker.step(timeout=0.0) or controller.step(now=at[-1]):
            pass
        status = installation.store.status("chat")
    assert (status["samples"], status["untimed"], status["state"]) == (1_079, 0, "watching"), "the last is in an open pane"
