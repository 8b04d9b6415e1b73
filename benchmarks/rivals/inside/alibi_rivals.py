"""alibi-detect's online and batch detectors on PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from alibi_detect.cd import ClassifierDrift, ClassifierUncertaintyDrift, KSDrift, LSDDDrift, LSDDDriftOnline, MMDDrift, MMDDriftOnline
from sklearn.linear_model import LogisticRegression

from .batches import Batches
from .serving import Fit, Reference, Rows, held_bytes

ONLINE_WINDOW = 50
SHIPPED_RUN_LENGTH, SHIPPED_BOOTSTRAPS = 500, 1_000
"""Their default number of bootstraps serves no much longer run: at 1,000 they refuse it."""

LEAST_RUN_LENGTH, LEAST_BOOTSTRAPS = 59, 177
"""The fewest bootstraps that they accept for any run length, with a window of 50."""

LEVEL, PERMUTED_REFERENCE = 0.05, 1_000
"""p-value of the batch tests; rows of the reference where permutations over all of them would take half a minute a batch."""

torch.set_num_threads(1)


class Online:
    """A user begins anew after each alarm."""

    step = 1

    def __init__(self, kind: Callable[..., Any], reference: Reference) -> None:
        torch.manual_seed(reference.seed)
        run_length, bootstraps = (SHIPPED_RUN_LENGTH, SHIPPED_BOOTSTRAPS) if reference.shipped else (LEAST_RUN_LENGTH, LEAST_BOOTSTRAPS)
        self._shipped = reference.shipped
        self._detector = kind(
            reference.rows, ert=run_length, window_size=ONLINE_WINDOW, backend="pytorch", n_bootstraps=bootstraps, verbose=False
        )

    @property
    def state_bytes(self) -> int:
        """What its `save_state` writes: the window, its kernel with the reference, and all statistics so far."""
        inner = self._detector._detector
        return sum(held_bytes(getattr(inner, name)) for name in inner.online_state_keys)

    def restart(self) -> None:
        self._detector.reset_state()

    def score(self, rows: Rows) -> tuple[float, bool]:
        if not self._shipped:
            return float(self._detector.score(rows[0])), False
        found = self._detector.predict(rows[0])["data"]
        alarm = bool(found["is_drift"])
        if alarm:
            self.restart()
        return float(found["test_stat"]), alarm


def _p_value(detector: Any, rows: Rows) -> tuple[float, bool]:
    found = detector.predict(rows)["data"]
    return float(-np.log10(max(float(np.min(found["p_val"])), 1e-300))), bool(found["is_drift"])


def _distance(detector: Any, rows: Rows) -> tuple[float, bool]:
    found = detector.predict(rows)["data"]
    return float(found["distance"]), bool(found["is_drift"])


def permuted(kind: Callable[..., Any], reference: Reference) -> Batches:
    """The statistic is the distance; one permutation is enough to see it."""
    torch.manual_seed(reference.seed)
    rows = reference.rows[:PERMUTED_REFERENCE] if reference.shipped else reference.rows
    permutations = {} if reference.shipped else {"n_permutations": 1}
    detector = kind(rows, p_val=LEVEL, backend="pytorch", **permutations)
    return Batches(reference.rows, partial(_distance, detector), detector)


def kolmogorov_smirnov(reference: Reference) -> Batches:
    """Per dimension with Bonferroni's correction; the statistic is minus the logarithm of the smallest p-value."""
    detector = KSDrift(reference.rows, p_val=LEVEL)
    return Batches(reference.rows, partial(_p_value, detector), detector)


def classifier(reference: Reference) -> Batches:
    """A logistic regression that tells the batch from the reference; the statistic is minus the logarithm of its p-value."""
    model = LogisticRegression(max_iter=1_000)
    detector = ClassifierDrift(reference.rows, model, backend="sklearn", p_val=LEVEL, preds_type="probs", seed=reference.seed)
    return Batches(reference.rows, partial(_p_value, detector), detector)


def uncertainty(reference: Reference) -> Batches:
    """Entropy of the predictions of a user's model: a logistic regression of the topics, trained on the half of the reference that
    is not compared with."""
    half = len(reference.rows) // 2
    model = LogisticRegression(max_iter=1_000).fit(reference.rows[:half], reference.topics[:half])
    detector = ClassifierUncertaintyDrift(
        reference.rows[half:], model=lambda rows: model.predict_proba(rows).astype(np.float64), p_val=LEVEL, preds_type="probs"
    )
    return Batches(reference.rows, partial(_p_value, detector), detector)


FITS: Mapping[str, Fit] = {
    "MMDDriftOnline": partial(Online, MMDDriftOnline),
    "LSDDDriftOnline": partial(Online, LSDDDriftOnline),
    "MMDDrift": partial(permuted, MMDDrift),
    "LSDDDrift": partial(permuted, LSDDDrift),
    "KSDrift": kolmogorov_smirnov,
    "ClassifierDrift": classifier,
    "ClassifierUncertaintyDrift": uncertainty,
}
