"""What a risk promises, by simulation: that it comes to mean what it says on a stream of its own, and that its reliability curve holds it
to that."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit

from detectors.selection.assessment import Parts
from detectors.selection.risk import PRIOR, Risk, reliability

STREAMS, OUTCOMES, LIMIT, AUDITS = 60, 300, 0.5, 0.05
BETWEEN = np.array([0.7, 1.0, 0.5, 0.5])
"""How far streams differ from the prior, as standard deviations."""


def drawn(rng: np.random.Generator, count: int) -> NDArray[np.float32]:
    """Parts as pools have them: mostly low, some high."""
    return rng.beta([0.4, 0.5, 0.3], [1.2, 2.0, 2.0], (count, 3)).astype(np.float32)


def of(parts: NDArray[np.float32]) -> Parts:
    junk, contested, influence = parts.T
    return Parts(junk, contested, influence, np.zeros((len(parts), 0), np.int64))


def law(weights: NDArray[np.float64], parts: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.asarray(expit(weights[0] + parts @ weights[1:]), np.float64)


def stream(rng: np.random.Generator) -> NDArray[np.float64]:
    weights = np.array(PRIOR) + BETWEEN * rng.standard_normal(4)
    return np.append(weights[0], np.maximum(weights[1:], 0))


def learnt(rng: np.random.Generator, weights: NDArray[np.float64], count: int, *, limit: float = 1.0) -> Risk:
    """In rounds of 20, each sent by the risk learnt so far; what is above the limit but for the audits is not."""
    risk, seen, bad = Risk(), np.zeros((0, 3), np.float32), np.zeros(0, bool)
    while len(seen) < count:
        rows = drawn(rng, 200)
        kept = (risk.of(of(rows)) <= limit) | (rng.random(200) < AUDITS)
        sent = rows[kept][:20]
        seen, bad = np.concatenate([seen, sent]), np.concatenate([bad, rng.random(len(sent)) < law(weights, sent)])
        risk = Risk().updated(seen, bad)
    return risk


def away(risk: Risk, weights: NDArray[np.float64], parts: NDArray[np.float32]) -> float:
    """Mean distance of what is said from what is true."""
    return float(np.abs(risk.of(of(parts)) - law(weights, parts)).mean())


@pytest.mark.parametrize("limit", [1.0, LIMIT])
def test_some_hundred_outcomes_bring_it_within_five_points_of_the_truth(limit: float) -> None:
    """Of rows that may be sent, in the mean over streams; without outcomes it is off by more than twice that."""
    rng = np.random.default_rng(1)
    told, before = [], []
    for _ in range(STREAMS):
        weights, rows = stream(rng), drawn(rng, 2_000)
        risk = learnt(rng, weights, OUTCOMES, limit=limit)
        sent = rows[risk.of(of(rows)) <= limit]
        if not len(sent):
            continue
        told.append(away(risk, weights, sent))
        before.append(away(Risk(), weights, sent))
    assert np.mean(told) < 0.05
    assert np.mean(before) > 2 * np.mean(told)


def test_twenty_outcomes_are_no_loss_in_the_mean() -> None:
    rng = np.random.default_rng(2)
    rows = drawn(rng, 2_000)
    streams = [stream(rng) for _ in range(STREAMS)]
    assert np.mean([away(learnt(rng, one, 20), one, rows) for one in streams]) < np.mean([away(Risk(), one, rows) for one in streams])


def test_the_curve_accepts_a_right_risk_and_accuses_a_wrong_one() -> None:
    """Of 400 curves of five bins 95 % intervals miss at most 150 of 2,000 shares (the 99.9 % quantile is 131 for exact ones; Wilson's are
    a little short), and the error is what chance makes of it; a risk that is twice too high shows."""
    rng = np.random.default_rng(3)
    weights, missed, errors, chances, wrong = np.array(PRIOR), 0, list[float](), list[float](), 0
    for _ in range(400):
        parts = drawn(rng, 200)
        true = law(weights, parts)
        bad = rng.random(200) < true
        found = reliability(true.astype(np.float32), bad)
        missed += sum(not one.share_low <= one.mean_risk <= one.share_high for one in found.bins)
        errors.append(found.error)
        chances.append(found.chance)
        doubled = reliability(np.minimum(1, 2 * true).astype(np.float32), bad)
        wrong += doubled.error > 2 * doubled.chance
    assert missed <= 150
    assert np.mean(errors) == pytest.approx(np.mean(chances), rel=0.1)
    assert wrong >= 360
