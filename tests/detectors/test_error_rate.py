"""A test of the error rate: what it takes, what raises it and what does not, and a state that is taken up."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import special

from detectors.error_rate import ErrorRateTest

BLOCKS = st.lists(st.tuples(st.integers(0, 40), st.floats(0, 1)), min_size=1, max_size=30)


def arrivals(n: int, seed: int, rate: float) -> NDArray[np.bool_]:
    return np.random.default_rng(seed).random(n) < rate


def fed(test: ErrorRateTest, wrong: NDArray[np.bool_], *, block: int = 1) -> int | None:
    """All of them; labels until the alarm."""
    ends = range(block, len(wrong) + 1, block)
    alarms = [end for end in ends if test.update(block, int(wrong[end - block : end].sum()), time=float(end)).alarm]
    assert len(alarms) <= 1
    return alarms[0] if alarms else None


@pytest.fixture
def test() -> ErrorRateTest:
    return ErrorRateTest(50, 1000, run_length=10_000)


def test_more_errors_raise_one_alarm_and_an_ordinary_stream_none(test: ErrorRateTest) -> None:
    assert fed(test, arrivals(1000, 1, 0.05)) is None
    after = fed(test, arrivals(500, 2, 0.2))
    assert after is not None
    assert after < 100
    assert fed(test, arrivals(500, 3, 0.2)) is None
    assert test.evidence.above
    assert test.evidence.channel == "errors"


def test_fewer_errors_are_no_alarm(test: ErrorRateTest) -> None:
    assert fed(test, arrivals(1000, 1, 0.2), block=50) is not None
    test.reset(accept=True)
    assert fed(test, arrivals(3000, 2, 0.05)) is None


def test_the_effect_is_the_windows_increase(test: ErrorRateTest) -> None:
    fed(test, arrivals(1024, 1, 0.05), block=16)
    fed(test, arrivals(1024, 2, 0.15), block=16)
    effect, window = test.evidence.effect, test.window
    assert effect.low < 0.1 < effect.high
    assert effect.low > 0
    assert window.labels == test.evidence.scale
    assert effect.estimate == pytest.approx(window.errors / window.labels - 0.05, abs=0.01)
    assert window.start == 1024


def test_what_an_alarm_stands_on_does_not_become_usual(test: ErrorRateTest) -> None:
    fed(test, arrivals(4000, 1, 0.3), block=8)
    assert test.rate.high < 0.08
    assert test.evidence.above


def test_evidence_goes_once_errors_are_rare_again(test: ErrorRateTest) -> None:
    fed(test, arrivals(4000, 1, 0.3), block=8)
    assert test.resolved_effect() > 0.2
    fed(test, arrivals(1000, 2, 0.05), block=8)
    assert not test.evidence.above
    assert test.resolved_effect() < 0.1


def test_accepted_errors_are_usual(test: ErrorRateTest) -> None:
    fed(test, arrivals(500, 1, 0.15), block=10)
    test.reset(accept=True)
    usual = test.rate.estimate
    test.reset()
    assert test.rate.estimate == usual > 0.05
    assert test.evidence.samples == 0


def test_a_lower_run_length_raises_no_alarm_by_itself(test: ErrorRateTest) -> None:
    fed(test, arrivals(300, 1, 0.09), block=10)
    surprise = test.evidence.surprise
    test.retune(100)
    assert not test.evidence.above
    assert test.evidence.surprise == pytest.approx(test.evidence.threshold)
    assert test.evidence.surprise < surprise
    assert not test.update(10, 0).alarm
    assert test.update(10, 5).alarm


def test_run_lengths_that_go_up_and_down_drain_no_evidence(test: ErrorRateTest) -> None:
    wrong = arrivals(400, 4, 0.12)
    steady = ErrorRateTest(50, 1000, run_length=10_000)
    expected = fed(steady, wrong)
    assert expected is not None
    for seen, label in enumerate(wrong[:expected].tolist(), 1):
        test.retune(40_000)
        test.retune(10_000)
        alarm = test.update(1, int(label)).alarm
        assert alarm == (seen == expected)


def test_evidence_is_shiryaev_and_roberts_sum_against_the_predictive() -> None:
    """As its definition says, over all moments of change."""
    test = ErrorRateTest(70, 1000, run_length=1e9)  # so much is known that no rate is reached, and all bet on
    blocks = [(3, 1), (1, 0), (5, 1), (2, 1), (4, 0)]
    expected = np.zeros(len(test._rates))
    for first in range(len(blocks)):
        k, n = 70 + sum(e for _, e in blocks[:first]), 1000 + sum(m for m, _ in blocks[:first])
        growth = np.full(len(expected), float(blocks[first][0]))
        for m, e in blocks[first:]:
            chance = np.exp(special.betaln(k + 0.5 + e, n - k + 0.5 + m - e) - special.betaln(k + 0.5, n - k + 0.5))
            growth *= test._rates**e * (1 - test._rates) ** (m - e) / chance
            k, n = k + e, n + m
        expected += growth
    for m, e in blocks:
        found = test.update(m, e)
    assert 10**found.surprise == pytest.approx(expected.mean())


@given(BLOCKS, st.integers(1, 29))
def test_a_restored_test_goes_on_as_if_nothing_had_been(blocks: list[tuple[int, float]], cut: int) -> None:
    whole = ErrorRateTest(5, 60, run_length=500)
    parts = whole
    for at, (labels, rate) in enumerate(blocks):
        if at == min(cut, len(blocks) - 1):
            parts = ErrorRateTest.from_state(whole.state())
            assert parts.evidence.effect == whole.evidence.effect
        whole.update(labels, round(labels * rate), time=at)
        if parts is not whole:
            assert parts.update(labels, round(labels * rate), time=at) == whole.evidence
    assert parts.window == whole.window


@given(BLOCKS)
def test_whatever_comes_the_evidence_is_a_number_and_the_state_small(blocks: list[tuple[int, float]]) -> None:
    test = ErrorRateTest(0, 20, run_length=1e7)
    alarms = 0
    for labels, rate in blocks:
        found = test.update(labels * 1000, round(labels * rate) * 1000)
        alarms += found.alarm
        assert found.surprise <= found.threshold + 3 + 1e-9
        assert found.effect.low <= found.effect.estimate <= found.effect.high or not found.samples
    assert alarms <= 1
    assert sum(value.nbytes for value in test.state().values()) < 2048


@pytest.mark.parametrize(("errors", "labels"), [(1, 19), (-1, 100), (101, 100)])
def test_counts_that_are_none_are_refused(errors: int, labels: int) -> None:
    with pytest.raises(ValueError, match=f"at least 20 labels.* found {errors} of {labels}"):
        ErrorRateTest(errors, labels, run_length=1000)


@pytest.mark.parametrize("errors", [-1, 6])
def test_a_block_has_no_more_errors_than_labels(errors: int, test: ErrorRateTest) -> None:
    with pytest.raises(ValueError, match=f"0 to the 5 labels of the block, found {errors}"):
        test.update(5, errors)
    assert test.evidence.samples == 0


def test_before_the_first_label_nothing_is_known(test: ErrorRateTest) -> None:
    assert test.window.labels == 0
    assert test.resolved_effect() == np.inf
    assert not test.update(0, 0).above
