"""Texts that are copies of others but for case, punctuation, slips of the pen or a word, told from texts that are merely alike.

Two requests for an alarm at different hours differ in a word and are no copies; a sentence with one word out of place is one. What tells
them apart is how much of a text another one explains that the language of the set does not, and how badly the rest fits. How much is
much depends on the set: the weights are learned from copies that are forged here, against rows of the set and what is most like them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from detectors.copies.alignment import align, slips_between
from detectors.copies.duplicates import Copies, Twins
from detectors.copies.forgery import DIFFERING, TRAITS, Judge, forged, traits_of
from detectors.copies.grams import Grams
from detectors.copies.language import Ids, Sequences, Surprise, Vocabulary, WordModel, chosen
from detectors.copies.passages import Passages
from detectors.copies.words import LONG, Words, content_of, words_of

_NEAREST = 3
"""Texts that one is held against."""
_DRAWN, _FEWEST = 2_000, 20
"""Texts that the judge learns from, at most and at least."""
_PASSAGES = 1_000
"""Long texts that tell how rare their words are."""
_BLOCK = 4_000


class Wording:
    """The texts of a set, to look for copies of them in.

    Costs some 30 µs a text of the set, 5 s for what it learns from, and 300 µs a text that is looked for. Texts of more than 48 words are
    compared as wholes, by the words that few of them hold.

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
        self._source, self._rng = texts, rng
        self._at: dict[str, int] = {}
        worded: list[Words] = []
        for at, text in enumerate(texts):
            words = words_of(text)
            if words and self._at.setdefault(content_of(words), at) == at:
                worded.append(words if len(words) <= LONG else ())
        self._row = np.array(list(self._at.values()), np.int64)
        self._long = np.array([not words for words in worded], np.bool_)
        self._passages = Passages(map(self._words, self._some(np.flatnonzero(self._long), _PASSAGES)))
        self._texts = [words or self._passages.telling(self._words(at)) for at, words in enumerate(worded)]
        self._vocabulary = Vocabulary()
        self._known = self._vocabulary.sequences(self._texts)
        self._index = Grams.of([" ".join(words) for words in self._texts])
        self._model = WordModel.learn(self._known.take(np.flatnonzero(~self._long), LONG))
        self._drawn = self._some(np.arange(len(worded)), _DRAWN)
        progress(1.0)

    @cached_property
    def twins(self) -> Twins:
        """Of a draw of the distinct texts; of none in a set too small to tell."""
        if len(self._drawn) < _FEWEST:
            return Twins(self._row[:0], self._row[:0])
        nearest, natural, alike = self._natural
        slipped = ((natural[:, :, DIFFERING] == 0) | (alike >= self._limits[1])) & (nearest >= 0)
        twin = nearest[np.arange(len(nearest)), slipped.argmax(1)]
        return Twins(self._row[self._drawn], np.where(slipped.any(1), self._row[twin], -1))

    def copies(self, texts: Sequence[str], *, progress: Callable[[float], None] = lambda _: None) -> Copies:
        """Of other texts, whether each is a copy of one of these."""
        worded = [words_of(text) for text in texts]
        row = np.array([self._at.get(content_of(words), -1) for words in worded], np.int64)
        found = row >= 0
        rest = np.flatnonzero(~found & np.array([bool(words) for words in worded], np.bool_))
        if len(rest) and len(self._texts):
            asked = [worded[i] for i in rest]
            nearest = self._nearest(asked)
            excess = self._excess(asked, nearest, progress)
            at = nearest[np.arange(len(rest)), excess.argmax(1)]
            row[rest] = np.where(np.isfinite(excess).any(1), self._row[at], -1)
            found[rest] = excess.max(1) > 0
        return Copies(row, found)

    def _excess(self, asked: Sequence[Words], nearest: Ids, progress: Callable[[float], None]) -> NDArray[np.float64]:
        """(m, k) by how much each pair is more alike than a copy has to be; -inf where that can't be said."""
        alike = self._alike(asked, nearest) - self._limits[0]
        if self._judge is None:
            return alike
        short = self._judge.likeness(self._traits(asked, nearest, progress=progress)) - self._judge.limit
        return np.maximum(short, alike)

    @cached_property
    def _natural(self) -> tuple[Ids, NDArray[np.float64], NDArray[np.float64]]:
        """What is most like each text drawn, the traits of these pairs, and of long ones how alike they are."""
        chosen = [self._words(i) for i in self._drawn]
        nearest = self._nearest(chosen, without=self._drawn)
        return nearest, self._traits(chosen, nearest, own=True), self._alike(chosen, nearest)

    @cached_property
    def _judge(self) -> Judge | None:
        """Knows forged copies of short texts from what is alike by nature; None of a set with too few to learn from."""
        drawn = self._drawn[~self._long[self._drawn]]
        if len(drawn) < _FEWEST:
            return None
        copies = forged([self._texts[i] for i in drawn], self._rng)
        return Judge.learn(self._natural[1][~self._long[self._drawn]], self._traits(copies, drawn[:, None])[:, 0])

    @cached_property
    def _limits(self) -> tuple[float, float]:
        """Of long texts: how alike copies are at least, and those that differ by a word mostly."""
        drawn = self._long[self._drawn]
        return self._passages.limits(self._natural[2][drawn].max(1), map(self._words, self._drawn[drawn]), self._rng)

    def _some(self, of: Ids, most: int) -> Ids:
        return np.sort(self._rng.choice(of, min(len(of), most), replace=False))

    def _words(self, at: int) -> Words:
        """All of them: of long texts no more than the telling ones are kept."""
        return words_of(self._source[self._row[at]])

    def _nearest(self, texts: Sequence[Words], *, without: Ids | None = None) -> Ids:
        """(m, k) the texts of the set that share most letters with each, of long ones with their telling words."""
        looked = (words if len(words) <= LONG else self._passages.telling(words) for words in texts)
        return self._index.nearest([" ".join(words) for words in looked], _NEAREST, without=without)

    def _alike(self, texts: Sequence[Words], rows: Ids) -> NDArray[np.float64]:
        """(m, k) of pairs in which a text is long, how alike the whole texts are; -inf for others."""
        alike = np.full(rows.shape, -np.inf)
        long = np.array([len(words) > LONG for words in texts], np.bool_)
        for text, place in np.argwhere((rows >= 0) & (long[:, None] | self._long[rows])).tolist():
            alike[text, place] = self._passages.alike(texts[text], self._words(rows[text, place]))
        return alike

    def _traits(
        self, texts: Sequence[Words], rows: Ids, *, own: bool = False, progress: Callable[[float], None] = lambda _: None
    ) -> NDArray[np.float64]:
        """(m, k, T) of each text beside some of the set, (m, k), -1 for none; -inf where either is long. `own`: it is one of the set."""
        long = np.array([len(words) > LONG for words in texts], np.bool_)
        asked = self._vocabulary.sequences(words[:LONG] for words in texts)
        letters = np.fromiter(map(len, self._vocabulary.words), np.int64, len(self._vocabulary.words))
        traits = np.full((*rows.shape, TRAITS), -np.inf)
        text, place = np.nonzero((rows >= 0) & ~long[:, None] & ~self._long[rows])
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
        turned_round = np.sort(source.ids, 1) == np.sort(copy.ids, 1)
        found = found.reordered(turned_round.all(1), surprise)
        return traits_of(found, copy.length.astype(np.float64), np.abs(totals[0] - totals[1]))
