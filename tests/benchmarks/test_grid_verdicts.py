"""What the grid concludes from paths, on paths whose answer is known."""

from __future__ import annotations

from pathlib import Path as FilePath

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from benchmarks.grid import verdicts
from benchmarks.grid.methods import Averages, DyadicMmd, Path, Shipped, newma_weights
from benchmarks.grid.paths import Cost, Kept, code_version
from benchmarks.grid.scenarios import WARM_UP
from benchmarks.grid.verdicts import CAP, Measured, Streams, compare, delays, first_crossings, geometric_mean, holm
from benchmarks.trials import run_length

COST = Cost(1e-6, 0.1, 1000)


def path(*steps: tuple[int, float]) -> Path:
    rows, values = zip(*steps, strict=True)
    return Path(np.array(rows), np.array(values))


def walk(rng: np.random.Generator, rows: int, *, drift: float = 0.0) -> Path:
    """A moving average of noise, which moves up after the warm-up."""
    noise = rng.standard_normal(rows) + drift * (np.arange(rows) >= WARM_UP)
    average = np.convolve(noise, np.ones(50) / 50)[:rows]
    return Path(np.arange(1, rows + 1), average)


def trials(seed: int, count: int, drift: float) -> dict[int, Kept]:
    rng = np.random.default_rng(seed)
    return {n: Kept({"null": walk(rng, 5000).records(), "cell": walk(rng, 3000, drift=drift)}, COST) for n in range(count)}


def test_a_crossing_is_the_first_step_above_the_threshold() -> None:
    steps = path((10, 1.0), (20, 3.0), (30, 2.0), (40, 5.0))
    assert first_crossings(steps, np.array([0.5, 1.0, 2.5, 3.0, 5.0])).tolist() == [10, 20, 20, 40, np.inf]
    assert first_crossings(steps, np.array([1.5]), after=20).tolist() == [30]


@given(st.lists(st.floats(0, 9), min_size=1, max_size=40), st.integers(0, 40), st.floats(0, 9))
def test_records_keep_every_first_crossing_and_the_length(values: list[float], restart: int, threshold: float) -> None:
    whole = Path(np.arange(1, len(values) + 1), np.array(values))
    kept, asked = whole.records(restart), np.array([threshold])
    assert first_crossings(kept, asked) == first_crossings(whole, asked)
    if restart < len(values):
        assert first_crossings(kept, asked, after=restart) == first_crossings(whole, asked, after=restart)
    assert kept.rows_seen[-1] == len(values)


def test_a_miss_counts_as_the_cap_and_a_crossing_before_the_change_as_none() -> None:
    steps = path((100, 1.0), (WARM_UP, 0.5), (WARM_UP + 64, 2.0), (WARM_UP + 700, 3.0))
    assert np.array_equal(delays(steps, np.array([0.9, 1.5, 3.0])), [np.nan, 64, CAP], equal_nan=True)


def test_the_threshold_has_the_run_length_that_is_asked_for() -> None:
    streams = trials(0, 60, drift=1.0)
    measured = Measured(streams)
    threshold = measured.thresholds[measured.threshold(np.ones((1, 60)))[0]]
    first = np.concatenate([first_crossings(kept.paths["null"], np.array([threshold])) for kept in streams.values()])
    crossed = np.isfinite(first)
    assert measured.crossings == crossed.sum()
    assert np.minimum(first, 5000).sum() / crossed.sum() == pytest.approx(verdicts.RUN_LENGTH, rel=0.1)


def test_a_method_that_is_twice_as_fast_is_found_so() -> None:
    streams = Streams({"ours": trials(1, 60, drift=1.0), "rival": trials(2, 60, drift=0.5)}, 0)
    ratio = geometric_mean([streams.log_ratios("ours", "rival", "cell")])
    assert ratio.low < ratio.value < ratio.high < 0.75
    worse, better = (compare(streams, ("set", "cell"), *pair, bound=1.25) for pair in (("rival", ["ours"]), ("ours", ["rival"])))
    assert worse is not None
    assert better is not None
    assert worse.p_value < 0.01
    assert better.p_value > 0.9


