"""What is told beside a verdict."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

import numpy as np
import pytest

from service.verifying.answers import NOTHING, Answers, answers_of
from service.verifying.beside import calibration, fitting, latency
from tests.service.verifying.models import NEW, OLD, Nearest, samples

ROWS = samples(600, 1, "pay", "ship", "login")
GOLDEN = {"golden": {"rows": 1_000, "old_accuracy": 0.9, "new_accuracy": 0.9}}


def test_calibration_is_told_with_intervals_and_its_change() -> None:
    found = calibration(answers_of(ROWS, OLD, NEW), rng=np.random.default_rng(0))
    assert found is not None
    for side in ("old", "new"):
        assert 0 <= found[side]["low"] <= found[side]["error"] <= found[side]["high"] <= 1
        assert sum(rows for _, _, rows in found[side]["bins"]) == 600
    assert found["change"]["low"] <= found["new"]["error"] - found["old"]["error"] <= found["change"]["high"]


def test_a_model_that_becomes_too_sure_is_seen() -> None:
    rng = np.random.default_rng(3)
    right = rng.random(2_000) < 0.8
    said = np.where(right, "a", "b").tolist()
    flat, sure = np.full(2_000, 0.8, np.float32), np.full(2_000, 0.99, np.float32)
    found = calibration(Answers(["a"] * 2_000, said, said, (), flat, sure), rng=rng)
    assert found is not None
    assert found["change"]["low"] > 0.15


def test_calibration_needs_rows_and_confidences() -> None:
    few = answers_of(ROWS[:10], OLD, NEW)
    assert calibration(few, rng=np.random.default_rng(0)) is None
    assert calibration(Answers(["a"], ["a"], ["a"]), rng=np.random.default_rng(0)) is None


def test_latency_is_measured_by_turns() -> None:
    ticks: Iterator[int] = count()

    class Slow(Nearest):
        """Takes three ticks more."""

        def embed(self, payloads: Any) -> Any:
            for _ in range(3):
                next(ticks)
            return super().embed(payloads)

    old, new = Nearest(OLD.embedder.centres), Slow(OLD.embedder.centres)  # type: ignore[attr-defined]  # the fake model's own
    found = latency(old, new, [sample.payload for sample in ROWS], clock=lambda: 0.001 * next(ticks))
    assert found is not None
    assert (found["old_seconds"], found["new_seconds"]) == (pytest.approx(0.001), pytest.approx(0.004))
    assert found["ratio"] == {"estimate": pytest.approx(4), "low": pytest.approx(4), "high": pytest.approx(4)}
    assert found["rows"] == 64
    assert latency(old, new, [], clock=lambda: 0.0) is None


def test_latency_ends_in_time() -> None:
    ticks = count()
    found = latency(OLD.embedder, NEW.embedder, [sample.payload for sample in ROWS], clock=lambda: float(next(ticks)))
    assert found is not None
    assert found["rows"] < 5


@pytest.mark.parametrize(
    ("run", "fits", "says"),
    [
        ({"train": {"accuracy": 0.99, "rows": 5_000}, "validation": {"accuracy": 0.8, "rows": 500}}, "over", "to validation"),
        ({"train": {"accuracy": 0.99, "rows": 5_000}, "validation": {"accuracy": 0.97, "rows": 500}}, "over", "to golden"),
        ({"train": {"accuracy": 0.91, "rows": 5_000}, "validation": {"accuracy": 0.9, "rows": 500}}, "well", "no sign"),
        ({"train": {"accuracy": 0.7, "rows": 5_000}}, "under", "learned too little"),
        ({"train": {"accuracy": "high"}}, "not known", "not known"),
        ({"train": {"accuracy": 1.2, "rows": 10}}, "not known", "not known"),
        ("nothing", "not known", "not known"),
    ],
)
def test_too_much_or_too_little_learned(run: Any, fits: str, says: str) -> None:
    found = fitting({"figures": run}, GOLDEN)
    assert found["fits"] == fits
    assert says in found["says"]
    assert found["golden"]["rows"] == 1_000


def test_without_figures_of_the_run_the_training_rows_tell() -> None:
    found = fitting({}, GOLDEN, answers_of(ROWS, OLD, NEW))
    assert found["train"]["rows"] == 600
    assert 0.9 < found["train"]["interval"][0] < found["train"]["accuracy"] <= found["train"]["interval"][1]
    assert fitting({}, GOLDEN, NOTHING)["fits"] == "not known"
    assert fitting({}, {})["fits"] == "not known"
