"""Texts that are copies of others but for case, punctuation, slips of the pen or a word, told from texts that are merely alike.

Two requests for an alarm at different hours differ in a word and are no copies; a sentence with one word out of place is one. What tells
them apart is how much of a text another one explains that the language of the set does not, and how badly the rest fits. How much is
much depends on the set: the weights are learned from copies that are forged here, against rows of the set and what is most like them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.copies.alignment import align, slips_between
from detectors.copies.duplicates import Copies
from detectors.copies.forgery import DIFFERING, TRAITS, Judge, forged, traits_of
from detectors.copies.grams import Grams
from detectors.copies.language import Ids, Sequences, Surprise, Vocabulary, WordModel, chosen

Words = tuple[str, ...]

_LOOK, _WORDS = 500, 48
"""Characters and words at the start of a text that are looked at."""
_NEAREST = 3
"""Texts that one is held against."""
_DRAWN, _FEWEST = 2_000, 20
"""Texts that the judge learns from, at most and at least."""
_BLOCK = 4_000

_UNSPACED = ((0x0E00, 0x0EFF), (0x3040, 0x30FF), (0x3400, 0x9FFF), (0xAC00, 0xD7AF))
"""Scripts that set no spaces, or whose syllables say enough: each letter is a word."""


def words_of(text: str) -> Words:
    """Without case, punctuation and spacing; of a text that holds nothing else, what it holds.

    Examples
    --------
    >>> words_of("Where's my REFUND?!")
    ('where', 's', 'my', 'refund')
    """
    looked = text[:_LOOK].casefold()
    return tuple("".join(map(_spaced, looked)).split()[:_WORDS]) or tuple(looked.split()[:_WORDS])


@lru_cache(100_000)
def _spaced(letter: str) -> str:
    if not letter.isalnum():
        return " "
    return f" {letter} " if any(first <= ord(letter) <= last for first, last in _UNSPACED) else letter


class Twins(NamedTuple):
    """Within a set, of a draw (k,) of its rows: which row is the same but for slips, -1 where none is."""

    drawn: Ids
    row: Ids


class Wording:
    """The texts of a set, to look for copies of them in.

    Costs some 30 µs a text of the set, 5 s for what it learns from, and 300 µs a text that is looked for, up to 48 words of each.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> words = np.array([a + b for a in ("re", "con", "ex", "in", "per") for b in ("fund", "tract", "port", "form", "ceive", "press")])
    >>> texts = [" ".join(rng.choice(words, 6)) for _ in range(300)]
    >>> slipped = texts[7].replace("re", "er", 1).replace("in", "ni", 1).title()
    >>> copies = Wording(texts, rng=rng).copies([texts[3].upper() + "!", slipped, " ".join(rng.choice(words, 6))])
    >>> copies.row[:2].tolist(), copies.found.tolist()
    ([3, 7], [True, True, False])

    References
    ----------
    Fellegi and Sunter, "A theory for record linkage", 1969 (agreement weighs by how unlikely it is by chance).
    Altschul et al., "Basic local alignment search tool", 1990.
    """

    def __init__(self, texts: Sequence[str], *, rng: np.random.Generator, progress: Callable[[float], None] = lambda _: None) -> None:
        self._at: dict[Words, int] = {}
        for at, text in enumerate(texts):
            if words := words_of(text):
                self._at.setdefault(words, at)
        self._texts = list(self._at)
        self._row = np.array(list(self._at.values()), np.int64)
        self._vocabulary = Vocabulary()
        self._known = self._vocabulary.sequences(self._texts)
        self._index, self._model = Grams.of([" ".join(words) for words in self._texts]), WordModel.learn(self._known)
        self._rng = rng
        self._drawn = np.sort(rng.choice(len(self._texts), min(len(self._texts), _DRAWN), replace=False))
        progress(1.0)

    @cached_property
    def twins(self) -> Twins:
        """Of a draw of the distinct texts; of none in a set too small to tell."""
        if len(self._drawn) < _FEWEST:
            return Twins(self._row[:0], self._row[:0])
        nearest, natural = self._natural
        slipped = (natural[:, :, DIFFERING] == 0) & (nearest >= 0)
        twin = nearest[np.arange(len(nearest)), slipped.argmax(1)]
        return Twins(self._row[self._drawn], np.where(slipped.any(1), self._row[twin], -1))

    def copies(self, texts: Sequence[str], *, progress: Callable[[float], None] = lambda _: None) -> Copies:
        """Of other texts, whether each is a copy of one of these."""
        worded = [words_of(text) for text in texts]
        row = np.array([self._at.get(words, -1) for words in worded], np.int64)
        found = row >= 0
        rest = np.flatnonzero(~found & np.array([bool(words) for words in worded], np.bool_))
        if self._judge is not None and len(rest):
            asked = [worded[i] for i in rest]
            nearest = self._index.nearest([" ".join(words) for words in asked], _NEAREST)
            likeness = self._judge.likeness(self._traits(asked, nearest, progress=progress))
            at = nearest[np.arange(len(rest)), likeness.argmax(1)]
            row[rest] = np.where(at >= 0, self._row[at], -1)
            found[rest] = likeness.max(1) > self._judge.limit
        return Copies(row, found)

    @cached_property
    def _natural(self) -> tuple[Ids, NDArray[np.float64]]:
        """What is most like each text drawn, and the traits of these pairs."""
        chosen = [self._texts[i] for i in self._drawn]
        nearest = self._index.nearest([" ".join(words) for words in chosen], _NEAREST, without=self._drawn)
        return nearest, self._traits(chosen, nearest, own=True)

    @cached_property
    def _judge(self) -> Judge | None:
        """Knows forged copies from what is alike by nature; None of a set too small to learn from."""
        if len(self._drawn) < _FEWEST:
            return None
        copies = forged([self._texts[i] for i in self._drawn], self._rng)
        return Judge.learn(self._natural[1], self._traits(copies, self._drawn[:, None])[:, 0])

    def _traits(
        self, texts: Sequence[Words], rows: Ids, *, own: bool = False, progress: Callable[[float], None] = lambda _: None
    ) -> NDArray[np.float64]:
        """(m, k, T) of each text beside some of the set, (m, k), -1 for none. `own`: it is one of the set itself."""
        asked = self._vocabulary.sequences(texts)
        letters = np.fromiter(map(len, self._vocabulary.words), np.int64, len(self._vocabulary.words))
        traits = np.full((*rows.shape, TRAITS), -np.inf)
        text, place = np.nonzero(rows >= 0)
        longest = np.maximum(asked.length[text], self._known.length[rows[text, place]])
        order = np.argsort(longest, kind="stable")
        for start in range(0, len(order), _BLOCK):
            at = order[start : start + _BLOCK]
            of, width = (text[at], place[at]), int(longest[at].max())
            traits[of] = self._paired(asked.take(of[0], width), self._known.take(rows[of], width), letters, own=own)
            progress(min(1.0, (start + _BLOCK) / len(order)))
        return traits

    def _paired(self, asked: Sequences, known: Sequences, letters: Ids, *, own: bool) -> NDArray[np.float64]:
        """(n, T) of n pairs: the one whose words surprise more is taken for the copy."""
        left_out = [asked, known] if own else [known]
        surprises = [self._model.surprise(texts, letters, left_out) for texts in (asked, known)]
        totals = [surprise.placed.sum(1) for surprise in surprises]
        turned = totals[1] > totals[0]
        copy, source = chosen(turned, known, asked), chosen(turned, asked, known)
        surprise = Surprise(*(np.where(turned[:, None], b, a) for a, b in zip(*surprises, strict=True)))
        seen = self._model.seen(np.arange(len(letters)))
        found = align(source, copy, surprise, slips_between(source, copy, seen, self._vocabulary.words))
        return traits_of(found, copy.length.astype(np.float64), np.abs(totals[0] - totals[1]))
