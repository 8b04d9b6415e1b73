"""What evidence per stream promises, by simulation: no more of it than samples at the edge of what is tolerable, and soon beyond."""

import numpy as np
import pytest
from numpy.typing import NDArray

from detectors.fleet import EDetector
from detectors.model import ScanModel, Slice, fit_model
from detectors.stream import StreamScan

STREAMS, LENGTH, TOLERANCE = 12, 3200, 0.05


def topics(n: int, rng: np.random.Generator, *, new: float = 0.0) -> NDArray[np.float32]:
    centres = np.random.default_rng(5).standard_normal((32, 24))
    topic = np.where(rng.random(n) < new, rng.integers(24, 32, n), rng.integers(0, 24, n))
    rows = centres[topic] + 0.9 * rng.standard_normal((n, 24))
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


@pytest.fixture(scope="module")
def worlds() -> list[tuple[ScanModel, Slice]]:
    """Fits of 2,000 rows, each with a slice of 300 of them."""
    found = []
    for seed in range(4):
        rows = topics(2000, np.random.default_rng(seed))
        model = fit_model(rows, seed=seed)
        found.append((model, model.slice(model.summarizer.describe(rows[:300]), model.held_out[:300])))
    return found


def highest(model: ScanModel, tested: Slice, rows: NDArray[np.float32]) -> float:
    """The most evidence that a stream ever shows."""
    scan, detector, most = StreamScan(model, run_length=1e5, slice=tested), EDetector(model, tested, tolerance=TOLERANCE), 0.0
    described = model.summarizer.describe(rows)
    for at in range(0, len(rows), model.pane):
        pane = model.summarizer.summarize(described, slice(at, at + model.pane))
        detector.update(scan, pane)
        scan.update(pane)
        most = max(most, 10**detector.log10)
    return most


@pytest.mark.parametrize("share", [0.0, TOLERANCE / 2])
def test_evidence_rarely_exceeds_the_samples_taken_while_drift_is_tolerable(worlds: list[tuple[ScanModel, Slice]], share: float) -> None:
    """By Ville's inequality at most one stream in 20 ever shows 20 x its samples: of 24 streams, 5 or more with probability 0.006."""
    rng = np.random.default_rng(1)
    shown = [highest(*worlds[n % 4], topics(LENGTH, rng, new=share)) for n in range(2 * STREAMS)]
    assert sum(most > 20 * LENGTH for most in shown) < 5


def test_half_of_new_content_shows_within_some_hundred_samples(worlds: list[tuple[ScanModel, Slice]]) -> None:
    """Enough for the first of 1,000 streams to stand at a tenth per 100,000 samples, in at least 9 of 10 streams."""
    rng = np.random.default_rng(2)
    shown = [highest(*worlds[n % 4], topics(800, rng, new=0.5)) for n in range(STREAMS)]
    assert sum(most > 1e9 for most in shown) >= 0.9 * STREAMS