def test_a_method_against_its_twin_stays_within_the_bound_in_most_of_twenty_comparisons() -> None:
    """P(p < 0.025) is far below 0.025 when the ratio is 1 and the bound 1.25: more than two of twenty have odds below 2 %."""
    found = []
    for seed in range(20):
        streams = Streams({"ours": trials(2 * seed, 12, drift=0.6), "rival": trials(2 * seed + 1, 12, drift=0.6)}, seed)
        comparison = compare(streams, ("set", "cell"), "ours", ["rival"], bound=1.25)
        assert comparison is not None
        found.append(comparison.p_value)
    assert sum(p < 0.025 for p in found) <= 2


def test_a_cell_whose_other_half_all_crossed_before_the_change_is_not_compared() -> None:
    crossed = Kept({"null": path((100, 0.0), (5000, 0.0)), "cell": path((100, 9.0), (3000, 0.0))}, COST)
    ours = {**trials(4, 4, drift=1.0), 1: crossed, 3: crossed}
    assert compare(Streams({"ours": ours, "rival": trials(5, 4, drift=1.0)}, 0), ("set", "cell"), "ours", ["rival"], bound=1.25) is None


def test_holm_steps_down() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []


def test_a_run_length_without_alarms_counts_half_a_one() -> None:
    found = run_length([1000] * 10, [0] * 10, [5000.0] * 10)
    assert found.value == pytest.approx(4.0)
    found = run_length([1000] * 10, [1] * 10, 500.0)
    assert (found.value, found.low, found.high) == pytest.approx((2.0, 2.0, 2.0))


def test_what_is_kept_comes_back(tmp_path: FilePath) -> None:
    kept = Kept({"null": path((1, 2.0), (2, 1.0), (3, 1.5)), "topic 5%": path((600, 1.0))}, COST, Shipped(1000, 2, 500.0))
    kept.save(tmp_path / "0.npz", "1")
    found = Kept.load(tmp_path / "0.npz")
    assert (found.cost, found.shipped) == (kept.cost, kept.shipped)
    assert found.paths["null"].rows_seen.tolist() == [1, 3]
    assert list(found.paths) == ["null", "topic 5%"]


@pytest.mark.parametrize("window", [50, 250])
def test_both_weights_of_newma_have_the_same_memory_of_the_change(window: int) -> None:
    fast, slow = newma_weights(window)
    assert slow < 1 / (window + 1) < fast
    assert fast * (1 - fast) ** window == pytest.approx(slow * (1 - slow) ** window)


def test_a_moving_average_is_what_a_loop_makes_of_it() -> None:
    rows = np.random.default_rng(0).standard_normal((30, 4)).astype(np.float32)
    mean = np.full(4, 0.5, np.float32)
    state, squared = mean.astype(np.float64), []
    for row in rows:
        state = state + 0.1 * (row - state)
        squared.append(((state - mean) ** 2).sum())
    assert Averages(lambda x: x, mean, (0.1,)).paths(rows)[""].statistic == pytest.approx(squared, rel=1e-4)


def test_the_dyadic_statistic_is_the_largest_over_windows() -> None:
    rng = np.random.default_rng(0)
    reference, rows = (rng.standard_normal((n, 3)).astype(np.float32) for n in (50, 11))
    fitted = DyadicMmd.fit(reference, 1, "iid")
    features: NDArray[np.float32] = fitted._features(np.concatenate([reference, rows]))
    largest = 0.0
    for size in (1, 2, 4, 8):
        apart = features[-size:].mean(0) - features[:-size].mean(0)
        largest = max(largest, float((apart**2).sum()) * size * (61 - size) / 61)
    assert fitted.paths(rows)[""].statistic[-1] == pytest.approx(largest, rel=1e-3)


def test_a_version_follows_the_code_and_all_that_it_imports(tmp_path: FilePath, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    package = tmp_path / "told_apart"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "scan.py").write_text("import json\nfrom told_apart.law import x\n")
    (package / "law.py").write_text("x = 1\n")
    (package / "other.py").write_text("y = 1\n")
    before = code_version("told_apart.scan", "told_apart")
    (package / "law.py").write_text("x = 1  # one\n")
    (package / "other.py").write_text("y = 2\n")
    assert code_version("told_apart.scan", "told_apart") == before
    (package / "law.py").write_text("x = 2\n")
    assert code_version("told_apart.scan", "told_apart") != before
