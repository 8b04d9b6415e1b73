"""What is expected of traffic by the hour."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from detectors import DriftScan
from detectors.timeofday import DAY, Clock, Products, Profile, choose

MONDAY = 4 * DAY
"""5 January 1970."""


def cycle(times: NDArray[np.float64], seed: int, *, shift: float = 0.0) -> NDArray[np.float32]:
    """Eight topics, each with an hour at which it is commonest."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).standard_normal((8, 16)) * 1.5
    odds = np.exp(1.5 * np.cos(2 * np.pi * (times[:, None] / DAY - np.arange(8) / 8))).cumsum(1)
    topic = (rng.random(len(times))[:, None] * odds[:, -1:] > odds).sum(1)
    return np.asarray(centres[topic] + rng.standard_normal((len(times), 16)) + shift, np.float32)


@pytest.fixture(scope="module")
def clocked() -> DriftScan:
    times = MONDAY + np.arange(2000, dtype=np.float64) * 160
    return DriftScan.fit(cycle(times, 1), run_length=5000, seed=2, times=times)


@pytest.fixture
def scan(clocked: DriftScan) -> DriftScan:
    clocked.reset()
    return clocked


@pytest.mark.parametrize(
    ("days", "clock"), [(2, Clock()), (4, Clock(3)), (10, Clock(3)), (15, Clock(3, weekend=True))], ids=["2", "4", "10", "15"]
)
def test_what_the_times_cover_is_learned(days: int, clock: Clock) -> None:
    assert Clock.covering(MONDAY + np.arange(0, days * DAY, 1800, dtype=np.float64)) == clock


def test_times_of_a_few_hours_a_day_teach_no_cycle() -> None:
    assert Clock.covering((np.arange(10, dtype=np.float64)[:, None] * DAY + np.arange(0, 6 * 3600, 600)).ravel()) == Clock()


def test_a_simpler_basis_is_columns_of_the_richer_one() -> None:
    times = MONDAY + np.linspace(0, 14 * DAY, 100)
    rich = Clock(3, weekend=True)
    for simple in rich.simpler():
        np.testing.assert_allclose(rich.basis(times)[:, simple.within(rich)], simple.basis(times))
        assert simple.basis(times).shape[1] == simple.size <= rich.size


@given(first=st.floats(0, 1e10), length=st.floats(0, 1e7))
def test_the_basis_of_a_span_starts_with_one_and_is_bounded(first: float, length: float) -> None:
    basis = Clock(3, weekend=True).between(first, first + length)
    assert basis is not None
    assert basis[0] == 1
    assert (np.abs(basis) <= 1 + 1e-9).all()


@pytest.mark.parametrize("span", [(2.0, 1.0), (np.nan, 1.0), (0.0, np.inf)])
def test_a_span_that_is_none_has_no_basis(span: tuple[float, float]) -> None:
    assert Clock(1).between(*span) is None
    assert Clock().between(*span) is not None


def test_a_constant_is_as_uncertain_as_its_rows_are_few() -> None:
    rows = np.random.default_rng(0).standard_normal((50, 3)).astype(np.float32)
    part = Products.of(np.ones((50, 1)), rows)
    profile = Profile.learn(Clock(), part, part)
    np.testing.assert_allclose(profile.unknown(np.ones((4, 1))), 1 / 50)
    np.testing.assert_allclose(profile.coefficients[0, :3], rows.mean(0), rtol=1e-5)


def test_hours_never_seen_are_known_to_be_unknown() -> None:
    clock = Clock(1)
    morning = clock.basis(np.linspace(6, 9, 200) * 3600)
    part = Products.of(morning, np.zeros((200, 1), np.float32))
    profile = Profile.learn(clock, part, part)
    seen, unseen = clock.basis(np.array([7.5 * 3600, 20 * 3600]))
    assert profile.unknown(unseen)[0] > 20 * profile.unknown(seen)[0]


def test_no_cycle_is_learned_from_noise() -> None:
    rng = np.random.default_rng(1)
    times = np.arange(0, 5 * DAY, 200, dtype=np.float64)
    for _ in range(40):
        products = Products.of(Clock(3).basis(times), rng.standard_normal((len(times), 60)).astype(np.float32))
        assert choose(Clock(3), products, trace=60.0, square=60.0) == Clock()


def test_a_daily_cycle_raises_no_alarm_and_drift_on_it_does(scan: DriftScan) -> None:
    assert scan.model.profile.clock.harmonics >= 1
    times = MONDAY + 5 * DAY + np.arange(3000, dtype=np.float64) * 160
    alarms = 0
    for start in range(0, 3000, 100):
        alarms += scan.update(cycle(times[start : start + 100], 10 + start), times[start : start + 100]).alarm
    assert alarms <= 2
    assert scan.update(cycle(times[:320], 7, shift=0.5), times[:320]).above


def test_rows_without_their_time_are_refused_where_it_matters(scan: DriftScan) -> None:
    with pytest.raises(ValueError, match="times"):
        scan.update(cycle(np.zeros(16), 3))
    with pytest.raises(ValueError, match="16 rows"):
        scan.update(cycle(np.zeros(16), 3), np.zeros(15))


def test_a_jumping_clock_neither_crashes_nor_alarms(scan: DriftScan) -> None:
    rows = cycle(np.zeros(320), 4, shift=1.0)
    for times in (np.full(320, np.nan), np.arange(320, dtype=np.float64)[::-1], np.full(320, np.inf)):
        evidence = scan.update(rows, times)
        assert not evidence.alarm
    assert evidence.samples == 960


def test_state_keeps_times_of_rows_that_fill_no_pane(scan: DriftScan) -> None:
    times = MONDAY + np.arange(500, dtype=np.float64) * 160
    rows = cycle(times, 5)
    scan.update(rows[:233], times[:233])
    again = DriftScan.from_state(scan.state())
    assert again.update(rows[233:], times[233:]) == scan.update(rows[233:], times[233:])
    assert sum(value.nbytes for name, value in scan.state().items() if name.startswith("stream.")) <= 128 * 1024


def test_times_that_fall_are_no_order_of_time() -> None:
    times = np.arange(300, dtype=np.float64)
    times[[41, 42]] = times[[42, 41]]
    with pytest.raises(ValueError, match=r'order="time" .* row 42 is earlier'):
        DriftScan.fit(cycle(times, 6), run_length=500, seed=0, times=times, order="time")


@pytest.mark.parametrize("times", [np.zeros(10), np.full(300, np.nan)], ids=["too few", "not finite"])
def test_times_that_are_none_are_refused(times: NDArray[np.float64]) -> None:
    with pytest.raises(ValueError, match="times"):
        DriftScan.fit(cycle(np.zeros(300), 6), run_length=500, seed=0, times=times)
