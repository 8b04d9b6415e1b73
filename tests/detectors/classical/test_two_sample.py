"""What every classical test keeps to, and what each measures against scipy or by hand."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from detectors.classical import (
    TESTS,
    ClusterCounts,
    CramerVonMises,
    DensityDifference,
    DomainClassifier,
    EnergyDistance,
    KolmogorovSmirnov,
    MaximumMeanDiscrepancy,
    class_counts,
)
from detectors.classical.base import Pooled
from detectors.classical.components import _cramer_von_mises_tail, _kolmogorov_tail
from detectors.classical.permutation import permutation_test
from detectors.classical.projection import principal_components

Rows = NDArray[np.float32]
every = pytest.mark.parametrize("name", TESTS)


def normal(n: int, d: int, seed: int, *, shift: float = 0.0) -> Rows:
    return (np.random.default_rng(seed).standard_normal((n, d)) + shift).astype(np.float32)


# --- all of them -----------------------------------------------------------------------------------------------------


@every
def test_the_same_seed_gives_the_same_result(name: str) -> None:
    test = TESTS[name](permutations=99)
    a, b = (test(normal(60, 5, 1), normal(40, 5, 2), rng=np.random.default_rng(3)) for _ in range(2))
    assert a == b
    assert 0 < a.p_value <= 1
    assert isinstance(a.p_value, float)
    assert isinstance(a.statistic, float)
    assert "permutations" in str(a.detail["law"]) or "asymptotic" in str(a.detail["law"])


@every
def test_inputs_stay_as_they_were(name: str) -> None:
    reference, window = normal(60, 5, 1), normal(40, 5, 2)
    before = reference.copy(), window.copy()
    TESTS[name](permutations=9)(reference, window, rng=np.random.default_rng(3))
    np.testing.assert_array_equal(reference, before[0])
    np.testing.assert_array_equal(window, before[1])


@every
def test_more_rows_than_are_used_are_sampled(name: str) -> None:
    test = TESTS[name](permutations=9, rows=50)
    result = test(normal(300, 3, 1), normal(70, 3, 2), rng=np.random.default_rng(3))
    assert (result.detail["reference_rows"], result.detail["window_rows"]) == (50, 50)


@every
def test_constant_and_duplicate_rows_are_no_evidence(name: str) -> None:
    test = TESTS[name](permutations=99)
    constant = np.ones((30, 4), np.float32)
    assert test(constant, constant, rng=np.random.default_rng(0)).p_value > 0.05
    few = np.repeat(normal(3, 4, 1), 20, axis=0)
    assert test(few, few, rng=np.random.default_rng(0)).p_value > 0.05
    assert test(constant, constant + 1, rng=np.random.default_rng(0)).p_value <= 0.01


@every
def test_a_common_offset_and_a_wide_embedding_cost_nothing(name: str) -> None:
    test = TESTS[name](permutations=99)
    reference, window = normal(40, 300, 1, shift=100.0), normal(30, 300, 2, shift=100.4)
    assert test(reference, window, rng=np.random.default_rng(0)).p_value <= 0.02


@every
@pytest.mark.parametrize(
    ("reference", "window", "message"),
    [
        (normal(20, 3, 1), normal(20, 4, 2), r"window: rows of the reference's 3 dimensions.*found 4"),
        (normal(20, 3, 1), normal(9, 3, 2), "window: at least 10 rows; found 9"),
        (normal(9, 3, 1), normal(20, 3, 2), "reference: at least 10 rows; found 9"),
        (normal(20, 3, 1), normal(20, 3, 2)[0], "window: rows of at least one dimension"),
        (normal(20, 3, 1) * np.float32(np.nan), normal(20, 3, 2), "reference: 20 rows with values that are not finite"),
        (normal(20, 3, 1), np.append(normal(20, 3, 2), [[0, np.inf, 0]], axis=0), "window: 1 rows with values that are not finite"),
    ],
)
def test_what_can_not_be_tested_is_refused(name: str, reference: Rows, window: Rows, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TESTS[name]()(reference, window, rng=np.random.default_rng(0))


def tail_of_counts(n: int, m: int, ones: int, found: int) -> float:
    """Probability that a window of m among n + m rows, `ones` of one kind, has a share as far from the reference's as `found` gives."""
    counts = np.arange(max(0, ones - n), min(ones, m) + 1)
    apart = np.abs(counts / m - (ones - counts) / n)
    far = apart >= abs(found / m - (ones - found) / n) - 1e-9
    return float(stats.hypergeom(n + m, ones, m).pmf(counts)[far].sum())


