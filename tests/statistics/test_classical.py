"""What the classical tests promise: p-values that are uniform when nothing differs, also for few, tied and unequal rows, and power."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from detectors.classical import TESTS, class_counts

Rows = NDArray[np.float32]
Pair = Callable[[np.random.Generator], tuple[Rows, Rows]]

RUNS = 200
LOWEST, HIGHEST = (int(bound) for bound in stats.binom.ppf([5e-5, 1 - 5e-5], RUNS, 0.05))
"""Rejections at 0.05, 1 to 24: a test that keeps its level leaves them with probability 1e-4."""

every = pytest.mark.parametrize("name", TESTS)


def topics(n: int, rng: np.random.Generator, *, new: float = 0.0) -> Rows:
    """Rows around six centres in 24 dimensions, a share of them around two others."""
    centres = np.random.default_rng(5).standard_normal((8, 24))
    topic = np.where(rng.random(n) < new, rng.integers(6, 8, n), rng.integers(0, 6, n))
    return np.asarray(centres[topic] + 0.7 * rng.standard_normal((n, 24)), np.float32)


def p_values(name: str, pair: Pair, runs: int = RUNS, permutations: int = 199) -> NDArray[np.float64]:
    found = []
    for seed in range(runs):
        rng = np.random.default_rng([seed, 77])
        found.append(TESTS[name](permutations=permutations)(*pair(rng), rng=rng).p_value)
    return np.array(found)


def assert_uniform(found: NDArray[np.float64]) -> None:
    """Both checks fail with probability 1e-4 for a test that is right; one that rejects a fifth at 0.05 passes once in 500."""
    assert stats.kstest(found, "uniform").pvalue > 1e-4
    assert LOWEST <= (found <= 0.05).sum() <= HIGHEST


@every
def test_p_values_are_uniform_when_nothing_differs(name: str) -> None:
    assert_uniform(p_values(name, lambda rng: (topics(150, rng), topics(101, rng))))


@every
def test_the_level_holds_for_a_small_window_of_heavy_tails(name: str) -> None:
    """Ten rows against a hundred, three dimensions of Student's t with 2 degrees of freedom."""

    def pair(rng: np.random.Generator) -> tuple[Rows, Rows]:
        return rng.standard_t(2, (100, 3)).astype(np.float32), rng.standard_t(2, (10, 3)).astype(np.float32)

    assert (p_values(name, pair, permutations=99) <= 0.05).sum() <= HIGHEST


@every
def test_the_level_holds_when_most_rows_are_duplicates(name: str) -> None:
    def pair(rng: np.random.Generator) -> tuple[Rows, Rows]:
        kinds = np.random.default_rng(9).standard_normal((6, 4))
        return kinds[rng.integers(0, 6, 90)].astype(np.float32), kinds[rng.integers(0, 6, 60)].astype(np.float32)

    assert (p_values(name, pair, permutations=99) <= 0.05).sum() <= HIGHEST


@every
def test_each_finds_three_tenths_of_new_content(name: str) -> None:
    """Each did in 100 of 100 runs, so its power is above 0.97, and fewer than 25 of 30 come with a probability below 1e-3."""
    found = p_values(name, lambda rng: (topics(300, rng), topics(200, rng, new=0.3)), runs=30)
    assert (found <= 0.05).sum() >= 25


@pytest.mark.parametrize("rare", [False, True])
def test_predicted_classes_have_uniform_p_values(rare: bool) -> None:
    """`rare`: expected counts below 5, so by permutation; p-values tie there, so only the level is asserted."""
    shares = [0.6, 0.3, 0.08, 0.02] if rare else [0.4, 0.3, 0.2, 0.1]
    found, laws = [], set()
    for seed in range(2 * RUNS):
        rng = np.random.default_rng(seed)
        result = class_counts(*(rng.choice(4, size, p=shares).tolist() for size in (300, 90)), rng=rng, permutations=199)
        found.append(result.p_value)
        laws.add(str(result.detail["law"])[:10])
    if not rare:
        assert laws == {"asymptotic"}
        assert stats.kstest(found, "uniform").pvalue > 1e-4
    assert (np.array(found) <= 0.05).sum() <= stats.binom.ppf(1 - 5e-5, 2 * RUNS, 0.05)


@pytest.mark.parametrize("name", ["ks", "cvm"])
def test_holm_over_components_keeps_the_family_s_level(name: str) -> None:
    smallest = []
    for seed in range(RUNS):
        rng = np.random.default_rng([seed, 78])
        detail = TESTS[name](permutations=1)(topics(150, rng), topics(101, rng), rng=rng).detail
        smallest.append(np.min(np.array(detail["component_holm"])))
    assert (np.array(smallest) <= 0.05).sum() <= HIGHEST
