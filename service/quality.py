"""Cheap measures of how an input is written or exposed, apart from what it means: typos, another language, length, blur, noise.

A `Gauge` measures payloads; each measure becomes two channels of the scan, because a shift either way counts. A text gauge knows the
reference's own letters and how often each three of them follow one another: counts over all rows, no text.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from service.records import Payload

LOOK = 500
"""Characters at the start of a text that spelling and symbols are measured on, so that a long text costs no more; `length` is of all."""

_LETTERS = 46
"""The commonest characters of the reference; all others, and the edge of a text, count as one each."""
_OTHER, _EDGE, _CODES = _LETTERS, _LETTERS + 1, _LETTERS + 2
_TRIPLES = _CODES**3
_PRIOR = 4.0
"""Weight, in characters, of the shorter context when a longer one is rare."""

_SIDE = 128
"""Pixels that an image is reduced to at most: as much as most models see."""
_GREY_LEVEL = 1 / 255


class Gauge(Protocol):
    """Measures payloads."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of the Q measures."""

    def measure(self, payloads: Sequence[Payload]) -> NDArray[np.float32]:
        """(m, Q); the same for a payload alone and in company, NaN for one of another type."""

    def to_arrays(self) -> Mapping[str, NDArray[np.generic]]:
        """All that `gauge_of` needs."""


def surface(payloads: Sequence[Payload]) -> NDArray[np.float32]:
    """What can be measured of payloads before there is a gauge: an image's quality (m, 5), a text's length (m, 1), nothing (m, 0)."""
    if payloads and all(isinstance(payload, bytes) for payload in payloads):
        return ImageGauge().measure(payloads)
    if any(isinstance(payload, str) for payload in payloads):
        return log_length([payload if isinstance(payload, str) else "" for payload in payloads])[:, None]
    return np.empty((len(payloads), 0), np.float32)


def learn(texts: Sequence[str], surfaces: NDArray[np.float32]) -> tuple[Gauge | None, NDArray[np.float32] | None]:
    """The gauge of a reference with these texts, cut to what is looked at, and its rows' own measures (n, Q); None for vectors, which
    are neither written nor exposed."""
    if surfaces.shape[1] == len(ImageGauge.names):
        return ImageGauge(), surfaces
    if surfaces.shape[1] == 0:
        return None, None
    gauge = TextGauge.learn(texts)
    return gauge, gauge.own(texts, surfaces[:, 0])


def gauge_of(arrays: Mapping[str, NDArray[np.generic]]) -> Gauge | None:
    """Restores what `to_arrays` gave; None from nothing."""
    if not arrays:
        return None
    return TextGauge(str(arrays["letters"]), np.asarray(arrays["counts"], np.uint32)) if "counts" in arrays else ImageGauge()


# --- text ---------------------------------------------------------------------------------------------------------------


