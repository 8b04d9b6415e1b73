"""What goes wrong with inputs without their content being new: slips of the pen, another language, images taken badly."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

TYPO_RATE = 0.15
"""Share of words with one slip each."""

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_SYLLABLES = [c + v for c in "bdfgklmnprstvz" for v in ("a", "e", "i", "o", "u", "ou", "ey")]


def mistyped(texts: Sequence[str], seed: int) -> list[str]:
    """One letter swapped with its neighbour, left out, doubled or replaced in a share of the words of two letters and more."""
    rng = np.random.default_rng(seed)
    return [" ".join(_slip(word, rng) if rng.random() < TYPO_RATE else word for word in text.split()) for text in texts]


def _slip(word: str, rng: np.random.Generator) -> str:
    if len(word) < 2:
        return word
    at, kind = int(rng.integers(len(word) - 1)), int(rng.integers(4))
    put = (word[at + 1] + word[at], word[at + 1], word[at] * 2 + word[at + 1], _LETTERS[int(rng.integers(26))] + word[at + 1])[kind]
    return word[:at] + put + word[at + 2 :]


def translated(texts: Sequence[str]) -> list[str]:
    """A made-up language with a grammar like the original's: each word always becomes the same two to four syllables."""
    return [" ".join(_foreign(word) for word in text.split()) for text in texts]


def _foreign(word: str) -> str:
    code, parts = zlib.crc32(word.lower().encode()), []
    for _ in range(2 + code % 3):
        code, syllable = divmod(code, len(_SYLLABLES))
        parts.append(_SYLLABLES[syllable])
    return "".join(parts)


def blurred(image: NDArray[np.uint8], _: np.random.Generator) -> NDArray[np.uint8]:
    """Out of focus by one pixel."""
    return _grey(ndimage.gaussian_filter(image.astype(np.float32), 0.7))


def overexposed(image: NDArray[np.uint8], _: np.random.Generator) -> NDArray[np.uint8]:
    """A quarter more light, cut at white."""
    return _grey(image * 1.25)


def noisy(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Gaussian noise of 15 grey levels."""
    return _grey(image + rng.normal(0, 15, image.shape))


def occluded(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """A black square of a seventh of the side, anywhere."""
    side = image.shape[0] // 7
    y, x = rng.integers(0, image.shape[0] - side, 2)
    spoilt = image.copy()
    spoilt[y : y + side, x : x + side] = 0
    return spoilt


IMAGES: Mapping[str, Callable[[NDArray[np.uint8], np.random.Generator], NDArray[np.uint8]]] = {
    "blur": blurred,
    "exposure": overexposed,
    "noise": noisy,
    "occlusion": occluded,
}


def encoded(image: NDArray[np.uint8]) -> bytes:
    """PNG, as it would be sent."""
    from PIL import Image  # noqa: PLC0415 - an extra, and only for images

    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def _grey(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)
