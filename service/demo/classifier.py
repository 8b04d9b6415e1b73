"""The demo's training job: multinomial logistic regression on frozen embeddings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import logsumexp

from service.heads import Head

Loss = tuple[float, NDArray[np.float64]]


def fit(embeddings: NDArray[np.float32], labels: Sequence[str], *, classes: Sequence[str] = (), penalty: float = 1e-4) -> Head:
    """The head that minimises mean cross-entropy + penalty/2 · ‖weights‖², by L-BFGS.

    `classes` come first and keep their order, so that an old model's logits keep their places; other labels follow by name.
    A class without a sample keeps its place, at the lowest bias.
    """
    names = (*classes, *sorted(set(labels) - set(classes)))
    if len(labels) != len(embeddings) or len(set(labels)) < 2:
        raise ValueError(f"training takes one label per row and two classes or more; found {len(embeddings)} rows, {len(labels)} labels")
    place = {name: i for i, name in enumerate(names)}
    target = np.array([place[label] for label in labels])
    centre = embeddings.mean(axis=0)
    rows = embeddings - centre
    start = np.zeros(len(names) * (rows.shape[1] + 1))
    found = minimize(loss, start, args=(rows, target, penalty), jac=True, method="L-BFGS-B", options={"maxiter": 200, "ftol": 1e-7})
    weights, bias = _unpack(found.x, len(names))
    return Head(names, weights.astype(np.float32), (bias - weights @ centre).astype(np.float32))


def loss(parameters: NDArray[np.float64], rows: NDArray[np.floating], target: NDArray[np.int64], penalty: float) -> Loss:
    """The objective and its gradient; the products run in the rows' precision."""
    classes = len(parameters) // (rows.shape[1] + 1)
    weights, bias = _unpack(parameters, classes)
    scores = (rows @ weights.T.astype(rows.dtype)).astype(np.float64) + bias
    logs = scores - logsumexp(scores, axis=1, keepdims=True)
    here = np.arange(len(rows))
    slope = np.exp(logs)
    slope[here, target] -= 1
    slope /= len(rows)
    steep = (slope.T.astype(rows.dtype) @ rows).astype(np.float64) + penalty * weights
    value = -logs[here, target].mean() + penalty / 2 * np.sum(weights**2)
    return float(value), np.concatenate([steep.ravel(), slope.sum(axis=0)])


def _unpack(parameters: NDArray[np.float64], classes: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return parameters[:-classes].reshape(classes, -1), parameters[-classes:]
