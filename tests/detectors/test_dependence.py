"""What is made of rows that depend on their neighbours, and of references that are not what they should be."""

import numpy as np
import pytest
from numpy.typing import NDArray

from detectors import DriftScan
from detectors.calibration import NullWorld
from detectors.dependence import Dependence
from detectors.law import Law
from detectors.model import fit_model, rows_needed, supported_run_length
from detectors.spectrum import Moments
from detectors.steadiness import repeated, steadiness
from detectors.windows import SCALES, mean_lengths

WEIGHTS = np.ones((1, 6), np.float32)


def carried(n: int, share: float, seed: int, *, columns: int = 6) -> NDArray[np.float32]:
    """First-order autoregressive rows, each column of variance 1."""
    noise = np.random.default_rng(seed).standard_normal((n, columns)) * np.sqrt(1 - share**2)
    rows = noise.copy()
    for i in range(1, n):
        rows[i] += share * rows[i - 1]
    return np.asarray(rows, np.float32)


@pytest.mark.parametrize("share", [0.5, 0.8, 0.9])
def test_inflation_is_the_long_run_variance(share: float) -> None:
    found = [Dependence.measure(carried(4000, share, seed), WEIGHTS[:, :6]).whitened for seed in range(4)]
    assert np.mean(found) == pytest.approx((1 + share) / (1 - share), rel=0.25)


def test_independent_rows_have_blocks_of_one() -> None:
    assert [Dependence.measure(carried(2000, 0.0, seed, columns=8), WEIGHTS).block for seed in range(10)] == [1] * 10


def interleaved(n: int, users: NDArray[np.int64], seed: int, *, stay: int = 10) -> NDArray[np.float32]:
    """Rows of users who each keep to a topic for `stay` of their own rows in the mean; half of a row's variance is the topic."""
    rng = np.random.default_rng(seed)
    topic, rows = rng.standard_normal((users.max() + 1, 12)), rng.standard_normal((n, 12))
    for i, user in enumerate(users):
        if rng.random() < 1 / stay:
            topic[user] = rng.standard_normal(12)
        rows[i] += topic[user]
    return np.asarray(rows - rows.mean(0), np.float32)


@pytest.mark.parametrize("users", [3, 5, 8])
def test_users_who_take_turns_are_no_independent_rows(users: int) -> None:
    found = [Dependence.measure(interleaved(4000, np.arange(4000) % users, seed), np.ones((1, 12), np.float32)) for seed in range(3)]
    assert all(each.block > 1 for each in found)
    assert np.mean([each.whitened for each in found]) == pytest.approx(10, rel=0.4)


def test_dependence_too_weak_for_any_lag_is_found_in_batches() -> None:
    users = np.random.default_rng(1).integers(0, 30, 4000)
    found = [Dependence.measure(interleaved(4000, users, seed), np.ones((1, 12), np.float32)) for seed in range(3)]
    assert min(each.whitened for each in found) > 3


def test_few_independent_rows_are_hardly_ever_taken_for_dependent() -> None:
    rng, dependent = np.random.default_rng(2), 0
    for _ in range(200):
        rows = np.hstack([rng.standard_normal((100, 12)), rng.random((100, 5))]).astype(np.float32)
        dependent += Dependence.measure(rows - rows.mean(0), np.ones((1, 12), np.float32)).block > 1
    assert dependent <= 4


def test_a_constant_scalar_is_no_dependence() -> None:
    rows = np.hstack([carried(400, 0.0, 1), np.zeros((400, 1), np.float32)])
    assert Dependence.measure(rows, WEIGHTS).block == 1
    assert Dependence.measure(np.hstack([carried(400, 0.8, 1), rows[:, -1:]]), WEIGHTS).inflation < 30


def test_dependence_longer_than_can_be_measured_is_said_to_be() -> None:
    rows = np.repeat(np.random.default_rng(3).standard_normal((6, 6)), 200, axis=0) + 0.1 * carried(1200, 0.0, 4)
    assert not Dependence.measure(rows.astype(np.float32), WEIGHTS).measured


def world(rows: NDArray[np.float32], *, total: int, block: int) -> NullWorld:
    """The last column is a scalar."""
    return NullWorld.of(rows, weights=np.ones((1, rows.shape[1] - 1), np.float32), total=total, pane=8, block=block)


