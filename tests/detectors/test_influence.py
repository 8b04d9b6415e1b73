"""What the last layer would say without a training row."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from detectors.influence import LastLayer

RIDGE = 1e-3


def trained(rows: NDArray[np.float64], labels: NDArray[np.int64], classes: int) -> NDArray[np.float64]:
    """(d + 1, C) of a softmax layer at its optimum."""
    inputs, wanted = np.c_[rows, np.ones(len(rows))], np.eye(classes)[labels]

    def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        weights = flat.reshape(inputs.shape[1], classes)
        logits = inputs @ weights
        slope = inputs.T @ (softmax(logits, 1) - wanted) / len(rows) + RIDGE * weights
        return float(-(wanted * log_softmax(logits, 1)).sum() / len(rows) + RIDGE / 2 * (weights**2).sum()), slope.ravel()

    found = minimize(loss, np.zeros(inputs.shape[1] * classes), jac=True, method="L-BFGS-B", options={"maxiter": 2_000, "gtol": 1e-9})
    return np.asarray(found.x.reshape(inputs.shape[1], classes), np.float64)


def groups(count: int, rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    labels = rng.integers(0, 3, count)
    return 1.5 * rng.standard_normal((3, 4))[labels] + rng.standard_normal((count, 4)), labels


def test_it_foretells_what_training_without_the_row_shows() -> None:
    rng = np.random.default_rng(3)
    rows, labels = groups(81, rng)
    query, rows, label, labels = rows[0], rows[1:], int(labels[0]), labels[1:]

    def loss(weights: NDArray[np.float64]) -> float:
        return float(-log_softmax(np.append(query, 1) @ weights)[label])

    weights = trained(rows, labels, 3)
    layer = LastLayer.fit(rows.astype(np.float32), labels, softmax(np.c_[rows, np.ones(80)] @ weights, 1).astype(np.float32))
    told = layer.on(query.astype(np.float32), softmax(np.append(query, 1) @ weights).astype(np.float32), label=label)
    most = np.argsort(-abs(told))[:25]
    true = [loss(trained(np.delete(rows, i, 0), np.delete(labels, i), 3)) - loss(weights) for i in most]
    assert np.corrcoef(told[most], true)[0, 1] > 0.8
    assert np.sign(told[most[:10]]).tolist() == np.sign(true[:10]).tolist()


def test_a_wrong_label_stands_on_itself_alone() -> None:
    rng = np.random.default_rng(4)
    rows, labels = groups(300, rng)
    wrong = labels.copy()
    wrong[:6] = (labels[:6] + 1) % 3
    weights = trained(rows, wrong, 3)
    own = LastLayer.fit(rows.astype(np.float32), wrong, softmax(np.c_[rows, np.ones(300)] @ weights, 1).astype(np.float32)).own()
    assert np.median(own[:6]) > np.quantile(own[6:], 0.9)
    assert (own >= 0).all()


def test_its_own_row_supports_a_query() -> None:
    rng = np.random.default_rng(5)
    rows, labels = groups(50, rng)
    said = np.full((50, 3), 1 / 3, np.float32)
    layer = LastLayer.fit(rows.astype(np.float32), labels, said)
    alone = layer.on(rows[7].astype(np.float32), said[7], label=int(labels[7]))[7]
    assert alone == pytest.approx(layer.own()[7], rel=1e-4)


def test_labels_that_the_layer_does_not_know_are_named() -> None:
    with pytest.raises(ValueError, match="0 to 1, found 0 to 2"):
        LastLayer.fit(np.zeros((2, 3), np.float32), np.array([0, 2]), np.full((2, 2), 0.5, np.float32))
    with pytest.raises(ValueError, match="at least one"):
        LastLayer.fit(np.zeros((0, 3), np.float32), np.array([], np.int64), np.zeros((0, 2), np.float32))
