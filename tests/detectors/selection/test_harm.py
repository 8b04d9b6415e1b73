"""What training on a row would do, held against training on it."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax
from scipy.stats import spearmanr

from detectors.selection.harm import Harm

CLASSES, RIDGE = 4, 3e-3


def trained(
    rows: NDArray[np.float32], labels: NDArray[np.int64], weights: NDArray[np.float64], first: NDArray[np.float64]
) -> NDArray[np.float64]:
    inputs, wanted = np.column_stack([rows, np.ones(len(rows))]), np.eye(CLASSES)[labels]

    def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        layer = flat.reshape(-1, CLASSES)
        logits = inputs @ layer
        slope = inputs.T @ (weights[:, None] * (softmax(logits, 1) - wanted)) / len(rows) + RIDGE * layer
        value = -(weights[:, None] * wanted * log_softmax(logits, 1)).sum() / len(rows) + RIDGE / 2 * (layer**2).sum()
        return float(value), slope.ravel()

    found = minimize(loss, first.ravel(), jac=True, method="L-BFGS-B", options={"gtol": 1e-8})
    return np.asarray(found.x.reshape(-1, CLASSES), np.float64)


def said(layer: NDArray[np.float64], rows: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(softmax(np.column_stack([rows, np.ones(len(rows))]) @ layer, 1), np.float32)


@pytest.fixture(scope="module")
def world() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, CLASSES, 460)
    return (2.2 * np.eye(CLASSES, 8)[labels] + rng.standard_normal((460, 8))).astype(np.float32), labels


def test_both_foretell_what_training_shows(world: tuple[NDArray[np.float32], NDArray[np.int64]]) -> None:
    rows, truth = world
    train, golden, new = np.arange(200), np.arange(200, 400), np.arange(400, 460)
    rng = np.random.default_rng(1)
    given = np.where(rng.random(60) < 0.5, truth[new], rng.integers(0, CLASSES, 60))
    layer = trained(rows[train], truth[train], np.ones(200), np.zeros((9, CLASSES)))
    harm = Harm.fit(rows[golden], truth[golden], said(layer, rows[golden]))
    influence = harm.influence(rows[new], said(layer, rows[new]), weight=5)[np.arange(60), given]
    flips = harm.flips(rows[new], said(layer, rows[new]), given)

    def loss(layer: NDArray[np.float64]) -> float:
        return float(-np.log(said(layer, rows[golden])[np.arange(200), truth[golden]]).mean())

    before, weights = loss(layer), np.append(np.ones(200), 5.0)
    after = [loss(trained(rows[[*train, i]], np.append(truth[train], label), weights, layer)) for i, label in zip(new, given, strict=True)]
    true = np.array(after) - before
    assert spearmanr(influence, true).statistic > 0.8
    assert spearmanr(flips, true).statistic > 0.6


def test_the_answer_it_has_already_flips_nothing(world: tuple[NDArray[np.float32], NDArray[np.int64]]) -> None:
    rows, labels = world
    layer = trained(rows[:200], labels[:200], np.ones(200), np.zeros((9, CLASSES)))
    harm, told = Harm.fit(rows[200:400], labels[200:400], said(layer, rows[200:400])), said(layer, rows[400:])
    assert harm.flips(rows[400:], told, told.argmax(1)) == pytest.approx(0)
    worst = harm.flips(rows[400:], told, told.argmin(1))
    assert (worst > 0).all()
    assert (worst < len(harm.right)).all()


def test_a_new_class_takes_from_all_alike(world: tuple[NDArray[np.float32], NDArray[np.int64]]) -> None:
    rows, labels = world
    layer = trained(rows[:200], labels[:200], np.ones(200), np.zeros((9, CLASSES)))
    harm, told = Harm.fit(rows[200:400], labels[200:400], said(layer, rows[200:400])), said(layer, rows[400:410])
    assert harm.influence(rows[400:410], told).shape == (10, CLASSES + 1)
    first, second = (harm.flips(rows[400:410], told, np.full(10, label)) for label in (CLASSES, CLASSES + 7))
    assert first == pytest.approx(second)
    assert np.isfinite(first).all()
