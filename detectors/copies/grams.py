"""The texts of a set that share most letters with another text: each four in a row count by how rare they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from detectors.copies.language import Ids

_LETTERS, _BITS = 4, 20
"""Letters in a row that count together, and bits of their hash."""
_RAREST, _SHORT_LIST = 20, 12
"""Of a text's own, how many are looked up; and how many texts are then compared by all of them."""
_BLOCK = 512
_SHORTEST = 1.0
"""Length that a text has at least: one of nothing but its own grams is like no other."""
_PRIME = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True, eq=False)
class Grams:
    """An index of n texts.

    References
    ----------
    Salton and Buckley, "Term-weighting approaches in automatic text retrieval", 1988.

    Examples
    --------
    >>> index = Grams.of(["where is my parcel", "where is my order", "cancel my order"])
    >>> index.nearest(["wheres my parcel", "cancel that order"], 2).tolist()
    [[0, 1], [2, 1]]
    """

    rows: Any
    """(n, 2^20) sparse, of length 1."""
    columns: Any
    """The same, by gram."""
    weights: NDArray[np.float32]
    """(2^20,) root of the logarithm of how rare each is; 0 for those of no text."""

    @classmethod
    def of(cls, texts: Sequence[str]) -> Self:
        """Of the texts given."""
        held = _held(texts)
        came = np.bincount(held.indices, minlength=held.shape[1])
        weights = np.where(came > 0, np.log((len(texts) + 1) / np.maximum(came, 1)), 0.0).astype(np.float32)
        rows = _weighted(held, weights, came > 1)
        return cls(rows, rows.T.tocsr(), weights)

    def nearest(self, texts: Sequence[str], k: int, *, without: Ids | None = None) -> Ids:
        """(m, k) the texts of the index that share most, most first; -1 where no more share anything.

        without : (m,) for each text one of the index that is not looked at: itself.
        """
        asked = _held(texts)
        full = _weighted(asked, self.weights, self.weights > 0)
        few = _rarest(full)
        found = np.full((len(texts), k), -1, np.int64)
        for start in range(0, len(texts), _BLOCK):
            rows = slice(start, min(start + _BLOCK, len(texts)))
            shared = (few[rows] @ self.columns).tocsr()
            text, candidate = _strongest(shared, None if without is None else without[rows])
            likeness = np.asarray(full[rows][text].multiply(self.rows[candidate]).sum(1)).ravel()
            _fill(found[rows], text, candidate, likeness)
        return found


def _held(texts: Sequence[str]) -> Any:
    """(m, 2^20) sparse: 1 for each four letters that a text holds, its edges counting as spaces."""
    edged = [f" {text} " for text in texts]
    letters = np.frombuffer("".join(edged).encode("utf-32-le", "surrogatepass"), "<u4").astype(np.uint64)
    text = np.repeat(np.arange(len(edged)), np.fromiter(map(len, edged), np.int64, len(edged)))
    starts = max(0, len(letters) - _LETTERS + 1)
    grams = np.zeros(starts, np.uint64)
    for place in range(_LETTERS):
        grams = (grams ^ letters[place : starts + place]) * _PRIME
        grams ^= grams >> np.uint64(29)
    inside = text[:starts] == text[_LETTERS - 1 :]
    columns = (grams[inside] >> np.uint64(64 - _BITS)).astype(np.int64)
    held = sparse.csr_matrix((np.ones(len(columns), np.float32), (text[:starts][inside], columns)), shape=(len(texts), 1 << _BITS))
    held.sum_duplicates()
    held.data[:] = 1.0
    return held


def _weighted(held: Any, weights: NDArray[np.float32], counted: NDArray[np.bool_]) -> Any:
    """Each row times the roots of the weights, of length 1 in the grams that are counted: what a slip brings about no other text has,
    and it should not make a text unlike all others."""
    found = held.copy()
    found.data = np.sqrt(weights[found.indices])
    row = np.repeat(np.arange(found.shape[0]), np.diff(found.indptr))
    length = np.sqrt(np.bincount(row, np.square(found.data) * counted[found.indices], found.shape[0]))
    found.data /= np.maximum(length, _SHORTEST)[row].astype(np.float32)
    return found


def _rarest(weighted: Any) -> Any:
    """Each row's largest entries alone: common grams cost most and tell least."""
    row = np.repeat(np.arange(weighted.shape[0]), np.diff(weighted.indptr))
    order = np.lexsort((-weighted.data, row))
    place = np.arange(len(order)) - weighted.indptr[row]
    kept = np.sort(order[(place < _RAREST) & (weighted.data[order] > 0)])
    return sparse.csr_matrix((weighted.data[kept], (row[kept], weighted.indices[kept])), shape=weighted.shape)


def _strongest(shared: Any, without: Ids | None) -> tuple[Ids, Ids]:
    """The short list of each row, as pairs of row and column, most first. Row by row: to sort all that is shared would cost most of all."""
    lists = []
    for row, (start, end) in enumerate(pairwise(shared.indptr.tolist())):
        value, column = shared.data[start:end], shared.indices[start:end]
        if without is not None:
            value = np.where(column == without[row], 0.0, value)
        kept = np.argpartition(-value, _SHORT_LIST - 1)[:_SHORT_LIST] if len(value) > _SHORT_LIST else np.arange(len(value))
        kept = kept[np.lexsort((column[kept], -value[kept]))]
        lists.append(column[kept[value[kept] > 0]].astype(np.int64))
    rows = np.repeat(np.arange(len(lists)), np.fromiter(map(len, lists), np.int64, len(lists)))
    return rows, np.concatenate([np.empty(0, np.int64), *lists])


def _fill(found: Ids, text: Ids, candidate: Ids, likeness: NDArray[np.float32]) -> None:
    order = np.lexsort((-likeness, text))
    first = np.searchsorted(text[order], np.arange(len(found)))
    place = np.arange(len(order)) - first[text[order]]
    kept = place < found.shape[1]
    found[text[order][kept], place[kept]] = candidate[order][kept]