@pytest.mark.parametrize("name", ["ks", "cvm", "energy", "lsdd"])
@pytest.mark.parametrize(("n", "m", "ones", "found"), [(30, 20, 25, 13), (60, 40, 50, 20), (300, 200, 250, 108)])
def test_rows_of_two_kinds_have_the_p_value_of_their_counts(name: str, n: int, m: int, ones: int, found: int) -> None:
    """Every statistic then is a function of one count, and most splits tie with the one that was found."""
    kinds = normal(2, 16, 1)
    window = kinds[(np.arange(m) < found).astype(int)]
    reference = kinds[(np.arange(n) < ones - found).astype(int)]
    exact = tail_of_counts(n, m, ones, found)
    p_value = TESTS[name](permutations=1999)(reference, window, rng=np.random.default_rng(3)).p_value
    assert p_value == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 1999) + 1e-9)


def test_permutations_must_be_some() -> None:
    with pytest.raises(ValueError, match="permutations: at least 1, found 0"):
        EnergyDistance(permutations=0)(normal(20, 2, 1), normal(20, 2, 2), rng=np.random.default_rng(0))


# --- permutation -----------------------------------------------------------------------------------------------------


def test_p_value_counts_the_splits_that_reach_the_observed() -> None:
    """The sum of the window's values: all 252 splits of ten rows into five and five, so many draws come close to the truth."""
    values = np.array([0, 1, 2, 3, 4, 5, 6, 7, 8, 9.5])
    window = np.array([False] * 4 + [True, False, True, True, True, True])
    observed, p_value = permutation_test(lambda splits: splits @ values, window, permutations=40_000, rng=np.random.default_rng(0))
    assert observed == 34.5
    exact = stats.permutation_test(
        (values[window], values[~window]), lambda a, b: a.sum() - b.sum(), alternative="greater", n_resamples=np.inf
    )
    assert p_value == pytest.approx(exact.pvalue, abs=5 * np.sqrt(exact.pvalue / 40_000))


# --- components ------------------------------------------------------------------------------------------------------


def test_one_component_is_scipys_kolmogorov_smirnov() -> None:
    reference, window = normal(211, 1, 1), normal(97, 1, 2, shift=0.2)
    result = KolmogorovSmirnov(permutations=2_000)(reference, window, rng=np.random.default_rng(0))
    theirs = stats.ks_2samp(reference[:, 0], window[:, 0], method="exact")
    assert result.statistic == pytest.approx(theirs.statistic, rel=1e-5)
    assert result.p_value == pytest.approx(theirs.pvalue, abs=0.03)
    np.testing.assert_allclose(np.array(result.detail["component_p_values"]), [theirs.pvalue], atol=0.02)


def test_one_component_is_scipys_cramer_von_mises() -> None:
    reference, window = normal(211, 1, 1), normal(97, 1, 2, shift=0.2)
    result = CramerVonMises(permutations=2_000)(reference, window, rng=np.random.default_rng(0))
    theirs = stats.cramervonmises_2samp(reference[:, 0], window[:, 0], method="asymptotic")
    assert result.statistic == pytest.approx(theirs.statistic, rel=1e-4)
    assert result.p_value == pytest.approx(theirs.pvalue, abs=0.03)
    np.testing.assert_allclose(np.array(result.detail["component_p_values"]), [theirs.pvalue], rtol=1e-3)