def test_the_law_of_a_scalar_is_against_the_rows_behind_its_own_mean() -> None:
    rows = carried(2000, 0.8, 7, columns=7)
    found, drawn = Dependence.measure(rows - rows.mean(0), WEIGHTS), world(rows, total=20_000, block=100)
    simulated = Law(np.full((SCALES, 2), 0.3), np.ones((SCALES, 2)), np.ones((SCALES, 2)))
    law = found.correct(simulated, drawn)
    np.testing.assert_array_equal(law.mean[:, 1], 0)
    long = float(mean_lengths()[9] * 8)
    assert law.deviation[9, 1] == pytest.approx(np.sqrt(found.expected(long, 2000)[1]))


def test_long_windows_of_a_skewed_scalar_are_still_a_little_skewed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("detectors.calibration._STREAMS", 20)
    rng = np.random.default_rng(8)
    rows = np.hstack([rng.standard_normal((4000, 4)), rng.exponential(size=(4000, 1)) ** 2]).astype(np.float32)
    drawn = world(rows - rows.mean(0), total=8000, block=1)
    law, _ = drawn.simulate(rng, Moments.of(np.eye(4), drawn.weights), lambda _: None)
    row = float((((rows[:, 4] - rows[:, 4].mean()) / rows[:, 4].std()) ** 3).mean())
    independent = row / np.sqrt(mean_lengths()[7:] * 8)  # windows from 1,024 samples on, but for the reference's own error
    assert 0.4 < law.skewness[7, 1] / independent[0] <= 1
    assert (np.diff(law.skewness[7:, 1]) < 0).all()


def test_a_reference_of_few_long_sessions_is_refused_with_the_rows_that_it_needs() -> None:
    rng = np.random.default_rng(5)
    rows = np.repeat(rng.standard_normal((8, 12)), 100, axis=0) + 0.5 * rng.standard_normal((800, 12))
    with pytest.raises(
        ValueError, match=r"needs (about|more than) \d+ rows like these: 800 were given; .* support \d+; .*accept_supported"
    ):
        DriftScan.fit(rows.astype(np.float32), run_length=2000, seed=0, order="time")


def test_rows_and_run_length_are_each_others_inverse() -> None:
    for rows, inflation in [(500, 1.0), (4000, 1.0), (8000, 12.5)]:
        assert rows_needed(supported_run_length(rows, inflation=inflation), inflation=inflation) == rows
    assert supported_run_length(4000) >= 5000


def steady(n: int, seed: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal((n, 8)).astype(np.float32)


def test_a_reference_that_drifts_is_told_where() -> None:
    rows = steady(1500, 1)
    rows[1000:] += 0.6
    model = fit_model(rows, seed=0)
    found = steadiness(model, rows, rng=np.random.default_rng(0), times=np.arange(1500, dtype=np.float64))
    assert found is not None
    edges = {edge for edge in found.rows if 50 < edge < 1450}
    assert all(abs(edge - 1000) < 80 for edge in edges)
    assert edges
    assert found.times == (found.rows[0], found.rows[1])
    assert "steady" in str(found)


def test_a_steady_reference_is_not_warned_about() -> None:
    model = fit_model(steady(1500, 2), seed=0)
    rng = np.random.default_rng(0)
    assert sum(steadiness(model, steady(1500, 10 + seed), rng=rng) is not None for seed in range(4)) == 0
    assert steadiness(model, steady(10, 3), rng=rng) is None


def test_repeated_rows_are_counted() -> None:
    rows = steady(100, 4)
    assert repeated(rows) == 0
    assert repeated(np.concatenate([rows, rows[:50]])) == pytest.approx(1 / 3)


def test_one_class_and_constant_columns_are_no_obstacle() -> None:
    rows = np.hstack([steady(700, 5), np.ones((700, 3), np.float32)])
    scan = DriftScan.fit(rows[:500], run_length=1000, seed=0)
    assert not scan.update(rows[500:]).alarm
    assert scan.update(rows[500:] + 1).alarm


def test_a_value_that_is_not_finite_is_named_by_its_row() -> None:
    rows = steady(500, 6)
    rows[321, 2] = np.inf
    with pytest.raises(ValueError, match="row 321"):
        fit_model(rows, seed=0)


def test_a_reference_may_be_a_memory_map_and_progress_is_told(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("rows") / "rows.npy"
    np.save(path, steady(500, 7))
    told: list[float] = []
    mapped = fit_model(np.load(path, mmap_mode="r"), seed=0, progress=told.append)
    assert mapped.calibration.rows == 500
    assert told == sorted(told)
    assert told[-1] == 1
