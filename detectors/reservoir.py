"""Weighted samples of a stream that forget: every row has a key, and the k rows with the largest keys are the sample.

A key depends on the row alone, so the sample of a stream is the same in whatever order, parts or repetitions its rows come, and samples
of several streams merge: the k largest keys of all.

>>> ids = [f"s{n}" for n in range(2_000)]
>>> keys = sampling_keys(hashes("chat", ids), 1, weight=np.where(np.arange(2_000) < 200, 9.0, 1.0))
>>> first = np.argsort(keys)[-100:]  # 9 of 18 of all weight lies on the first 200
>>> bool(35 <= (first < 200).sum() <= 65)
True
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

LOG_2 = float(np.log(2))

_LETTERS = 4_096
"""Of an id that are read as they are."""

_STEP = 0x9E3779B97F4A7C15


def hashes(of: str, ids: Sequence[str]) -> NDArray[np.uint64]:
    """(n,) 64-bit hashes of ids, others for each name `of`: Σ aᵢ xᵢ over the id's words xᵢ with odd aᵢ, mixed.

    Of longer ids than 4,096 letters their digests are hashed. References: Dietzfelbinger, "Universal hashing and k-wise independent random
    variables via integer arithmetic without primes", STACS 1996. Steele, Lea and Flood, "Fast splittable pseudorandom number
    generators", OOPSLA 2014 (the mixing).
    """
    if not ids:
        return np.empty(0, np.uint64)
    if max(map(len, ids)) > _LETTERS:
        ids = [name if len(name) <= _LETTERS else blake2b(name.encode(errors="surrogatepass")).hexdigest() for name in ids]
    letters = np.array(ids, np.str_)
    points = np.ascontiguousarray(letters).view(np.uint32).reshape(len(ids), -1)
    if points.shape[1] % 2:
        points = np.pad(points, ((0, 0), (0, 1)))
    words = np.ascontiguousarray(points).view(np.uint64)
    seed = np.uint64(int.from_bytes(blake2b(of.encode(errors="surrogatepass"), digest_size=8).digest(), "little"))
    return _mixed(words @ _WORDS[: words.shape[1]] + seed)


def sampling_keys(
    hashed: NDArray[np.uint64],
    salt: int | NDArray[np.uint64],
    *,
    weight: NDArray[np.float64] | float = 1.0,
    age: NDArray[np.float64] | float = 0.0,
) -> NDArray[np.float64]:
    """Keys of rows with these hashes (n,): ln w + age + G, with G of Gumbel's law from the hash and the salt; (k, n) for salts (k, 1).

    The k largest of them are a draw without replacement in which each next row is chosen with probability ∝ w · e^age. With
    age = t · ln 2 / half-life a row's chance halves with every half-life that others are younger (forward decay: the keys of old
    rows never change). Samples with other salts are independent.

    References
    ----------
    Efraimidis and Spirakis, "Weighted random sampling with a reservoir", Information Processing Letters 2006. Cormode, Shkapenyuk,
    Srivastava and Xu, "Forward decay: a practical time decay model for streaming systems", ICDE 2009.
    """
    mixed = _mixed(hashed + np.atleast_1d(np.asarray(salt, np.uint64)) * np.uint64(_STEP))
    uniform = ((mixed >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52
    return np.asarray(np.log(weight) + age - np.log(-np.log(uniform)), np.float64)


def _mixed(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Every bit of the result depends on every bit given."""
    mixed = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


_WORDS = _mixed(np.arange(1, _LETTERS // 2 + 1, dtype=np.uint64) * np.uint64(_STEP)) | np.uint64(1)
"""The odd multipliers of an id's words."""
