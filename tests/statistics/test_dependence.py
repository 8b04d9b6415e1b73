"""What the scan promises on traffic that is not independent, by simulation at reduced size; benchmarks/null_traffic.py is the whole."""

import numpy as np
from numpy.typing import NDArray

from detectors.model import fit_model
from detectors.stream import StreamScan

STREAMS, ROWS, LENGTH, ASKED = 5, 2000, 8000, 800.0
"""50 false alarms are expected; those of one stream share a reference, which about doubles a Poisson error."""


def mixed(topic: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.float32]:
    centres = np.random.default_rng(5).standard_normal((12, 24))
    return np.asarray(centres[topic] + 0.9 * rng.standard_normal((len(topic), 24)), np.float32)


def sessions(n: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Sessions of ten rows in the mean, each of three neighbouring topics."""
    session = np.cumsum(rng.random(n) < 0.1)
    first = rng.integers(0, 12, session[-1] + 1)
    return mixed((first[session] + rng.integers(0, 3, n)) % 12, rng)


def alarms(scan: StreamScan, rows: NDArray[np.float32], times: NDArray[np.float64]) -> int:
    described, count = scan.model.summarizer.describe(rows), 0
    for start in range(0, len(rows) - 15, 16):
        summary = scan.model.summarizer.summarize(described, slice(start, start + 16))
        if scan.update(summary, span=(times[start], times[start + 15])).alarm:
            count += 1
            scan.reset()
    return count


def test_sessions_alarm_about_as_rarely_as_asked() -> None:
    count = 0
    for seed in range(STREAMS):
        rng = np.random.default_rng(seed)
        model = fit_model(sessions(ROWS, rng), seed=seed, order="time")
        assert model.calibration.supported >= ASKED
        count += alarms(StreamScan(model, run_length=ASKED), sessions(LENGTH, rng), np.zeros(LENGTH))
    assert 0.4 < STREAMS * LENGTH / max(count, 1) / ASKED < 2.5
