"""The scan as a library user meets it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from detectors import DriftScan
from detectors.base import Detector
from detectors.model import ScanModel, fit_model
from detectors.stream import StreamScan
from detectors.thresholds import ThresholdCurve


def draw(n: int, seed: int) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).standard_normal((8, 16)) * 1.5
    return (centres[rng.integers(0, 8, n)] + rng.standard_normal((n, 16))).astype(np.float32)


def test_an_alarm_is_raised_once_and_evidence_goes_on(scan: DriftScan) -> None:
    drifted = [scan.update(draw(64, seed=s) + 1) for s in range(6)]
    assert sum(evidence.alarm for evidence in drifted) == 1
    assert drifted[-1].above
    assert drifted[-1].effect.low > 0


def test_it_is_a_detector(scan: DriftScan) -> None:
    detector: Detector = scan  # the type checker holds it to the protocol
    assert detector.update(draw(16, seed=2)).samples == 16


def test_reset_forgets_the_stream(scan: DriftScan) -> None:
    scan.update(draw(256, seed=3) + 1)
    scan.reset()
    evidence = scan.update(draw(32, seed=4))
    assert evidence.samples == 32
    assert not evidence.above


@settings(max_examples=20)
@given(cuts=st.lists(st.integers(1, 400), max_size=8))
def test_how_rows_are_batched_changes_nothing(fitted: DriftScan, cuts: list[int]) -> None:
    rows = np.concatenate([draw(200, seed=5), draw(200, seed=6) + 0.4])
    fitted.reset()
    whole = fitted.update(rows)
    fitted.reset()
    alarms = [fitted.update(part).alarm for part in np.split(rows, sorted(cuts))]
    assert any(alarms) == whole.alarm
    last = fitted.update(np.empty((0, 16), np.float32))
    assert last.samples == whole.samples
    assert last.surprise == pytest.approx(whole.surprise, rel=1e-3)


def test_state_restores_the_same_evidence(scan: DriftScan) -> None:
    scan.update(draw(333, seed=7))
    again = DriftScan.from_state(scan.state())
    rows = draw(500, seed=8) + 0.2
    assert again.update(rows) == scan.update(rows)


def test_state_is_bounded_however_long_the_stream(scan: DriftScan) -> None:
    for seed in range(30):
        scan.update(draw(700, seed=seed))
    stream = {name: value for name, value in scan.state().items() if name.startswith("stream.")}
    assert sum(value.nbytes for value in stream.values()) <= 128 * 1024


def test_a_merge_of_two_workers_panes_equals_one_workers(fitted: DriftScan) -> None:
    model: ScanModel = fitted.model
    rows = draw(320, seed=9)
    described = model.summarizer.describe(rows)
    one, two = StreamScan(model, run_length=5000), StreamScan(model, run_length=5000)
    for start in range(0, 320, 32):
        one.update(model.summarizer.summarize(described, slice(start, start + 32)))
        halves = [model.summarizer.summarize(described, slice(start + at, start + at + 16)) for at in (16, 0)]
        two.update(halves[0].merge(halves[1]))
    assert two.evidence.surprise == pytest.approx(one.evidence.surprise, rel=1e-4)
    assert two.evidence.scale == one.evidence.scale


def test_a_reference_too_short_for_the_run_length_says_how_many_rows_it_needs() -> None:
    scan = DriftScan.fit(draw(400, seed=1), run_length=20_000, seed=0, accept_supported=True)
    assert scan.run_length == scan.supported_run_length == 2000
    with pytest.raises(ValueError, match="needs about 4000 rows"):
        scan.model.require(20_000)


@pytest.mark.parametrize(
    "rows",
    [
        np.zeros((10, 4), np.float32),
        np.zeros(500, np.float32),
        np.full((500, 4), np.nan, np.float32),
        np.ones((500, 4), np.float32),
    ],
    ids=["too few", "one dimension", "not finite", "all the same"],
)
def test_an_unusable_reference_is_refused(rows: NDArray[np.float32]) -> None:
    with pytest.raises(ValueError, match=r"reference"):
        DriftScan.fit(rows, run_length=1000, seed=0)


def nearly_constant(odd: int) -> NDArray[np.float32]:
    rows = np.tile(draw(1, seed=1), (500, 1))
    rows[np.linspace(0, 499, odd).astype(int)] = draw(odd, seed=2)
    return rows


@pytest.mark.parametrize("odd", [1, 2, 20])
def test_a_nearly_constant_reference_is_refused(odd: int) -> None:
    with pytest.raises(ValueError, match=r"part of the reference, 250 rows, has \d+ that differ from its commonest row; 20 are needed"):
        fit_model(nearly_constant(odd), seed=0)


def test_an_order_or_a_pane_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match=r"order is one of 'iid', 'time', found 'times'"):
        fit_model(draw(400, seed=1), seed=0, order="times")  # type: ignore[arg-type] # what an untyped caller may write
    with pytest.raises(ValueError, match=r"pane is .* at least 1, found 0"):
        fit_model(draw(400, seed=1), seed=0, pane=0)


def test_rows_that_do_not_calibrate_support_no_run_length(fitted: DriftScan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("detectors.learning._MOST_CALIBRATION", 300)
    assert fit_model(draw(1000, seed=1), seed=0).calibration.supported == 5 * 600
    with pytest.raises(ValueError, match=r"more than any reference supports: 60000 rows count at most, .* support 300000"):
        fitted.model.require(1e6)


def test_longer_run_lengths_have_higher_thresholds(fitted: DriftScan) -> None:
    curve = fitted.model.calibration.curve
    thresholds = [curve.threshold(length) for length in (500, 5e3, 2e4, 1e6, 1e8, 1e10)]
    assert thresholds == sorted(thresholds)


@given(logs=st.lists(st.floats(3, 10), min_size=2, max_size=20))
def test_thresholds_rise_with_the_run_length_and_give_it_back(fitted: DriftScan, logs: list[float]) -> None:
    for curve in (fitted.model.calibration.curve, fitted.model.calibration.slice_curve):
        lengths = [10**log for log in sorted(logs)]
        thresholds = [curve.threshold(length) for length in lengths]
        assert thresholds == sorted(thresholds)
        assert [curve.run_length(threshold) for threshold in thresholds] == pytest.approx(lengths, rel=1e-6)


@pytest.mark.parametrize("run_length", [np.nan, 0.0, -5.0, np.inf])
def test_a_run_length_that_is_none_is_refused(fitted: DriftScan, run_length: float) -> None:
    for refused in (fitted.model.calibration.curve.threshold, fitted.model.require):
        with pytest.raises(ValueError, match=r"run_length is .* at least 1 and finite, found"):
            refused(run_length)
    with pytest.raises(ValueError, match="run_length"):
        DriftScan.fit(draw(400, seed=1), run_length=run_length, seed=0)


def test_too_few_simulated_alarms_are_no_curve() -> None:
    with pytest.raises(ValueError, match="no threshold can be told"):
        ThresholdCurve.simulate(np.zeros((80, 100)), 8)


def test_expected_delay_falls_with_the_share_of_new_content(fitted: DriftScan) -> None:
    delays = [fitted.model.expected_delay(share, 5000) for share in (0.02, 0.05, 0.1, 0.2, 0.5)]
    assert delays == sorted(delays, reverse=True)


def test_a_segment_is_tested_against_its_own_slice(fitted: DriftScan) -> None:
    model = fitted.model
    centres = np.random.default_rng(99).standard_normal((8, 16)) * 1.5
    rng = np.random.default_rng(11)
    own = (centres[0] + rng.standard_normal((900, 16))).astype(np.float32)
    described = model.summarizer.describe(own)
    slice_ = model.slice(described.take(np.arange(400)), np.ones(400, np.bool_))
    scans = StreamScan(model, run_length=1e5), StreamScan(model, run_length=1e5, slice=slice_)
    for start in range(400, 880, 16):
        for scan in scans:
            scan.update(model.summarizer.summarize(described, slice(start, start + 16)))
    against_whole, against_own = scans
    assert against_whole.evidence.above
    assert not against_own.evidence.above


def test_a_slice_with_rows_that_prototypes_were_fitted_on_raises_no_alarm_over_the_same_traffic() -> None:
    """In many dimensions the fit part's own rows look far more familiar than any others do."""
    rows = np.random.default_rng(12).standard_normal((3200, 128)).astype(np.float32)
    model = fit_model(rows[:1200], seed=3)
    slice_ = model.slice(model.summarizer.describe(rows[:600]), model.held_out[:600])
    scan, traffic = StreamScan(model, run_length=1e6, slice=slice_), model.summarizer.describe(rows[1200:])
    assert not any(scan.update(model.summarizer.summarize(traffic, slice(at, at + 16))).above for at in range(0, 2000, 16))


@pytest.mark.parametrize("bad", [np.full((4, 16), np.nan, np.float32), np.zeros((4, 15), np.float32), np.zeros(16, np.float32)])
def test_unusable_rows_are_refused_and_nothing_is_taken(scan: DriftScan, bad: NDArray[np.float32]) -> None:
    scan.update(draw(100, seed=12))
    with pytest.raises(ValueError, match="rows"):
        scan.update(bad)
    assert scan.update(draw(220, seed=13) + 1).alarm


def test_a_reference_of_a_few_templates_still_sees_new_ones() -> None:
    rng = np.random.default_rng(3)
    templates = rng.standard_normal((9, 16)).astype(np.float32)
    scan = DriftScan.fit(templates[rng.integers(0, 8, 400)], run_length=1000, seed=0)
    assert not scan.update(templates[rng.integers(0, 8, 160)]).alarm
    assert scan.update(templates[rng.choice([0, 8], 160)]).alarm
