"""The scan of one stream: thresholds that change under way, and what it shows of itself."""

import numpy as np
import pytest
from numpy.typing import NDArray

from detectors import DriftScan, Summary
from detectors.model import ScanModel
from detectors.stream import StreamScan

SHORT, LONG = 500.0, 1e6


def draw(n: int, seed: int) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).standard_normal((8, 16)) * 1.5
    return (centres[rng.integers(0, 8, n)] + rng.standard_normal((n, 16))).astype(np.float32)


def panes(model: ScanModel, rows: NDArray[np.float32], size: int = 16) -> list[Summary]:
    described = model.summarizer.describe(rows)
    return [model.summarizer.summarize(described, slice(at, at + size)) for at in range(0, len(rows), size)]


@pytest.fixture
def stream(fitted: DriftScan) -> StreamScan:
    return StreamScan(fitted.model, run_length=LONG)


def levels(scan: StreamScan) -> NDArray[np.float64]:
    """The threshold of each window that exists."""
    return scan.state()["levels"][0, : len(scan.surprises)].astype(np.float64)


def test_a_lowered_threshold_holds_for_windows_that_begin_after_it(stream: StreamScan) -> None:
    curve = stream.model.calibration.curve
    high, low = curve.threshold(LONG), curve.threshold(SHORT)
    for pane in panes(stream.model, draw(16 * 37, seed=1)):
        stream.update(pane)
    stream.retune(SHORT)
    for seen in range(1, 65):
        stream.update(panes(stream.model, draw(16, seed=seen))[0])
        began = [2**k * ((37 + seen) // 2**k - 1) for k in range(len(stream.surprises))]
        assert levels(stream).tolist() == [low if start >= 37 else high for start in began]


def test_a_raised_threshold_holds_at_once(stream: StreamScan) -> None:
    stream.retune(SHORT)
    for pane in panes(stream.model, draw(320, seed=2)):
        stream.update(pane)
    stream.retune(LONG)
    assert set(levels(stream)) == {stream.model.calibration.curve.threshold(LONG)}
    stream.retune(SHORT)
    stream.reset()
    assert stream.evidence.threshold == stream.model.calibration.curve.threshold(SHORT)


def test_samples_that_wait_for_a_pane_keep_its_windows_on_the_old_threshold(stream: StreamScan) -> None:
    first, second = panes(stream.model, draw(24, seed=3), size=12)
    stream.update(first)
    stream.retune(SHORT)
    stream.update(second)
    assert levels(stream).tolist() == [stream.model.calibration.curve.threshold(LONG)]


def test_a_restored_scan_keeps_its_thresholds(stream: StreamScan) -> None:
    for pane in panes(stream.model, draw(320, seed=4)):
        stream.update(pane)
    stream.retune(SHORT)
    again = StreamScan(stream.model, run_length=LONG)
    again.restore(stream.state())
    for pane in panes(stream.model, draw(320, seed=5)):
        assert again.update(pane) == stream.update(pane)
    assert again.threshold == stream.threshold
    assert levels(again).tolist() == levels(stream).tolist()


def test_surprises_show_every_window_and_channel(stream: StreamScan) -> None:
    assert stream.surprises.shape == (0, len(stream.model.channels))
    for pane in panes(stream.model, draw(16 * 20, seed=6)):
        stream.update(pane)
    assert stream.surprises.shape == (5, len(stream.model.channels))
    assert stream.surprises.max() == stream.evidence.surprise


def test_state_fits_its_bound_with_a_partial_pane(stream: StreamScan) -> None:
    for pane in panes(stream.model, draw(16 * 9 + 5, seed=7)):
        stream.update(pane)
    assert "partial" in stream.state()
    assert sum(value.nbytes for value in stream.state().values()) <= 128 * 1024
