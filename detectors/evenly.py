"""A part of many rows that stands for all of them in their order."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def evenly(count: int, most: int) -> NDArray[np.int64]:
    """Places of at most `most` of `count` rows, evenly spread from the first to the last; all of them where they are no more.

    Examples
    --------
    >>> evenly(10, 4).tolist(), evenly(3, 4).tolist(), evenly(0, 4).tolist()
    ([0, 3, 6, 9], [0, 1, 2], [])
    """
    return np.linspace(0, count - 1, min(count, most)).astype(np.int64)
