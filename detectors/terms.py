"""Which words tell one set of texts from others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import special

from detectors.bounds import difference_interval, tail_z

Words: TypeAlias = Sequence[str]
"""Of one text, in order."""

_FEWEST = 3
"""Texts that a term stands in before it is asked whether its share moved."""
_LIFT = 3.0
"""Times as often as elsewhere that a term must stand in texts that it tells."""
_COMMON = 0.05
"""Share of the texts elsewhere from which a term belongs to the language, not to what is spoken of."""


def class_terms(classes: Sequence[Collection[Words]], most: int, beside: Sequence[Collection[Words]] = ()) -> list[tuple[str, ...]]:
    """Of each class of texts the terms that tell it from those beside it (by default the other classes), best first.

    A term stands in a share p of the class's texts and q of those beside. Those weigh by class-TF-IDF on texts, sqrt(p) log(1 + 1 / q), of
    which p >= 3 q holds: what every text says tells nothing. So do terms with q over a twentieth, the function words of whatever
    language; they count only where no other term tells. Terms of one text alone are left out where the class has several.

    References
    ----------
    Grootendorst, "BERTopic: Neural topic modeling with a class-based TF-IDF procedure", arXiv 2203.05794, 2022.

    Examples
    --------
    >>> class_terms([[["book", "a", "flight"], ["a", "flight"]], [["a", "loan"], ["my", "loan"]]], 1)
    [('flight',), ('loan',)]
    """
    holding = [_holding(texts) for texts in classes]
    sizes = [len(texts) for texts in classes]
    if beside:
        others = [(_holding(texts), len(texts)) for texts in beside]
    else:
        overall = Counter[str]()
        for counts in holding:
            overall.update(counts)
        others = [(overall - counts, sum(sizes) - size) for counts, size in zip(holding, sizes, strict=True)]
    return [_best(counts, size, *other)[:most] for counts, size, other in zip(holding, sizes, others, strict=True)]


def _holding(texts: Collection[Words]) -> Counter[str]:
    """Term → texts that hold it."""
    return Counter(word for text in texts for word in set(text))


def _best(counts: Counter[str], size: int, elsewhere: Counter[str], others: int) -> tuple[str, ...]:
    """Terms that tell, best first."""
    found: dict[bool, list[tuple[float, str]]] = {True: [], False: []}
    for word, count in counts.items():
        inside, outside = count / size, elsewhere[word] / max(others, 1)
        if count >= min(2, size) and inside >= _LIFT * outside:
            weight = float(np.sqrt(inside) * np.log1p((others + 1) / (elsewhere[word] + 0.5)))
            found[outside <= _COMMON].append((-weight, word))
    best: list[str] = []
    for _, word in sorted(found[True] or found[False]):
        if not any(word.startswith(other) or other.startswith(word) for other in best):  # a plural says nothing more
            best.append(word)
    return tuple(best)


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
    `surprise` by chance. `inflation`: samples that are worth one where they come in sessions. Terms that grew less than threefold or
    shrank by less than two thirds, and those that grew and stood in over a twentieth of the reference's texts, are told only where no
    other is: most are function words.

    Examples
    --------
    >>> window = [["a", "flight"]] * 10 + [["a", "bill"]] * 10
    >>> [(t.term, t.window, t.reference) for t in telling_terms(window, [["a", "bill"]] * 100)]
    [('flight', 0.5, 0.0)]
    """
    if not window or not reference:
        return []
    sides = window, reference
    holding = [_holding(texts) for texts in sides]
    asked = sorted(word for word in holding[0].keys() | holding[1].keys() if holding[0][word] + holding[1][word] >= _FEWEST)
    if not asked:
        return []
    shares = [np.array([holds[word] for word in asked]) / len(texts) for holds, texts in zip(holding, sides, strict=True)]
    z = max(tail_z(surprise), float(-special.ndtri(0.025 / len(asked))))
    low, high = difference_interval(shares[0], len(window) / inflation, shares[1], len(reference) / inflation, z)
    sure = np.flatnonzero((low > 0) | (high < 0))
    counts = [Counter(word for text in texts for word in text) for texts in sides]
    totals = [max(count.total(), 1) for count in counts]
    sure = _speaking(sure, *shares)
    rarity = {asked[i]: float(np.log1p(sum(totals) / 2 / (counts[0][asked[i]] + counts[1][asked[i]]))) for i in sure}
    weight = {
        word: abs(np.sqrt(counts[0][word] / totals[0]) - np.sqrt(counts[1][word] / totals[1])) * rare for word, rare in rarity.items()
    }
    best = sorted(sure.tolist(), key=lambda i: (-weight[asked[i]], asked[i]))[:most]
    return [Telling(asked[i], float(shares[0][i]), float(shares[1][i])) for i in best]


def _speaking(sure: NDArray[np.int64], window: NDArray[np.float64], reference: NDArray[np.float64]) -> NDArray[np.int64]:
    """Those of the terms that speak of something, or all where none does."""
    now, before = window[sure], reference[sure]
    grew = (now >= _LIFT * before) & (before <= _COMMON)
    speaking = sure[grew | (before >= _LIFT * now)]
    return speaking if len(speaking) else sure