@pytest.mark.parametrize("shift", [0.0, 0.1, 0.4, 1.0, 2.0])
def test_asymptotic_tails_follow_scipys(shift: float) -> None:
    a, b = normal(300, 1, 5)[:, 0], normal(200, 1, 6, shift=shift)[:, 0]
    ks, cvm = stats.ks_2samp(a, b, method="exact"), stats.cramervonmises_2samp(a, b, method="asymptotic")
    assert _kolmogorov_tail(np.array([ks.statistic]), 300, 200)[0] == pytest.approx(ks.pvalue, rel=0.5, abs=0.03)
    assert _cramer_von_mises_tail(np.array([cvm.statistic]), 300, 200)[0] == pytest.approx(
        cvm.pvalue, abs=1e-6
    )  # theirs sums terms above 1e-7


def test_ties_are_read_after_they_end() -> None:
    rng = np.random.default_rng(0)
    reference, window = (rng.integers(0, 4, (n, 1)).astype(np.float32) for n in (80, 60))
    result = KolmogorovSmirnov(permutations=9)(reference, window, rng=rng)
    assert result.statistic == pytest.approx(stats.ks_2samp(reference[:, 0], window[:, 0]).statistic, rel=1e-6)


def test_holm_names_the_component_that_moved() -> None:
    rng = np.random.default_rng(0)
    scales = np.array([4.0, 2.0, 1.0])
    reference, window = rng.standard_normal((400, 3)) * scales, rng.standard_normal((300, 3)) * scales
    window[:, 1] += 1.0
    adjusted = CramerVonMises()(reference.astype(np.float32), window.astype(np.float32), rng=rng).detail["component_holm"]
    assert isinstance(adjusted, tuple)
    assert [p < 0.01 for p in adjusted] == [False, True, False]


@pytest.mark.parametrize("shape", [(200, 12), (30, 80)])
def test_components_are_those_of_a_singular_value_decomposition(shape: tuple[int, int]) -> None:
    rows = normal(*shape, 1) * np.linspace(3, 1, shape[1], dtype=np.float32)
    rows -= rows.mean(0)
    u, s, _ = np.linalg.svd(rows.astype(np.float64), full_matrices=False)
    np.testing.assert_allclose(np.abs(principal_components(rows, 5)), np.abs(u * s)[:, :5], atol=2e-3)


# --- kernels ---------------------------------------------------------------------------------------------------------


def test_energy_in_one_dimension_is_scipys() -> None:
    reference, window = normal(80, 1, 1), normal(50, 1, 2, shift=0.3)
    result = EnergyDistance(permutations=9)(reference, window, rng=np.random.default_rng(0))
    theirs = stats.energy_distance(reference[:, 0], window[:, 0])
    assert result.statistic == pytest.approx(theirs**2, rel=1e-3)


def test_a_prepared_reference_serves_many_windows() -> None:
    rng = np.random.default_rng(0)
    prepared = MaximumMeanDiscrepancy(permutations=99).prepare(normal(200, 6, 1), rng=rng)
    assert len(prepared.rows) == 175, "an eighth gives the bandwidth"
    window = normal(50, 6, 2, shift=0.2)
    both = np.concatenate([prepared.rows, window]).astype(np.float64)
    kernel = np.exp(-((both[:, None] - both) ** 2).sum(-1) / (2 * prepared.bandwidth**2))
    weights = np.repeat([-1 / 175, 1 / 50], [175, 50])
    assert prepared.test(window, rng=rng).statistic == pytest.approx(weights @ kernel @ weights, rel=1e-3)
    assert prepared.test(normal(50, 6, 3, shift=1.0), rng=rng).p_value == 0.01
    with pytest.raises(ValueError, match=r"the reference's 6 dimensions; found 5"):
        prepared.test(normal(50, 5, 3), rng=rng)


