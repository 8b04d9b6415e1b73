"""Many p-values at once: how small one must be when others were looked at too."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Adjusted p-values along the last axis, (..., k): those ≤ α are rejections with a family-wise error of at most α.

    In ascending order the i-th becomes max over j ≤ i of (k - j + 1) · p_(j), at most 1. No assumption on how they depend.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03, 0.005]).round(3).tolist()
    [0.03, 0.06, 0.06, 0.02]

    References
    ----------
    Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 1979.
    """
    order, ascending = _sorted(p_values)
    factors = np.arange(ascending.shape[-1], 0, -1)
    return _unsorted(order, np.maximum.accumulate(ascending * factors, axis=-1))


def benjamini_hochberg(p_values: ArrayLike) -> NDArray[np.float64]:
    """Adjusted p-values along the last axis, (..., k): among those ≤ q the expected share of false rejections is at most q.

    In ascending order the i-th becomes min over j ≥ i of k / j · p_(j). For p-values that are independent or positively dependent.

    Examples
    --------
    >>> benjamini_hochberg([0.01, 0.04, 0.03, 0.005]).round(3).tolist()
    [0.02, 0.04, 0.04, 0.02]

    References
    ----------
    Benjamini and Hochberg, "Controlling the false discovery rate", JRSS B 1995. Benjamini and Yekutieli, "The control of the false
    discovery rate in multiple testing under dependency", Annals of Statistics 2001 (positive dependence).
    """
    order, ascending = _sorted(p_values)
    k = ascending.shape[-1]
    scaled = ascending * (k / np.arange(1, k + 1))
    return _unsorted(order, np.minimum.accumulate(scaled[..., ::-1], axis=-1)[..., ::-1])


def _sorted(p_values: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    p = np.asarray(p_values, np.float64)
    if not p.ndim:
        raise ValueError("p_values: at least one axis; found a single number")
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError("p_values: between 0 and 1, found others or NaN")
    order = np.argsort(p, axis=-1, kind="stable")
    return order, np.take_along_axis(p, order, axis=-1)


def _unsorted(order: NDArray[np.int64], ascending: NDArray[np.float64]) -> NDArray[np.float64]:
    out = np.empty_like(ascending)
    np.put_along_axis(out, order, np.minimum(ascending, 1.0), axis=-1)
    return out
