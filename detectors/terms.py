"""Which words tell one set of texts from others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from scipy import special

from detectors.bounds import difference_interval, tail_z

Words: TypeAlias = Sequence[str]
"""Of one text, in order."""

_FEWEST = 3
"""Texts that a term stands in before it is asked whether its share moved."""


def class_terms(classes: Sequence[Collection[Words]], most: int) -> list[tuple[str, ...]]:
    """Of each class of texts the terms that stand for it, best first: by the root of its frequency f(t, c) over the class's words,
    times log(1 + A / f(t)), A the mean number of words of a class and f(t) the term's over all classes. The root keeps down what every
    class says.

    Terms that stand in one text of a class only are left out where the class has several.

    References
    ----------
    Grootendorst, "BERTopic: Neural topic modeling with a class-based TF-IDF procedure", arXiv 2203.05794, 2022.

    Examples
    --------
    >>> class_terms([[["book", "a", "flight"], ["a", "flight"]], [["a", "loan"], ["my", "loan"]]], 1)
    [('flight',), ('loan',)]
    """
    counts = [Counter(word for text in texts for word in text) for texts in classes]
    spread = [Counter(word for text in texts for word in set(text)) for texts in classes]
    overall, words = Counter[str](), [max(count.total(), 1) for count in counts]
    for count in counts:
        overall.update(count)
    mean = sum(words) / max(len(words), 1)
    best = []
    for texts, count, stands, total in zip(classes, counts, spread, words, strict=True):
        least = min(2, max(stands.values(), default=0), len(texts))
        weight = {word: float(np.sqrt(n / total) * np.log1p(mean / overall[word])) for word, n in count.items() if stands[word] >= least}
        best.append(tuple(sorted(weight, key=lambda word: (-weight[word], word))[:most]))
    return best


@dataclass(frozen=True, slots=True)
class Telling:
    """A term and the shares of the texts that hold it."""

    term: str
    window: float
    reference: float


def telling_terms(
    window: Sequence[Words], reference: Sequence[Words], *, most: int = 10, surprise: float = 0.0, inflation: float = 1.0
) -> list[Telling]:
    """Terms whose share of the texts surely differs, those that tell most first: by class-TF-IDF of the window less that of the
    reference, whatever its sign.

    Sure is what a 95 % interval of the difference says that holds over all terms asked about, and for a window whose choice would show
    `surprise` by chance. `inflation`: samples that are worth one where they come in sessions.

    Examples
    --------
    >>> window = [["a", "flight"]] * 10 + [["a", "bill"]] * 10
    >>> [(t.term, t.window, t.reference) for t in telling_terms(window, [["a", "bill"]] * 100)]
    [('flight', 0.5, 0.0), ('bill', 0.5, 1.0)]
    """
    if not window or not reference:
        return []
    sides = window, reference
    holding = [Counter(word for text in texts for word in set(text)) for texts in sides]
    asked = sorted(word for word in holding[0].keys() | holding[1].keys() if holding[0][word] + holding[1][word] >= _FEWEST)
    if not asked:
        return []
    shares = [np.array([holds[word] for word in asked]) / len(texts) for holds, texts in zip(holding, sides, strict=True)]
    z = max(tail_z(surprise), float(-special.ndtri(0.025 / len(asked))))
    low, high = difference_interval(shares[0], len(window) / inflation, shares[1], len(reference) / inflation, z)
    sure = np.flatnonzero((low > 0) | (high < 0))
    counts = [Counter(word for text in texts for word in text) for texts in sides]
    totals = [max(count.total(), 1) for count in counts]
    rarity = {asked[i]: float(np.log1p(sum(totals) / 2 / (counts[0][asked[i]] + counts[1][asked[i]]))) for i in sure}
    weight = {
        word: abs(np.sqrt(counts[0][word] / totals[0]) - np.sqrt(counts[1][word] / totals[1])) * rare for word, rare in rarity.items()
    }
    best = sorted(sure.tolist(), key=lambda i: (-weight[asked[i]], asked[i]))[:most]
    return [Telling(asked[i], float(shares[0][i]), float(shares[1][i])) for i in best]
