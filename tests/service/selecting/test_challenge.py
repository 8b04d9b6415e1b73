"""Challenge rows: drawn with known chances, told without hints, and of one drift."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from service.adapters.onnx_embedder.vectors import VectorEmbedder
from service.adapters.sqlite import SqliteStore
from service.datasets import DataSet, DataSets
from service.records import AnnotationBatch, BatchState, Candidate, CycleState, Label, Output, Purpose, RefreshCycle, Sample
from service.selecting.challenge import Design, drawn, of_cycle, weighted
from tests.service.selecting.test_gathering import row


def test_challenge_rows_are_blind_and_carry_their_chance() -> None:
    rows = [row(f"s{i}", np.ones(6, np.float32), novelty=i / 40, output=Output("billing")) for i in range(40)]
    found = drawn(rows, 10, "all", np.random.default_rng(0))
    assert len(found) == 10
    assert all(item.predicted is None and item.risk == 0.0 and item.purpose is Purpose.CHALLENGE for item in found)
    chances = {item.id: item.inclusion or 0.0 for item in found}
    assert 0 < chances[min(chances, key=_number)] < chances[max(chances, key=_number)]
    assert drawn(rows, 100, "all", np.random.default_rng(0))[0].inclusion == 1.0
    assert drawn([], 5, "all", np.random.default_rng(0)) == drawn(rows, 0, "all", np.random.default_rng(0)) == ()


def _number(name: str) -> int:
    return int(name[1:])


def test_a_batch_that_is_closed_early_loses_rows_of_any_time() -> None:
    rows = [row(f"s{i}", np.ones(6, np.float32)) for i in range(400)]
    first = [_number(item.id) for item in drawn(rows, 100, "all", np.random.default_rng(0))[:50]]
    assert abs(np.mean(first) - 200) < 4 * 400 / np.sqrt(12 * 50)


def items() -> list[Candidate]:
    return [Candidate(f"s{i}", "", 0.0, "all", purpose=Purpose.CHALLENGE, inclusion=0.8 if i < 8 else 0.1) for i in range(10)]


def answers(*, rejected: str = "", unanswered: str = "") -> dict[str, Label]:
    ids = [item.id for item in items() if item.id != unanswered]
    return {key: Label("chat", "b", key, None if key == rejected else "a", 1.0, "ana", unusable=key == rejected) for key in ids}


def test_accuracies_are_those_of_what_the_rows_were_drawn_from() -> None:
    design = Design.of([*items(), Candidate("other", "", 0.1, "all")], answers(rejected="s7"))
    ids = [item.id for item in items() if item.id != "s7"]
    old, new = np.array([i >= 7 for i in range(9)]), np.ones(9, bool)
    found = weighted(design, ids, (old, new), confidence=0.9) or {}
    assert found["old_accuracy"] == pytest.approx(20 / (7 / 0.8 + 20))
    assert (found["new_accuracy"], found["rejected"], found["unanswered"]) == (pytest.approx(1.0), 1, 0)
    assert found["gain"]["low"] < found["gain"]["estimate"] < found["gain"]["high"]
    assert weighted(design, [*ids, "by hand"], (np.ones(10, bool), np.ones(10, bool)), confidence=0.9) is None


def test_rows_that_were_rejected_count_among_those_drawn() -> None:
    """The design's n is that of the draw, and the estimate that of usable rows."""
    ids = [item.id for item in items() if item.id != "s7"]
    right = (np.array([i >= 7 for i in range(9)]), np.ones(9, bool))
    designs = [Design.of(items(), answers(unanswered="s7")), Design.of(items(), answers(rejected="s7"))]
    kept, rejected = (weighted(design, ids, right, confidence=0.9) or {} for design in designs)
    assert kept["gain"]["estimate"] == pytest.approx(rejected["gain"]["estimate"])
    assert kept["gain"]["low"] != rejected["gain"]["low"]
    assert (kept["unanswered"], kept["rejected"], rejected["unanswered"], rejected["rejected"]) == (1, 0, 0, 1)


# --- whose they are --------------------------------------------------------------------------------------------------


@pytest.fixture
def store() -> SqliteStore:
    made = SqliteStore(":memory:")
    for name in ("one", "two"):
        rows = tuple(replace(item, id=f"{name}-{item.id}") for item in items())
        made.save(AnnotationBatch(f"batch-{name}", "chat", name, 1, BatchState.CLOSED, rows, 1.0, version=1))
    return made


def cycle(name: str, created: float) -> RefreshCycle:
    return RefreshCycle(name, "chat", 1, "alarm", 1, CycleState.TRAINING, created, batch=f"batch-{name}")


def add(sets: DataSets, prefix: str, now: float) -> DataSet:
    samples = [Sample("chat", f"{prefix}{item.id}", 1.0, np.full(4, i, np.float32), label="a") for i, item in enumerate(items())]
    return sets.add("chat", "challenge", samples, VectorEmbedder(4, normalize=False), now=now)


def test_rows_of_another_drift_do_not_judge(store: SqliteStore, tmp_path: Path) -> None:
    sets = DataSets(tmp_path)
    assert of_cycle(store, sets, cycle("one", 10.0)) is None
    first = add(sets, "one-", 20.0)
    assert of_cycle(store, sets, cycle("two", 15.0)) is None
    assert of_cycle(store, sets, cycle("two", 30.0)) is None
    second = add(sets, "two-", 40.0)
    assert (of_cycle(store, sets, cycle("one", 10.0)) or second).checksum == first.checksum
    assert (of_cycle(store, sets, cycle("two", 30.0)) or first).checksum == second.checksum


def test_rows_that_were_added_by_hand_since_it_opened_judge(store: SqliteStore, tmp_path: Path) -> None:
    sets = DataSets(tmp_path)
    added = add(sets, "hand-", 20.0)
    found = of_cycle(store, sets, cycle("one", 10.0))
    assert found
    assert found.checksum == added.checksum
    assert of_cycle(store, sets, cycle("one", 30.0)) is None
