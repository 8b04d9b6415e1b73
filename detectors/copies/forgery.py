"""Copies forged on purpose, and the judge that learns from them what tells a copy from what is alike by nature."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from detectors.copies.alignment import Alignment
from detectors.copies.duplicates import limit
from detectors.copies.language import Nats

Traits = NDArray[np.float64]
"""(…, T) of pairs of texts; rows of -inf where there is no pair."""

TRAITS, DIFFERING = 42, 1
"""How many traits there are, and which of them counts the words that differ."""
_ODD = 6.0
"""Nats beyond which a word is out of place, and no more so."""

_RIDGE, _STEPS = 1e-3, 20
_ALPHABET = "abcdefghijklmnopqrstuvwxyz"


def traits_of(found: Alignment, words: Nats, unevenness: Nats) -> Traits:
    """(n, T) what the judge looks at: pairs that differ in no word, in one exchanged, one more or less, and several are weighed each by
    themselves.

    words : (n,) of the copy. unevenness : (n,) nats by which the copy surprises more than its source.
    """
    differing = found.left_out + found.put_in + found.exchanged
    nats = (found.shared, np.log1p(np.maximum(found.shared, 0.0)), found.odd, np.minimum(found.odd, _ODD), unevenness)
    each = (np.ones(len(words)), found.left_out, found.put_in, found.misspelt, words, *nats)
    groups = (differing == 0, found.exchanged * (differing == 1) > 0, (1 - found.exchanged) * (differing == 1) > 0, differing > 1)
    grouped = [group * column for group in groups for column in each]
    return np.stack([found.gain, differing, *grouped], axis=-1)


@dataclass(frozen=True, slots=True, eq=False)
class Judge:
    """Weights of the traits, by ridge-penalised logistic regression, and the likeness above which a pair is a copy."""

    centre: Traits
    weights: Traits
    limit: float

    @classmethod
    def learn(cls, natural: Traits, forged: Traits) -> Self:
        """From (n, k, T) rows of the set with those most like them, of which the first counts, and (m, T) copies with their sources."""
        known = np.isfinite(natural[:, :, 0])
        likest = natural[np.arange(len(natural)), natural[:, :, 0].argmax(1)][known.any(1)]
        rows = np.concatenate([likest, forged])
        copied = np.arange(len(rows)) >= len(likest)
        centre, weights = _logistic(rows, copied)
        judge = cls(centre, weights, 0.0)
        return cls(centre, weights, limit(judge.likeness(natural).max(1), judge.likeness(forged)))

    def likeness(self, traits: Traits) -> Nats:
        """(…,) log odds of being a copy; -inf where there is no pair."""
        known = np.isfinite(traits[..., 0])
        return np.where(known, (np.where(known[..., None], traits, 0.0) - self.centre) @ self.weights, -np.inf)


def _logistic(rows: Traits, copied: NDArray[np.bool_]) -> tuple[Traits, Traits]:
    """The mean row, and the weights of what differs from it, by Newton's method; both kinds count alike, however many there are."""
    centre, spread = rows.mean(0), rows.std(0) + 1e-9
    scaled = np.column_stack([(rows - centre) / spread, np.ones(len(rows))])
    share = np.where(copied, 0.5 / max(copied.sum(), 1), 0.5 / max((~copied).sum(), 1))
    weights = np.zeros(scaled.shape[1])
    penalty = _RIDGE * np.eye(len(weights))
    for _ in range(_STEPS):
        chance = 1 / (1 + np.exp(-np.clip(scaled @ weights, -30, 30)))
        slope = scaled.T @ (share * (copied - chance)) - penalty @ weights
        curve = (scaled * (share * chance * (1 - chance))[:, None]).T @ scaled + penalty
        weights += np.linalg.solve(curve, slope)
    return centre, weights[:-1] / spread


def forged(texts: Sequence[tuple[str, ...]], rng: np.random.Generator) -> list[tuple[str, ...]]:
    """A copy of each text: half with a word exchanged for another of the set, the others with slips, a word more or less, or two swapped.

    Examples
    --------
    >>> forged([("where", "is", "my", "parcel")] * 3, np.random.default_rng(1))
    [('where', 'my', 'my', 'parcel'), ('where', 'is', 'my', 'parcle'), ('where', 'is', 'my', 'parcel')]
    """
    every = [word for words in texts for word in words]
    others = (_slipped, _shortened, _slipped, _lengthened, _swapped)
    return [(others[i // 2 % len(others)] if i % 2 else exchanged)(words, every, rng) for i, words in enumerate(texts)]


def _shortened(words: tuple[str, ...], every: Sequence[str], rng: np.random.Generator) -> tuple[str, ...]:
    at = int(rng.integers(len(words)))
    return (*words[:at], *words[at + 1 :]) or exchanged(words, every, rng)


def _lengthened(words: tuple[str, ...], every: Sequence[str], rng: np.random.Generator) -> tuple[str, ...]:
    at = int(rng.integers(len(words) + 1))
    return (*words[:at], every[int(rng.integers(len(every)))], *words[at:])


def _swapped(words: tuple[str, ...], every: Sequence[str], rng: np.random.Generator) -> tuple[str, ...]:
    if len(words) < 2:
        return exchanged(words, every, rng)
    at = int(rng.integers(len(words) - 1))
    return (*words[:at], words[at + 1], words[at], *words[at + 2 :])


def _slipped(words: tuple[str, ...], every: Sequence[str], rng: np.random.Generator) -> tuple[str, ...]:
    long = [i for i, word in enumerate(words) if len(word) > 2]
    if not long:
        return exchanged(words, every, rng)
    at = long[int(rng.integers(len(long)))]
    return (*words[:at], _misspelt(words[at], rng), *words[at + 1 :])


def _misspelt(word: str, rng: np.random.Generator) -> str:
    at, way = int(rng.integers(len(word) - 1)), int(rng.integers(4))
    letter = _ALPHABET[int(rng.integers(len(_ALPHABET)))]
    ways = (word[at + 1] + word[at], word[at + 1], word[at] * 2 + word[at + 1], letter + word[at + 1])
    return word[:at] + ways[way] + word[at + 2 :]


def exchanged(words: tuple[str, ...], every: Sequence[str], rng: np.random.Generator) -> tuple[str, ...]:
    """One word given up for any of the others."""
    at = int(rng.integers(len(words)))
    return (*words[:at], every[int(rng.integers(len(every)))], *words[at + 1 :])