def test_density_difference_is_the_estimate_by_its_formula() -> None:
    """On all the rows as centres, against the textbook's 2 θ'h - θ'Hθ."""
    reference, window = normal(40, 2, 1), normal(40, 2, 2, shift=1.0)
    test, rng = DensityDifference(permutations=9, centres=40), np.random.default_rng(0)
    found = test(reference, window, rng=rng).statistic
    pooled = Pooled.draw(reference, window, most=5_000, rng=(again := np.random.default_rng(0)))
    rows = pooled.rows.astype(np.float64)
    a = again.integers(0, 80, 4_000)
    b = (a + again.integers(1, 80, 4_000)) % 80
    width = np.median(np.linalg.norm(rows[a] - rows[b], axis=1))
    centres = rows[again.choice(80, 40, replace=False)]
    kernel = np.exp(-((rows[:, None] - centres) ** 2).sum(-1) / (2 * width**2))
    h = kernel[pooled.window].mean(0) - kernel[~pooled.window].mean(0)
    overlaps = np.exp(-((centres[:, None] - centres) ** 2).sum(-1) / (4 * width**2))
    theta = np.linalg.solve(overlaps + 0.01 * np.eye(40), h)
    assert found == pytest.approx(2 * theta @ h - theta @ overlaps @ theta, rel=1e-3)


# --- counts ----------------------------------------------------------------------------------------------------------


def test_class_counts_are_scipys_chi_squared() -> None:
    reference, window = ["a"] * 50 + ["b"] * 30 + ["c"] * 20, ["a"] * 30 + ["b"] * 40 + ["c"] * 10
    result = class_counts(reference, window, rng=np.random.default_rng(0))
    theirs = stats.chi2_contingency([[50, 30, 20], [30, 40, 10]])
    assert result.statistic == pytest.approx(theirs.statistic)
    assert result.p_value == pytest.approx(theirs.pvalue)
    assert result.detail["law"] == "asymptotic, 2 degrees of freedom"


def test_small_expected_counts_are_permuted() -> None:
    """Two classes: the permutation's p-value is the exact one of all tables with as large a statistic."""
    reference, window = ["a"] * 27 + ["b"] * 3, ["a"] * 9 + ["b"] * 6
    result = class_counts(reference, window, rng=np.random.default_rng(0), permutations=20_000)
    law = stats.hypergeom(45, 9, 15)  # of b among the window's 15
    away = abs(np.arange(10) - 3.0)
    assert "small counts" in str(result.detail["law"])
    assert result.p_value == pytest.approx(law.pmf(np.arange(10))[away >= 3].sum(), abs=0.006)


def test_one_class_can_not_differ() -> None:
    result = class_counts("a" * 20, "a" * 20, rng=np.random.default_rng(0))
    assert (result.statistic, result.p_value) == (0.0, 1.0)
    with pytest.raises(ValueError, match="window: at least 10 predicted classes; found 2"):
        class_counts("a" * 20, "aa", rng=np.random.default_rng(0))


def test_clusters_see_a_mix_that_moved() -> None:
    rng = np.random.default_rng(0)
    centres = 10 * np.eye(4)
    reference = centres[rng.integers(0, 4, 300)] + rng.standard_normal((300, 4))
    window = centres[rng.choice(4, 200, p=[0.7, 0.1, 0.1, 0.1])] + rng.standard_normal((200, 4))
    assert ClusterCounts(clusters=4)(reference.astype(np.float32), window.astype(np.float32), rng=rng).p_value < 1e-9


# --- classifier ------------------------------------------------------------------------------------------------------


def test_the_area_is_that_of_unseen_rows() -> None:
    """Two normals a distance 1.5 apart: the best area is Φ(1.5 / √2) = 0.856; guessing gives 0.5 although 20 components could overfit."""
    test, rng = DomainClassifier(permutations=19), np.random.default_rng(0)
    shift = np.zeros(20, np.float32)
    shift[0] = 1.5
    assert test(normal(1_000, 20, 1), normal(1_000, 20, 2) + shift, rng=rng).statistic == pytest.approx(0.856, abs=0.03)
    assert test(normal(1_000, 20, 3), normal(1_000, 20, 4), rng=rng).statistic == pytest.approx(0.5, abs=0.05)


def test_a_small_window_may_be_missing_in_a_fold() -> None:
    test = replace(DomainClassifier(permutations=99), folds=10)
    result = test(normal(200, 3, 1), normal(10, 3, 2, shift=3.0), rng=np.random.default_rng(0))
    assert result.statistic > 0.95
    assert result.p_value == 0.01
