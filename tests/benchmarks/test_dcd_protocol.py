"""DCD's protocol: how labels are spoilt, and which baseline counts."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from benchmarks.selection import dcd_protocol, dcd_worlds
from benchmarks.selection.dcd_protocol import DCD, FAILURES, ORACLE, OURS, WHOLE, Found, Key, Outcome, one_world
from benchmarks.selection.dcd_worlds import Ground, Scenario, Sizes, mislabelled, world
from benchmarks.selection.scenarios import Labelled

SMALL = Sizes(train=200, select=80, test=100, usual=120, failing=60, junk=30, validation=60, failures=20, held_out=60)


def ground() -> Ground:
    """Four classes; failing rows lie elsewhere, and so does junk."""
    rng = np.random.default_rng(0)

    def drawn(count: int, moved: float) -> Labelled:
        labels = np.arange(count) % 4
        rows = 4 * np.eye(4, 8)[labels] + rng.standard_normal((count, 8))
        rows[:, 7] += moved
        rows[:, 0] -= moved
        return Labelled(rows.astype(np.float32), labels)

    return Ground(drawn(500, 0.0), drawn(180, 5.0), 3 * rng.standard_normal((40, 8)).astype(np.float32), 4)


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> str:
    scenarios = {"toy": Scenario(ground, SMALL, budget=30)}
    monkeypatch.setattr(dcd_worlds, "SCENARIOS", scenarios)
    monkeypatch.setattr(dcd_protocol, "SCENARIOS", scenarios)
    return "toy"


def test_a_fifth_to_two_fifths_of_the_labels_are_wrong() -> None:
    truth, alike = np.repeat([0, 1, 2, 3, -1], 2_000), np.array([1, 0, 3, 2])
    given = mislabelled(truth, alike, np.random.default_rng(1))
    for label in range(4):
        of = given[truth == label]
        wrong = of != label
        assert 0.17 < wrong.mean() < 0.43
        assert (of[wrong] == alike[label]).mean() > 0.5
    np.testing.assert_allclose(np.bincount(given[truth == -1]) / 2_000, 0.25, atol=0.05)


def test_a_world_is_the_same_for_the_same_seed_and_its_parts_are_apart(toy: str) -> None:
    one, other = world(toy, 1), world(toy, 1)
    np.testing.assert_array_equal(one.pool.embeddings, other.pool.embeddings)
    assert (one.failing.sum(), (one.truth < 0).sum(), len(one.pool)) == (60, 30, 210)
    assert (one.old.answers(one.failures.rows) != one.failures.labels).all()
    held_out = {row.tobytes() for row in one.held_out.rows}
    assert not held_out & {row.tobytes() for row in np.concatenate([one.pool.embeddings, one.failures.rows])}


def test_every_method_is_measured_on_the_same_world(toy: str) -> None:
    made = one_world((toy, 1))
    assert {line for line, large in made if not large} >= {OURS, ORACLE, FAILURES, WHOLE, DCD, "random", "FLVMI"}
    assert made[ORACLE, False].right == made[ORACLE, False].failing == 1
    assert made[WHOLE, False].rows == 210
    assert np.isnan(made[FAILURES, False].right)
    assert made[OURS, False].failing > made["random", False].failing


def test_the_best_baseline_is_one_that_keeps_test_accuracy() -> None:
    def outcome(gain: float, loss: float) -> Outcome:
        return Outcome(gain, 0.0, loss, 1.0, 1.0, 0.0, 1)

    def run(shift: float) -> Mapping[Key, Outcome]:
        lines = {FAILURES: outcome(1, 0), WHOLE: outcome(2, 0.1), "random": outcome(3, 0.2 + shift), DCD: outcome(9, 2 + shift)}
        return {(line, False): each for line, each in lines.items()}

    found = Found({"toy": [run(0.0), run(0.05), run(0.1)]})
    assert found.best("toy") == "random"
    assert found.best("toy", losing=True) == DCD
