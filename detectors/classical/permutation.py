"""P-values from exchangeability: if both samples come from one distribution, every split of the pooled rows is as likely as ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

Splits = NDArray[np.bool_]
"""(b, N): b ways to say which m of the N pooled rows are the window."""

Statistic = Callable[[Splits], NDArray[np.float64]]
"""(b, N) splits to (b,) values, large where the two parts differ."""

_CELLS = 2_000_000
"""Of a batch of splits, so that memory does not grow with the number of permutations."""

_ROUNDING = 1e-4
"""Of the larger of a value and the mean over splits: values closer than that are the same one, summed in another order in single
precision, where the parts of a value cancel. With few distinct rows most splits tie; to break ties by rounding makes p-values too small."""


def permutation_test(
    statistic: Statistic, window: NDArray[np.bool_], *, permutations: int, rng: np.random.Generator
) -> tuple[float, float]:
    """(value of the split as it is, p-value): (1 + number of random splits with at least that value) / (1 + permutations).

    Exact: under the null P(p ≤ α) ≤ α for every α, and = α at multiples of 1 / (1 + permutations) where values do not tie,
    whatever the distribution, the dimension and the sample sizes. The smallest p-value is 1 / (1 + permutations).

    References
    ----------
    Pitman, "Significance tests which may be applied to samples from any populations", JRSS Supplement 1937.
    Phipson and Smyth, "Permutation p-values should never be zero", Statistical Applications in Genetics and Molecular Biology 2010.
    """
    if permutations < 1:
        raise ValueError(f"permutations: at least 1, found {permutations}")
    observed = float(statistic(window[None, :])[0])
    values = np.concatenate([statistic(splits) for splits in _random_splits(window, permutations, rng)])
    reached = observed - _ROUNDING * max(abs(observed), float(np.abs(values).mean()))
    return observed, (1 + int((values >= reached).sum())) / (1 + permutations)


def _random_splits(window: NDArray[np.bool_], count: int, rng: np.random.Generator) -> Iterator[Splits]:
    batch = max(1, _CELLS // len(window))
    for start in range(0, count, batch):
        yield rng.permuted(np.broadcast_to(window, (min(batch, count - start), len(window))), axis=1)


def mean_differences(splits: Splits, columns: NDArray[np.float32]) -> NDArray[np.float32]:
    """(b, N) splits, (N, C) columns whose sums are 0 → (b, C): the window's mean minus the reference's.

    As the whole sums to nothing, the reference's sum is minus the window's.
    """
    m = int(splits[0].sum())
    n = splits.shape[1] - m
    return (splits.astype(np.float32) @ columns) * np.float32(1 / m + 1 / n)
