"""How surprising each word of a text is among the texts of a set, some of them left out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

Ids: TypeAlias = NDArray[np.int64]
Nats: TypeAlias = NDArray[np.float64]

_PRIOR = 2.0
"""Weight, in words, of the shorter context when a longer one is rare."""
_LETTER = 1.0
"""Nats that a letter of a word which the set does not hold adds to its surprise."""
_MIX = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F))


class Sequences(NamedTuple):
    """n texts as numbers of words (n, L), padded with -1, and how many words each has (n,)."""

    ids: Ids
    length: Ids

    def take(self, rows: Ids, width: int) -> Sequences:
        """Some of them, (len(rows), width): no longer than that."""
        ids = self.ids[rows, :width]
        return Sequences(np.pad(ids, ((0, 0), (0, width - ids.shape[1])), constant_values=-1), self.length[rows])

    @property
    def inside(self) -> NDArray[np.bool_]:
        """(n, L) where there are words."""
        return np.arange(self.ids.shape[1]) < self.length[:, None]


def chosen(which: NDArray[np.bool_], one: Sequences, other: Sequences) -> Sequences:
    """(n,) of each pair the one or the other, both equally wide."""
    return Sequences(np.where(which[:, None], one.ids, other.ids), np.where(which, one.length, other.length))


class Vocabulary:
    """Words as numbers, in order of appearance."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self._number: dict[str, int] = {}

    def sequences(self, texts: Iterable[Sequence[str]]) -> Sequences:
        """Texts as numbers; a new word gets the next one.

        Examples
        --------
        >>> Vocabulary().sequences([("where", "is", "it"), ("it", "is")]).ids.tolist()
        [[0, 1, 2], [2, 1, -1]]
        """
        found = [[self._numbered(word) for word in words] for words in texts]
        length = np.fromiter(map(len, found), np.int64, len(found))
        sequences = Sequences(np.full((len(found), max(1, int(length.max(initial=0)))), -1, np.int64), length)
        sequences.ids[sequences.inside] = [number for words in found for number in words]
        return sequences

    def _numbered(self, word: str) -> int:
        number = self._number.setdefault(word, len(self.words))
        if number == len(self.words):
            self.words.append(word)
        return number


class Surprise(NamedTuple):
    """Of each word (n, L), in nats, 0 beyond a text's end: -log P(word | two before it), and -log P(word)."""

    placed: Nats
    alone: Nats


class _Keys(NamedTuple):
    """Of each word (n, L): itself, with the one before it, with the two before it, and those alone: the contexts."""

    one: NDArray[np.uint64]
    two: NDArray[np.uint64]
    three: NDArray[np.uint64]
    before: NDArray[np.uint64]
    before_two: NDArray[np.uint64]


@dataclass(frozen=True, slots=True, eq=False)
class WordModel:
    """Trigrams of words with interpolated shorter contexts: P(w | v u) = (n(vuw) + a P(w | u)) / (n(vu) + a), and so on down to the
    word itself, of which one that was never seen has e^-letters of an occurrence.

    References
    ----------
    Jelinek and Mercer 1980 (interpolated n-gram estimates), with the weights of MacKay and Peto 1995.
    """

    counts: tuple[tuple[NDArray[np.uint64], Ids], ...]
    """In the order of `_Keys`: the distinct keys, ascending, and how often each came."""
    words: int

    @classmethod
    def learn(cls, texts: Sequences) -> Self:
        """From texts that are all different: what is repeated as a whole says nothing of the language."""
        inside = texts.inside
        counted = (np.unique(key[inside], return_counts=True) for key in _keys(texts.ids))
        return cls(tuple((keys, counts.astype(np.int64)) for keys, counts in counted), int(inside.sum()))

    def seen(self, ids: Ids) -> Ids:
        """How often each word came."""
        return _count(self.counts[0], _keys(ids.reshape(-1, 1)).one).reshape(ids.shape)

    def surprise(self, texts: Sequences, letters: Ids, left_out: Sequence[Sequences]) -> Surprise:
        """Of (n, L) words, each text's own rows of `left_out` (n, K) not counted. `letters` (v,): the length of every word."""
        keys, inside = _keys(texts.ids), texts.inside
        others = [(_keys(other.ids), other.inside) for other in left_out]
        came = [
            np.maximum(_count(counted, key) - sum(_occurrences(key, other[i], within) for other, within in others), 0)
            for i, (counted, key) in enumerate(zip(self.counts, keys, strict=True))
        ]
        one = (came[0] + np.exp(-_LETTER * letters[texts.ids])) / (self.words + 1)
        two = (came[1] + _PRIOR * one) / (came[3] + _PRIOR)
        three = (came[2] + _PRIOR * two) / (came[4] + _PRIOR)
        return Surprise(np.where(inside, -np.log(three), 0.0), np.where(inside, -np.log(one), 0.0))


def _keys(ids: Ids) -> _Keys:
    """-1 stands before a text's first word."""
    edge = np.pad(ids, ((0, 0), (2, 0)), constant_values=-1).astype(np.uint64)
    word, last, first = edge[:, 2:], edge[:, 1:-1], edge[:, :-2]
    two = last * _MIX[0] + word
    before_two = first * _MIX[0] + last
    return _Keys(word, two, (before_two ^ (before_two >> np.uint64(31))) * _MIX[1] + word, last, before_two)


def _count(counted: tuple[NDArray[np.uint64], Ids], keys: NDArray[np.uint64]) -> Ids:
    distinct, counts = counted
    at = np.minimum(np.searchsorted(distinct, keys), len(distinct) - 1)
    return np.where(distinct[at] == keys, counts[at], 0)


def _occurrences(keys: NDArray[np.uint64], others: NDArray[np.uint64], within: NDArray[np.bool_]) -> Ids:
    """(n, L) how often each key comes among the row's own others (n, K)."""
    total = np.zeros(keys.shape, np.int64)
    for column in range(others.shape[1]):
        total += (keys == others[:, column, None]) & within[:, column, None]
    return total
