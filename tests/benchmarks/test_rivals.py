"""Installed rivals without any of them: how their processes are spoken to, how their time is shared, when a path may be cut."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from benchmarks.rivals import environments
from benchmarks.rivals.budget import Purse
from benchmarks.rivals.conversation import Conversation, RivalError
from benchmarks.rivals.inside.serving import Followed, Reference, Rows, Task, held_bytes, run
from benchmarks.rivals.pieces import Piece
from benchmarks.rivals.roster import ROSTER

STAND_IN = """
import os
import sys


class Last:
    step, state_bytes = 2, 8

    def __init__(self, reference):
        print("fitted")

    def restart(self):
        pass

    def score(self, rows):
        return float(rows[-1, 0]), False


def broken(reference):
    raise ValueError("no such thing")


def gone(reference):
    print("out of memory", file=sys.stderr, flush=True)
    os._exit(3)


FITS = {"last": Last, "broken": broken, "gone": gone}
"""


class Last:
    """Shows the newest row's only value, and alarms above 100."""

    step, state_bytes = 2, 8

    def __init__(self, reference: Reference) -> None:
        self.rows = reference.rows

    def restart(self) -> None:
        pass

    def score(self, rows: Rows) -> tuple[float, bool]:
        return float(rows[-1, 0]), bool(rows[-1, 0] > 100)


@pytest.fixture
def task(tmp_path: Path) -> Task:
    rising = np.arange(20, dtype=np.float32)[:, None]
    streams = {"null": rising[:9], "far": rising * 10}
    np.savez(tmp_path / "rows.npz", allow_pickle=False, reference=rising, topics=np.zeros(20, np.int64), **streams)
    return Task(
        "last", 0, shipped=True, rows=str(tmp_path / "rows.npz"), streams=["null", "far"], out=str(tmp_path / "out.npz"), version="1"
    )


def shown(task: Task) -> Piece:
    run(task, {"last": Last})
    with np.load(task.out, allow_pickle=False) as arrays:
        return Piece({name: arrays[name] for name in arrays.files})


def test_a_stream_is_followed_in_steps_to_the_last_whole_one(task: Task) -> None:
    piece = shown(task)
    assert piece.paths["null"].rows_seen.tolist() == [2, 4, 6, 8]
    assert piece.paths["null"].statistic.tolist() == [1, 3, 5, 7]
    assert piece.arrays["alarms:far"].tolist() == [12, 14, 16, 18, 20]
    assert piece.shipped(500.0).samples == 8
    assert piece.cost.state_bytes == 8
    assert piece.held_bytes == 20 * 4


def test_a_path_is_cut_beyond_the_ceiling_but_not_before_the_change(task: Task) -> None:
    piece = shown(replace(task, ceiling=35.0, cut_after=8))
    assert piece.paths["far"].rows_seen[-1] == 10
    assert piece.paths["null"].rows_seen[-1] == 8
    assert piece.serves(80.0)
    assert not piece.serves(90.0)  # a stream without drift has shown more since: what comes after the cut may count now


@pytest.mark.parametrize("cut_short", [False, True])
def test_a_stream_that_time_runs_out_on_is_left_out_unless_its_beginning_counts(
    task: Task, monkeypatch: pytest.MonkeyPatch, *, cut_short: bool
) -> None:
    clock: Iterator[float] = iter(np.arange(100.0))
    monkeypatch.setattr("time.process_time", lambda: next(clock))
    piece = shown(replace(task, seconds=4.0, cut_short=cut_short))
    assert set(piece.paths) == ({"null"} if cut_short else set())
    assert not piece.serves(0.0)


def test_every_array_that_a_detector_holds_counts_once() -> None:
    rows = np.zeros((4, 3), np.float32)
    followed = Followed()
    assert held_bytes({"one": [rows, rows], "other": (rows.astype(np.float64), "text")}) == 48 + 96
    assert held_bytes(followed) == 0


def test_a_process_answers_whatever_its_library_prints(tmp_path: Path, task: Task) -> None:
    (tmp_path / "stand_in.py").write_text(STAND_IN, encoding="utf-8")
    with Conversation(Path(sys.executable), "stand_in", tmp_path / "said.txt") as conversation:
        assert conversation.ask(task) >= 0
        with pytest.raises(RivalError, match="ValueError: no such thing"):
            conversation.ask(replace(task, method="broken"))
        with pytest.raises(RivalError, match=r"ended with 3: (?s:.*)out of memory"):
            conversation.ask(replace(task, method="gone"))
        assert conversation.ask(task) >= 0  # in a process of its own again


def test_what_a_cheap_rival_leaves_goes_to_the_others() -> None:
    purse = Purse(100.0, [1.0, 3.0])
    free = purse.share(0.0)
    free.spent = 1_000.0
    purse.settle(free, 0.0)
    first = purse.share(1.0)
    assert first.seconds == pytest.approx(25.0)
    first.spent = 5.0
    assert first.left(0.5) == pytest.approx(7.5)
    purse.settle(first, 1.0)
    assert purse.share(3.0).seconds == pytest.approx(95.0)


def test_each_rival_has_its_module_and_pinned_packages() -> None:
    names = [rival.name for rival in ROSTER]
    assert len(set(names)) == len(names)
    for rival in ROSTER:
        assert not set(rival.name) & set("/,")
        assert (environments.HERE / f"{rival.module.replace('.', '/')}.py").exists()
        lines = environments.requirements(rival.environment).read_text(encoding="utf-8").split()
        assert all(line.count("==") == 1 for line in lines if not line.startswith(("#", ";"))), rival.environment


def test_those_whose_time_is_rationed_come_after_those_that_cost_little() -> None:
    assert all(before.weight == 0 or after.weight > 0 for before, after in pairwise(ROSTER))