class TextGauge:
    """*length* (logarithm of the characters), *symbols* (share that is neither letter, digit nor space) and *spelling*: how surprising
    each character is after the two before it, by the reference's own texts, beyond what guessing would give, in the mean. Typos,
    garbling and other languages raise it; new topics hardly do, because their words are new but pronounceable.

    counts : (A, A, A) uint32, how often the third character followed the first two.

    References
    ----------
    Jelinek and Mercer 1980 (interpolated n-gram estimates), with MacKay and Peto's (1995) weights.
    """

    names: ClassVar[tuple[str, ...]] = ("length", "symbols", "spelling")

    def __init__(self, letters: str, counts: NDArray[np.uint32]) -> None:
        self._letters = letters
        self._counts = counts.reshape(_CODES, _CODES, _CODES)
        self._code = np.full(0x110000, _OTHER, np.uint8)
        self._code[[ord(letter) for letter in letters]] = np.arange(len(letters))
        if "0" in letters:
            self._code[48:58] = self._code[48]
        whole = _Counts(self._counts)
        self._excess = whole.excess(np.arange(_TRIPLES), np.zeros((4, _TRIPLES)))

    @classmethod
    def learn(cls, texts: Iterable[str]) -> TextGauge:
        """From a reference's texts, of which the first 500 characters count."""
        seen: Counter[str] = Counter()
        kept = [text[:LOOK] for text in texts]
        for text in kept:
            seen.update(text)
        digits = sum(seen.pop(digit, 0) for digit in "0123456789")
        if digits:
            seen["0"] = digits
        common = "".join(sorted(sorted(seen, key=lambda c: (-seen[c], c))[:_LETTERS]))
        bare = cls(common, np.zeros(_TRIPLES, np.uint32))
        counts = np.zeros(_TRIPLES, np.int64)
        for start in range(0, len(kept), 4096):
            counts += np.bincount(bare._triples(kept[start : start + 4096])[0], minlength=_TRIPLES)
        return cls(common, np.minimum(counts, 2**32 - 1).astype(np.uint32))

    def measure(self, payloads: Sequence[Payload]) -> NDArray[np.float32]:
        """(m, 3), a few microseconds each."""
        texts = [payload if isinstance(payload, str) else "" for payload in payloads]
        triples, text = self._triples([each[:LOOK] for each in texts])
        measured = _surface(texts, spelling=_means(self._excess[triples], text, len(texts)))
        measured[[not isinstance(payload, str) or not payload for payload in payloads]] = np.nan  # no text is empty: it was withheld
        return measured

    def own(self, texts: Sequence[str], lengths: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n, 3) of the texts it learned from, each measured by all the others: what it would be had it come as fresh traffic.

        lengths : (n,) the measure of each whole text, as `texts` may be cut to what is looked at.
        """
        parts = [self._own(texts[start : start + 1024]) for start in range(0, len(texts), 1024)]
        measured = np.concatenate(parts)
        measured[:, 0] = lengths
        return measured

    def to_arrays(self) -> Mapping[str, NDArray[np.generic]]:
        """Letters and counts."""
        return {"letters": np.array(self._letters), "counts": self._counts}

    def _own(self, texts: Sequence[str]) -> NDArray[np.float32]:
        triples, text = self._triples([each[:LOOK] for each in texts])
        parts = ((1, _TRIPLES), (_CODES, _CODES**2), (1, _CODES**2), (_CODES, _CODES))
        own = np.stack([_repeats(text, triples // base % wrap) for base, wrap in parts])
        excess = _Counts(self._counts).excess(triples, own)
        return _surface(texts, spelling=_means(excess, text, len(texts)))

    def _triples(self, texts: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Every three neighbours of each text with its edges (two before, one after), as one number; and which text they are of."""
        joined = "".join(texts).encode("utf-32-le", "surrogatepass")
        lengths = np.fromiter(map(len, texts), np.int64, len(texts))
        text = np.repeat(np.arange(len(texts)), lengths)
        codes = np.full(len(text) + 3 * len(texts), _EDGE, np.int64)
        codes[np.arange(len(text)) + 3 * text + 2] = self._code[np.frombuffer(joined, "<u4")]
        ends = np.repeat(np.arange(len(texts)), lengths + 3)
        triples = (codes[:-2] * _CODES + codes[1:-1]) * _CODES + codes[2:]
        inside = ends[2:] == ends[:-2]
        return triples[inside], ends[2:][inside]


