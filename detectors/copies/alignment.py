"""Two texts laid beside each other word by word: what the one explains of the other, and what sets them apart."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.copies.language import Ids, Nats, Sequences, Surprise

_GAP, _SLIP = 8.0, 2.0
"""What another word, and a slip within one, costs in nats."""

_RARER = 20
"""Times as rare as another word is what may be a slip of it."""


class Alignment(NamedTuple):
    """Of each of n pairs, (n,): the nats gained by taking the one text for a copy of the other; words left out, put in, exchanged and
    misspelt; the nats of the words that both have; and by how many nats those that differ fit worse than anywhere else."""

    gain: Nats
    left_out: Nats
    put_in: Nats
    exchanged: Nats
    misspelt: Nats
    shared: Nats
    odd: Nats

    def reordered(self, same: NDArray[np.bool_], surprise: Surprise) -> Alignment:
        """Pairs of the same words in another order differ in none. same : (n,)."""
        whole = surprise.placed.sum(1)
        nothing = np.zeros_like(whole)
        each = Alignment(whole, nothing, nothing, nothing, nothing, whole, nothing)
        return Alignment(*(np.where(same, there, here) for there, here in zip(each, self, strict=True)))


def align(source: Sequences, copy: Sequences, surprise: Surprise, slips: NDArray[np.bool_]) -> Alignment:
    """The most gainful alignment of each pair.

    source, copy : n texts each, (n, S) and (n, C). surprise : of the copies' words. slips (n, S, C): whether two words differ by a slip.

    A word that both have gains what it surprises by, where it is misspelt less 2 nats. Any other word of the copy costs 8 nats and
    gains by how much it surprises more where it stands than anywhere; a word of the source left out costs 8. Needleman and Wunsch 1970.
    """
    n, width = copy.ids.shape
    odd = surprise.placed - surprise.alone
    row = np.zeros((len(Alignment._fields), width + 1, n))
    for j in range(width):
        row[:, j + 1] = row[:, j] + _step(put_in=1.0, odd=odd[:, j], gain=odd[:, j] - _GAP)
    best = np.zeros((len(Alignment._fields), n))
    best = np.where(source.length == 0, _at(row, copy.length), best)
    for i in range(source.ids.shape[1]):
        row = _next(row, source.ids[:, i], copy, (surprise.placed, odd), slips[:, i])
        best = np.where(source.length == i + 1, _at(row, copy.length), best)
    return Alignment(*best)


def _next(row: NDArray[np.float64], word: Ids, copy: Sequences, worth: tuple[Nats, Nats], slips: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The alignments of the copies' beginnings with one more word of the source."""
    placed, odd = worth
    new = np.empty_like(row)
    new[:, 0] = row[:, 0] + _step(left_out=np.ones(len(word)), gain=np.full(len(word), -_GAP))
    for j in range(copy.ids.shape[1]):
        same, slip = copy.ids[:, j] == word, slips[:, j]
        kept, other = placed[:, j] * (same | slip), odd[:, j] * ~(same | slip)
        gain = kept - _SLIP * slip + other - _GAP * ~(same | slip)
        across = row[:, j] + _step(exchanged=~(same | slip), misspelt=slip, shared=kept, odd=other, gain=gain)
        without = row[:, j + 1] + _step(left_out=np.ones(len(word)), gain=np.full(len(word), -_GAP))
        inserted = new[:, j] + _step(put_in=np.ones(len(word)), odd=odd[:, j], gain=odd[:, j] - _GAP)
        better = np.where(across[0] >= without[0], across, without)
        new[:, j + 1] = np.where(better[0] >= inserted[0], better, inserted)
    return new


def _step(**changes: NDArray[np.floating] | NDArray[np.bool_] | float) -> NDArray[np.float64]:
    """(fields, n) what one more word adds."""
    n = len(next(value for value in changes.values() if isinstance(value, np.ndarray)))
    step = np.zeros((len(Alignment._fields), n))
    for name, value in changes.items():
        step[Alignment._fields.index(name)] = value
    return step


def _at(row: NDArray[np.float64], length: Ids) -> NDArray[np.float64]:
    return row[:, length, np.arange(len(length))]


def slips_between(source: Sequences, copy: Sequences, seen: Ids, words: list[str]) -> NDArray[np.bool_]:
    """(n, S, C) whether two words are one but for a letter left out, put in, exchanged or swapped, and one of them is a slip of the other:
    unknown, or far the rarer. seen (v,): how often each word came.

    Examples
    --------
    >>> from detectors.copies.language import Vocabulary
    >>> known = Vocabulary()
    >>> a, b = known.sequences([("reset", "pin")]), known.sequences([("erset", "tin")])
    >>> slips_between(a, b, np.array([9, 9, 0, 0]), known.words).tolist()
    [[[True, False], [False, True]]]
    """
    found = np.zeros((len(source.ids), source.ids.shape[1], copy.ids.shape[1]), bool)
    letters = np.fromiter(map(len, words), np.int64, len(words))
    x, y = source.ids[:, :, None], copy.ids[:, None, :]
    looked = source.inside[:, :, None] & copy.inside[:, None, :] & (x != y)
    looked &= (np.abs(letters[x] - letters[y]) <= 1) & (np.minimum(letters[x], letters[y]) > 1)
    rarer, commoner = np.minimum(seen[x], seen[y]), np.maximum(seen[x], seen[y])
    at = np.nonzero(looked & ((rarer <= 1) | (rarer * _RARER <= commoner)))
    pairs, which = np.unique(source.ids[at[0], at[1]] * len(words) + copy.ids[at[0], at[2]], return_inverse=True)
    is_slip = np.array([_slip(words[pair // len(words)], words[pair % len(words)]) for pair in pairs.tolist()], bool)
    found[at] = is_slip[which] if len(pairs) else False
    return found


def _slip(a: str, b: str) -> bool:
    """Whether one step leads from one word to another."""
    short = min(len(a), len(b))
    start = next((i for i in range(short) if a[i] != b[i]), short)
    end = next((i for i in range(short - start) if a[-1 - i] != b[-1 - i]), short - start)
    left, right = a[start : len(a) - end], b[start : len(b) - end]
    return max(len(left), len(right)) <= 1 or (len(left) == 2 and left == right[::-1])
