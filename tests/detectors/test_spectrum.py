"""The spectrum of the reference, and what windows of its rows add up to."""

from __future__ import annotations

import numpy as np
import pytest

from detectors.spectrum import Moments


@pytest.mark.parametrize("rows", [2, 7, 12, 40])
def test_traces_of_rows_are_those_of_their_covariance(rows: int) -> None:
    """Whether there are fewer rows than dimensions or more."""
    rng = np.random.default_rng(rows)
    drawn = rng.normal(size=(rows, 12)) * rng.uniform(0.1, 3.0, 12) + 5.0
    weights = rng.uniform(0.1, 2.0, (3, 12)).astype(np.float32)
    own, plain = Moments.of_rows(drawn, weights), Moments.of(np.cov(drawn, rowvar=False), weights)
    for ours, theirs in ((own.t1, plain.t1), (own.t2, plain.t2), (own.t3, plain.t3)):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10)
