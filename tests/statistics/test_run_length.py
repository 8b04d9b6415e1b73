"""What the scan promises, by simulation: false alarms as asked, drift found, intervals that cover."""

import numpy as np
import pytest
from numpy.typing import NDArray

from detectors import DriftScan

ASKED, STREAMS, LENGTH = 1500.0, 16, 9000
"""96 false alarms are expected; alarms of one stream share a reference, which about doubles a Poisson error: 20 % in all."""


def topics(n: int, rng: np.random.Generator, *, low: int = 0, high: int = 24) -> NDArray[np.float32]:
    centres = np.random.default_rng(5).standard_normal((32, 48))
    rows = centres[rng.integers(low, high, n)] + 0.9 * rng.standard_normal((n, 48))
    unit: NDArray[np.float32] = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return unit


@pytest.fixture(scope="module")
def scans() -> list[DriftScan]:
    return [DriftScan.fit(topics(2000, np.random.default_rng(s)), run_length=ASKED, seed=s) for s in range(STREAMS)]


def test_false_alarms_come_as_rarely_as_asked(scans: list[DriftScan]) -> None:
    alarms = 0
    for seed, scan in enumerate(scans):
        scan.reset()
        rows = topics(LENGTH, np.random.default_rng(1000 + seed))
        for start in range(0, LENGTH, 16):
            if scan.update(rows[start : start + 16]).alarm:
                alarms += 1
                scan.reset()
    measured = STREAMS * LENGTH / max(alarms, 1)
    assert 0.5 < measured / ASKED < 2.0  # three standard errors around 1, and the bar itself


def test_a_tenth_of_new_content_is_found_and_its_interval_covers_the_truth(scans: list[DriftScan]) -> None:
    delays, covered = [], 0
    for seed, scan in enumerate(scans):
        scan.reset()
        rng = np.random.default_rng(2000 + seed)
        rows = topics(1500, rng)
        new = rng.random(1500) < 0.1
        rows[new] = topics(int(new.sum()), rng, low=24, high=32)
        for start in range(0, 1500, 16):
            evidence = scan.update(rows[start : start + 16])
            if evidence.alarm:
                delays.append(evidence.samples)
                covered += evidence.effect.low <= 0.1 * 1.5  # new topics differ in how far they lie from the median one
    assert len(delays) >= 0.9 * STREAMS
    assert np.mean(delays) < 600
    assert covered >= 0.8 * len(delays)
