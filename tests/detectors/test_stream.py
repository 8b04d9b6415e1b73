"""The scan of one stream: thresholds that change under way, and what it shows of itself."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from detectors import DriftScan, Summary
from detectors.model import ScanModel, fit_model
from detectors.stream import StreamScan
from detectors.summarizer import Extras
from detectors.windows import SCALES, STATE_BYTES

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
    first, second = panes(stream.model, draw(10, seed=3), size=5)
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
        assert again.evidence.effect == stream.evidence.effect
    assert again.threshold == stream.threshold
    assert levels(again).tolist() == levels(stream).tolist()


@pytest.mark.parametrize("size", [64, 256])
def test_a_window_is_weighed_by_its_samples_however_few_summaries_bring_them(stream: StreamScan, size: int) -> None:
    rows, merged = draw(256, seed=11), StreamScan(stream.model, run_length=LONG)
    for pane in panes(stream.model, rows, size=stream.model.pane):
        stream.update(pane)
    for pane in panes(stream.model, rows, size=size):
        merged.update(pane)
    shortest = int(np.log2(size // stream.model.pane))
    assert merged.surprises == pytest.approx(stream.surprises[shortest:], rel=1e-3, abs=1e-4)


def test_surprises_show_every_window_and_channel(stream: StreamScan) -> None:
    assert stream.surprises.shape == (0, len(stream.model.channels))
    for pane in panes(stream.model, draw(16 * 20, seed=6)):
        stream.update(pane)
    assert stream.surprises.shape == (5, len(stream.model.channels))
    assert stream.surprises.max() == stream.evidence.surprise


def test_a_summary_that_is_not_finite_is_refused_and_not_taken(stream: StreamScan) -> None:
    first, second = panes(stream.model, draw(32, seed=12))
    stream.update(first)
    before = stream.surprises.tolist()
    with pytest.raises(ValueError, match="sums are finite"):
        stream.update(replace(second, sums=second.sums * np.nan))
    assert (stream.samples, stream.surprises.tolist()) == (first.count, before)
    assert np.isfinite(stream.update(second).surprise)


@pytest.mark.parametrize("measures", [0, 40])
def test_state_fits_its_bound_however_many_channels_there_are(measures: int) -> None:
    rng, rows = np.random.default_rng(7), draw(600, seed=7)
    quality = {f"measure {n}": rng.random(600).astype(np.float32) for n in range(measures)}
    scan = StreamScan(fit_model(rows, seed=1, extras=Extras(quality=quality)), run_length=LONG)
    for pane in panes(scan.model, draw(43, seed=8), size=43):
        scan.update(pane)
    state = scan.state()
    full = scan.longest_window // scan.model.pane
    held = (2, full.bit_length())
    whole = {name: np.ones((*held, state[name].shape[2])) for name in ("sums", "exact")}
    scan.restore(state | whole | {"panes": np.array(full), "starts": np.zeros(held)})
    scan.update(panes(scan.model, draw(5, seed=9), size=5)[0])
    assert "partial" in scan.state()
    assert sum(value.nbytes for value in scan.state().values()) <= STATE_BYTES
    assert (full == 2 ** (SCALES - 1)) is (measures == 0)


def test_the_effect_is_measured_where_the_least_that_is_sure_is_most(fitted: DriftScan) -> None:
    """A changed mix moves the mean where the reference varies most, which whitening makes light of."""
    centres = np.random.default_rng(99).standard_normal((8, 16)) * 1.5
    rng = np.random.default_rng(10)
    rows = (centres[np.where(rng.random(800) < 0.6, 0, rng.integers(0, 8, 800))] + rng.standard_normal((800, 16))).astype(np.float32)
    scan = StreamScan(fitted.model, run_length=SHORT)
    for pane in panes(scan.model, rows):
        scan.update(pane)
    apart = {}
    for number, channel in enumerate(scan.model.channels):
        alone = scan.among(np.arange(len(scan.model.channels)) == number)
        assert alone.effect_channel == channel
        apart[channel] = alone
    assert scan.evidence.effect_channel == "mmd"
    assert scan.evidence.effect.low > 0.1
    assert scan.evidence.effect.low == max(e.effect.low for e in apart.values() if e.scale == scan.evidence.scale)
