"""What the benchmark of ways of choosing promises about its worlds, on a made-up set that needs no files."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.selection import annotator, scenarios, trials
from benchmarks.selection.badge import Badge
from benchmarks.selection.flvmi import MutualInformation
from benchmarks.selection.gain import Interval
from benchmarks.selection.growing import GrowingFailures
from benchmarks.selection.head import train
from benchmarks.selection.scenarios import Part, Scenario, World
from benchmarks.selection.sources import Source
from benchmarks.selection.trials import TOLD, Situation, composition, known_failures, oracle, trial
from detectors.selection import REJECTED, Known, Pick, Pool, Selector
from detectors.selection.kernel import directions
from detectors.selection.random_choice import RandomChoice

CLASSES, DIMENSION = 12, 24


def _made() -> Source:
    rng = np.random.default_rng(0)
    means = rng.standard_normal((CLASSES + 2, DIMENSION))
    labels = np.repeat(np.arange(CLASSES), 1_000)

    def around(topic: NDArray[np.int64]) -> NDArray[np.float32]:
        rows = means[topic] + 0.6 * rng.standard_normal((len(topic), DIMENSION))
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)

    scattered = rng.standard_normal((700, DIMENSION)).astype(np.float32)
    dense = (around(np.full(300, CLASSES)), around(np.full(300, CLASSES + 1)))
    return Source(around(labels), labels, scattered, dense)


SOURCE = _made()


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    made = {"absent": Scenario(lambda: SOURCE, 3), "starved": Scenario(lambda: SOURCE, 3, kept=2)}
    monkeypatch.setattr(scenarios, "SCENARIOS", made)


def keys(rows: NDArray[np.float32]) -> set[bytes]:
    return {row.tobytes() for row in rows}


def given(name: str = "absent", seed: int = 0) -> World:
    return trials.cached_world(name, seed)


def test_no_row_is_in_two_parts() -> None:
    world = given()
    own = world.pool.rows[world.pool.original == np.arange(len(world.pool))]
    parts = [world.train, world.select, world.calibrate, world.test, world.held_out, world.failures]
    rows = [keys(part.rows) for part in parts] + [keys(own)]
    assert len(set.union(*rows)) == sum(map(len, rows))


def test_the_pool_is_made_of_what_it_says() -> None:
    pool = given().pool
    own = pool.original == np.arange(len(pool))
    assert (~own).sum() == scenarios.COPIES
    counts = np.bincount(pool.part[own], minlength=len(Part)).tolist()
    assert counts == [scenarios.ORDINARY, scenarios.FAILING, scenarios.SCATTERED, 2 * scenarios.DENSE, scenarios.BLENDS]
    junk = np.isin(pool.part, (Part.SCATTERED, Part.DENSE))
    assert ((pool.truth == REJECTED) == junk).all()
    assert (pool.answers == pool.answers[pool.original]).all()


@pytest.mark.parametrize(("name", "seen"), [("absent", CLASSES - 3), ("starved", CLASSES)])
def test_the_slice_fails_and_its_classes_come_last(name: str, seen: int) -> None:
    world = given(name)
    assert world.old.weights.shape[1] == seen
    assert set(np.unique(world.held_out.labels)) == set(range(CLASSES - 3, CLASSES))
    assert (world.old.answers(world.failures.rows) != world.failures.labels).all()
    rare = np.bincount(world.train.labels, minlength=CLASSES)[-3:].tolist()
    assert rare == ([2, 2, 2] if name == "starved" else [0, 0, 0])


def test_a_trial_is_the_same_for_the_same_seed_and_the_oracle_gains_more() -> None:
    one, two = (trial("absent", 1, RandomChoice(), 40) for _ in range(2))
    assert one == two
    assert one.asked == 40
    assert one.useful + one.ordinary + one.junk == pytest.approx(1)
    best = oracle("absent", 1, 40)
    assert best.useful == 1
    assert best.gain > one.gain


def test_copies_that_are_asked_about_twice_are_counted() -> None:
    world = given()
    copy = int(np.flatnonzero(world.pool.original != np.arange(len(world.pool)))[0])
    first = int(world.pool.original[copy])
    assert composition(world, np.array([first, copy]))[3] == 0.5
    assert composition(world, np.empty(0, np.int64)) == (0, 0, 0, 0)


def test_what_a_selector_leaves_of_its_budget_goes_to_later_rounds() -> None:
    class Shy:
        budgets: list[int] = []  # noqa: RUF012 - of one test

        def pick(self, pool: Pool, known: Known, *, budget: int, rng: np.random.Generator, **_: object) -> tuple[Pick, ...]:
            self.budgets.append(budget)
            found = RandomChoice().pick(pool, known, budget=budget, rng=rng)
            return found[:1] if len(self.budgets) == 1 else found

    assert trial("absent", 0, Shy(), 20).asked == 20
    assert Shy.budgets == [4, 5, 5, 5, 4]


def test_spoilt_failures_are_junk_or_wrong() -> None:
    world = given()
    spoilt = known_failures(world, Situation(spoilt=0.3), np.random.default_rng(0))
    same = (spoilt.rows == world.failures.rows).all(1)
    assert (~same).sum() == 2
    assert (spoilt.labels != world.failures.labels).sum() == 3
    assert known_failures(world, TOLD, np.random.default_rng(0)).labels.tolist() == world.failures.labels.tolist()


def test_annotators_are_fallible_as_often_as_is_said() -> None:
    rng = np.random.default_rng(0)
    means = np.eye(8, dtype=np.float32)
    truth = np.where(np.arange(8_000) < 4_000, REJECTED, rng.integers(0, 8, 8_000))
    said = annotator.answers(rng.standard_normal((8_000, 8)).astype(np.float32), truth, means, rng=rng)
    junk = truth == REJECTED
    assert (said[junk] == REJECTED).mean() == pytest.approx(1 - annotator.FORCED, abs=0.03)
    assert (said[~junk] != truth[~junk]).mean() == pytest.approx(annotator.WRONG, abs=0.015)
    assert (said[~junk] >= 0).all()


def test_a_head_goes_on_from_another_and_learns_a_new_class() -> None:
    world = given()
    rows, labels = np.concatenate([world.train.rows, world.held_out.rows]), np.concatenate([world.train.labels, world.held_out.labels])
    new = train(rows, labels, CLASSES, start=world.old)
    assert new.components is world.old.components
    assert new.probabilities(rows).sum(1) == pytest.approx(np.ones(len(rows)), abs=1e-4)
    assert (new.answers(world.failures.rows) == world.failures.labels).mean() > 0.6
    fresh = train(rows, labels, CLASSES)
    assert (new.answers(world.test.rows) == fresh.answers(world.test.rows)).mean() > 0.98


@pytest.mark.parametrize("way", [Badge(), MutualInformation(), GrowingFailures()], ids=lambda way: type(way).__name__)
def test_rivals_pick_distinct_rows(way: Selector) -> None:
    assert trial("starved", 0, way, 30).asked == 30


def test_lazy_greedy_is_greedy() -> None:
    rng = np.random.default_rng(2)
    rows, failures = rng.standard_normal((40, 6)).astype(np.float32), rng.standard_normal((3, 6)).astype(np.float32)
    known = Known(rows, failures=failures, failure_labels=np.zeros(3, np.int64))
    unit = directions(rows, rows.mean(0))
    worth = np.maximum(unit @ directions(failures, rows.mean(0)).T, 0).max(1)
    likeness = np.minimum(np.maximum(unit @ unit.T, 0), worth)
    covered, chosen = np.zeros(40), list[float]()
    for _ in range(6):
        gains = np.maximum(likeness - covered, 0).sum(1)
        chosen.append(float(gains.max()))
        covered = np.maximum(covered, likeness[gains.argmax()])
    found = MutualInformation().pick(Pool(rows), known, budget=6, rng=rng)
    assert [pick.value for pick in found] == pytest.approx(chosen, rel=1e-4)


def test_an_interval_of_one_run_is_endless() -> None:
    assert Interval.of(np.array([3.0])).half == np.inf
    assert Interval.of(np.array([1.0, 3.0])).half == pytest.approx(12.706, abs=0.01)