class _Counts:
    """How often three, two and one characters came, and in front of how many."""

    def __init__(self, counts: NDArray[np.uint32]) -> None:
        triples = counts.astype(np.int64)
        pairs = triples.sum(0)
        self.triple, self.before = triples.ravel(), triples.sum(2).ravel()
        self.pair, self.first, self.single = pairs.ravel(), pairs.sum(1), pairs.sum(0)

    def excess(self, triples: NDArray[np.int64], own: NDArray[np.float64]) -> NDArray[np.float32]:
        """-log P(third | first two) beyond that of a guess, in nats; `own` (4, n): how often the text itself holds the three, the
        first two, the last two and the middle one, which is left out."""
        last, middle, third = triples % _CODES**2, triples // _CODES % _CODES, triples % _CODES
        single = (self.single[third] + 1.0) / (self.single.sum() + _CODES)
        pair = (self.pair[last] - own[2] + _PRIOR * single) / (self.first[middle] - own[3] + _PRIOR)
        triple = (self.triple[triples] - own[0] + _PRIOR * pair) / (self.before[triples // _CODES] - own[1] + _PRIOR)
        return np.asarray(np.maximum(-np.log(triple) - np.log(_CODES), 0.0), np.float32)


def _repeats(text: NDArray[np.int64], key: NDArray[np.int64]) -> NDArray[np.float64]:
    """How often each key comes in its own text."""
    _, at, counts = np.unique(text * _TRIPLES + key, return_inverse=True, return_counts=True)
    return np.asarray(counts[at], np.float64)


def _means(values: NDArray[np.float32], text: NDArray[np.int64], texts: int) -> NDArray[np.float32]:
    return (np.bincount(text, values, texts) / np.maximum(np.bincount(text, minlength=texts), 1)).astype(np.float32)


def _surface(texts: Sequence[str], *, spelling: NDArray[np.float32]) -> NDArray[np.float32]:
    """(m, 3), with the two measures that need no learning."""
    looked = [text[:LOOK] for text in texts]
    lengths = np.fromiter(map(len, looked), np.int64, len(texts))
    code = np.minimum(np.frombuffer("".join(looked).encode("utf-32-le", "surrogatepass"), "<u4"), len(_symbols()) - 1)
    symbols = _means(_symbols()[code], np.repeat(np.arange(len(texts)), lengths), len(texts))
    return np.stack([log_length(texts), symbols, spelling], axis=1)


def log_length(texts: Sequence[str]) -> NDArray[np.float32]:
    """(m,) log(1 + characters)."""
    return np.log1p(np.fromiter(map(len, texts), np.float32, len(texts)))


@lru_cache(1)
def _symbols() -> NDArray[np.float32]:
    """(65,537,) 1 for what is neither letter, digit nor space; the last entry stands for all beyond the basic plane, mostly emoji."""
    plain = (chr(code) for code in range(0x10000))
    return np.array([*(not (c.isalnum() or c.isspace()) for c in plain), True], np.float32)


# --- images -------------------------------------------------------------------------------------------------------------


class ImageGauge:
    """*brightness* and *contrast* (mean and deviation of the grey values, 0-1), *sharpness* (logarithm of the fine structure's share of
    the contrast: blur lowers it, noise raises it), *evenness* (share of pixels like their neighbours: blanks raise it) and *patches*
    (share of pixels in even areas that do not reach the edge: dead blocks, covered parts and burnt-out lights raise it; skies and
    backdrops do not). What covers a part with a texture of its own is new content to all of them.

    The image is decoded a second time, JPEG at a reduced size: cheap beside a model, and the same alone and in company.
    """

    names: ClassVar[tuple[str, ...]] = ("brightness", "contrast", "sharpness", "evenness", "patches")

    def measure(self, payloads: Sequence[Payload]) -> NDArray[np.float32]:
        """(m, 5)"""
        unknown = np.full(len(self.names), np.nan, np.float32)
        return np.stack([_image(payload) if isinstance(payload, bytes) else unknown for payload in payloads])

    def to_arrays(self) -> Mapping[str, NDArray[np.generic]]:
        """Nothing is learned but that there is a gauge."""
        return {"image": np.array(1)}


def _image(payload: bytes) -> NDArray[np.float32]:
    from PIL import Image  # noqa: PLC0415 - an extra: only image monitors need it

    with Image.open(io.BytesIO(payload)) as image:
        image.draft("L", (_SIDE, _SIDE))
        grey = image.convert("L")
    factor = -(-max(grey.size) // _SIDE)
    return exposure(np.asarray(grey.reduce(factor) if factor > 1 else grey, np.float32) / np.float32(255))


def exposure(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """(5,) of grey values (h, w) in 0..1."""
    padded = np.pad(grey, 1, mode="edge")
    around = (padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]) / 4
    fine, contrast = np.abs(grey - around), float(grey.std())
    sharpness = np.log((float(fine.mean()) + 1e-3) / (contrast + 1e-2))
    return np.array([grey.mean(), contrast, sharpness, (fine < _GREY_LEVEL).mean(), _enclosed(grey)], np.float32)


def _enclosed(grey: NDArray[np.float32]) -> float:
    """Share of pixels that are like all eight neighbours, in areas that do not reach the edge."""
    from scipy import ndimage  # noqa: PLC0415 - a third of a second that only image monitors need spend

    even = ndimage.maximum_filter(grey, 3, mode="nearest") - ndimage.minimum_filter(grey, 3, mode="nearest") < _GREY_LEVEL
    area, areas = ndimage.label(even)
    inside = np.arange(areas + 1) > 0
    inside[np.concatenate([area[0], area[-1], area[:, 0], area[:, -1]])] = False
    return float(inside[area].mean())
