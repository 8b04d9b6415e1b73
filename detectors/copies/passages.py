"""Long texts, compared as wholes by the words that hardly any other of them holds.

Prompts, greetings and signatures stand in thousands of texts that have nothing else in common. So a word counts by how rare it is among
the long texts of the set, and what nearly all of them hold counts next to nothing, wherever in the text it stands.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from detectors.copies.duplicates import limit
from detectors.copies.forgery import exchanged
from detectors.copies.words import LONG, Words

_HALF = 0.6
"""Of what two texts hold: less in common is no copy in any set."""

_SLIP = 0.5
"""What a word that no text holds weighs beside one that a single text holds: it may be a slip of another."""


class Passages:
    """How rare each word is among long texts.

    Examples
    --------
    >>> prompt = tuple("you answer for a shop be short and kind".split())
    >>> orders = [(*prompt, "parcel", f"number{i}", f"street{i}", f"town{i}") for i in range(50)]
    >>> passages = Passages(orders)
    >>> round(passages.alike(orders[0], orders[1]), 2), round(passages.alike(orders[0], (*orders[0][:-1], "twon0")), 2)
    (0.0, 0.57)
    >>> passages.telling(orders[7], 3)
    ('number7', 'street7', 'town7')

    References
    ----------
    Spärck Jones, "A statistical interpretation of term specificity and its application in retrieval", 1972.
    Broder, "On the resemblance and containment of documents", 1997.
    """

    def __init__(self, texts: Iterable[Words]) -> None:
        held = [set(words) for words in texts]
        came = Counter(word for words in held for word in words)
        self._weight = {word: float(np.log((len(held) + 1) / count) ** 2) for word, count in came.items()}
        self._unknown = _SLIP * float(np.log(len(held) + 1) ** 2)
        self._words = sorted(came)

    def telling(self, words: Words, k: int = LONG) -> Words:
        """The k rarest words of a text, each once, in order."""
        once = list(dict.fromkeys(words))
        weights = np.array([self._weight.get(word, self._unknown) for word in once])
        return tuple(once[at] for at in np.sort(np.argsort(-weights, kind="stable")[:k]))

    def alike(self, one: Words, other: Words) -> float:
        """0 to 1: what both hold over what either does, by weight: Σ_{w in both} w / Σ_{w in either} w."""
        a, b = set(one), set(other)
        both, either = (sum(self._weight.get(word, self._unknown) for word in part) for part in (a & b, a | b))
        return both / either if either else 1.0

    def limits(self, natural: NDArray[np.float64], texts: Iterable[Words], rng: np.random.Generator) -> tuple[float, float]:
        """How alike a copy is at least, and how alike one with a single other word mostly is.

        natural : (k,) of texts to the most alike other of the set. texts : those that copies are forged of.
        """
        forged = np.array([self.alike(words, exchanged(words, self._words, rng)) for words in texts])
        return (max(_HALF, limit(natural, forged)), float(np.median(forged))) if len(forged) else (_HALF, 1.0)
