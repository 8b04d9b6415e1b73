"""A training set from noisy labels: what is drawn, what is left out, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from detectors.selection import UNKNOWN, Known, Pool
from detectors.selection.weak import Drawn, draw

CLASSES, DIMENSION = 4, 12
USUAL, FAILING, JUNK = 300, 300, 100
NOISE = 0.3


def _rows(rng: np.random.Generator, truth: NDArray[np.int64], moved: NDArray[np.bool_] | bool) -> NDArray[np.float32]:
    """Classes around centres of their own; what fails is moved the same way."""
    rows = 4 * np.eye(CLASSES, DIMENSION)[truth] + 0.9 * rng.standard_normal((len(truth), DIMENSION))
    rows[:, -1] += 5 * np.asarray(moved)
    return rows.astype(np.float32)


class Scene:
    """A pool of ordinary rows, failing ones, and junk in one dense cluster near these."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        truth = rng.integers(0, CLASSES, USUAL + FAILING)
        self.moved = np.arange(USUAL + FAILING + JUNK) >= USUAL
        junk = np.full((JUNK, DIMENSION), -2.0) + 0.4 * rng.standard_normal((JUNK, DIMENSION))
        junk[:, -1] += 7
        rows = np.concatenate([_rows(rng, truth, self.moved[: len(truth)]), junk.astype(np.float32)])
        wrong = rng.random(len(truth)) < NOISE
        weak = np.where(wrong, (truth + rng.integers(1, CLASSES, len(truth))) % CLASSES, truth)
        self.truth = np.concatenate([truth, np.full(JUNK, UNKNOWN)])
        self.pool = Pool(rows, weak=np.concatenate([weak, rng.integers(0, CLASSES, JUNK)]))
        golden, failing = rng.integers(0, CLASSES, 200), rng.integers(0, CLASSES, 20)
        self.known = Known(
            _rows(rng, golden, moved=False), golden, golden, failures=_rows(rng, failing, moved=True), failure_labels=failing
        )

    def draw(self, budget: int, pool: Pool | None = None, known: Known | None = None) -> Drawn:
        return draw(pool or self.pool, known or self.known, budget=budget, rng=np.random.default_rng(1))


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene(0)


@pytest.fixture(scope="module")
def drawn(scene: Scene) -> Drawn:
    return scene.draw(120)


def test_rows_of_what_fails_come_with_their_right_class(scene: Scene, drawn: Drawn) -> None:
    assert len(drawn.rows) == len(np.unique(drawn.rows)) == 120
    assert scene.moved[drawn.rows].mean() > 0.97
    assert (drawn.labels == scene.truth)[drawn.rows].mean() > 0.95
    assert scene.pool.weak is not None
    assert (scene.pool.weak == scene.truth)[scene.moved][:FAILING].mean() < 0.8


def test_dense_junk_is_left_out(scene: Scene, drawn: Drawn) -> None:
    """Though it lies where failures do, and a head is sure what class it is of."""
    assert drawn.failing[-JUNK:].mean() > 0.9
    assert (scene.truth[drawn.rows] == UNKNOWN).mean() < 0.03


def test_classes_keep_their_shares(scene: Scene, drawn: Drawn) -> None:
    shares = np.bincount(drawn.labels[drawn.rows], minlength=CLASSES) / len(drawn.rows)
    wanted = np.bincount(scene.truth[USUAL : USUAL + FAILING], minlength=CLASSES) / FAILING
    np.testing.assert_allclose(shares, wanted, atol=0.08)


def test_the_noise_is_estimated(drawn: Drawn) -> None:
    """Of all labels, those of junk included."""
    np.testing.assert_allclose(drawn.noise, NOISE, atol=0.17)


def test_the_most_sure_come_first_and_the_same_seed_draws_the_same(scene: Scene, drawn: Drawn) -> None:
    worth = (drawn.failing * drawn.right)[drawn.rows]
    assert (np.diff(worth) <= 0).all()
    np.testing.assert_array_equal(scene.draw(120).rows, drawn.rows)


def test_no_more_come_than_are_sure(scene: Scene) -> None:
    everything = scene.draw(10_000)
    assert 150 < len(everything.rows) <= FAILING
    assert (everything.right[everything.rows] >= 0.7).all()


def test_rows_without_a_label_are_not_drawn(scene: Scene) -> None:
    assert scene.pool.weak is not None
    weak = np.where(np.arange(len(scene.pool)) % 2 == 0, scene.pool.weak, UNKNOWN)
    found = scene.draw(10_000, replace(scene.pool, weak=weak))
    assert len(found.rows)
    assert (found.rows % 2 == 0).all()
    assert (found.labels[1::2] == UNKNOWN).all()
    assert not found.right[1::2].any()


def test_of_copies_one_is_taken(scene: Scene) -> None:
    """And their labels are no votes for each other."""
    assert scene.pool.weak is not None
    copies = np.repeat(np.arange(USUAL, USUAL + FAILING), 2)
    pool = Pool(scene.pool.embeddings[copies], weak=scene.pool.weak[copies])
    found = scene.draw(10_000, pool)
    assert len(np.unique(found.rows // 2)) == len(found.rows)


def test_failures_that_are_partly_wrong_do_not_spoil_it(scene: Scene) -> None:
    """Three of ten are mislabelled or ordinary rows."""
    assert scene.known.failures is not None
    assert scene.known.failure_labels is not None
    rows, labels = scene.known.failures.copy(), scene.known.failure_labels.copy()
    labels[:3] = (labels[:3] + 1) % CLASSES
    rows[3:6] = scene.pool.embeddings[:3]
    found = scene.draw(100, known=replace(scene.known, failures=rows, failure_labels=labels))
    assert scene.moved[found.rows].mean() > 0.9
    assert (found.labels == scene.truth)[found.rows].mean() > 0.9


def test_without_labels_of_the_reference_place_alone_decides(scene: Scene) -> None:
    found = scene.draw(100, known=replace(scene.known, labels=None, predicted=None))
    assert scene.moved[found.rows].mean() > 0.95


def test_labels_that_are_the_models_own_answers_are_told(scene: Scene, drawn: Drawn) -> None:
    """And without its answers, that they contradict the failures."""
    assert np.isnan(drawn.echo)
    assert drawn.agreement > 0.5
    own = np.where(scene.moved, (scene.truth + 1) % CLASSES, scene.truth)
    found = scene.draw(50, replace(scene.pool, weak=own, predicted=own))
    assert found.echo == 1
    assert found.agreement < 0.2


@pytest.mark.parametrize(
    ("weak", "message"),
    [
        (None, "weak: a noisy label"),
        (np.full(USUAL + FAILING + JUNK, UNKNOWN), "weak: a noisy label"),
        (np.zeros(USUAL + FAILING + JUNK, np.int64), "two classes"),
    ],
)
def test_a_pool_without_evidence_is_refused(scene: Scene, weak: NDArray[np.int64] | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        scene.draw(10, replace(scene.pool, weak=weak))


def test_without_failures_nothing_says_what_to_draw(scene: Scene) -> None:
    with pytest.raises(ValueError, match="failures: at least one"):
        scene.draw(10, known=replace(scene.known, failures=None))
    with pytest.raises(ValueError, match="budget"):
        scene.draw(0)
