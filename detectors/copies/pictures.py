"""Images that are copies of others but for a crop, noise or how they were saved, told from images that are merely alike.

A copy leaves almost nothing over once it is laid over its source as it was cropped, and far less than what it has in common with other
images of its kind. How much less is learned from copies forged here, against images of the set and what is most like them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from detectors.copies.duplicates import Copies, Twins
from detectors.copies.forgery import Judge
from detectors.evenly import evenly

SIDE = 28
"""Pixels of the thumbnails."""

Thumbnails = NDArray[np.float32]
"""(n, 28, 28) grey values, 0 to 1."""

_KEPT = (28, 26, 25)
"""Pixels of a side that a crop leaves, of those looked for."""
_COMPONENTS, _FITTED = 48, 4_000
_BLUR = 0.6
"""Pixels: noise and the ways of resizing differ below it."""
_AROUND = 6
"""How many images tell how alike images of a kind are; the best of them are laid over each other."""
_LAID = 3
_STEPS = (0.5, 0.25, 0.12)
"""Pixels by which a crop is moved and widened until it fits."""
_DRAWN, _FEWEST = 1_000, 20
_NOISE = 0.08
"""Deviation of the noise of forged copies, at most."""
_LEAST = 1e-5
_NO_TWINS = Twins(np.empty(0, np.int64), np.empty(0, np.int64))
_CELLS = 4_000_000
"""Likenesses that are held at once: 16 MB."""


class Crop(NamedTuple):
    """Of each of n pairs: the part of one image that is laid over the whole of the other, in pixels; `turned`: the other way round."""

    top: NDArray[np.float32]
    left: NDArray[np.float32]
    side: NDArray[np.float32]
    turned: NDArray[np.bool_]


class Pictures:
    """The images of a set, to look for copies of them in.

    Costs of m images asked and n of the set about 50 · (m + 1,000) · n products of 48 numbers, and half a millisecond an image asked.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> known = ndimage.gaussian_filter(rng.random((300, 28, 28)), (0, 2, 2)).astype(np.float32) * 4 - 1.5
    >>> cropped = cropped_to(known[:2], Crop(*np.float32([[1, 0], [0, 1], [26, 27]]), np.zeros(2, bool)))
    >>> other = ndimage.gaussian_filter(rng.random((2, 28, 28)), (0, 2, 2)).astype(np.float32) * 4 - 1.5
    >>> Pictures(known, rng=rng).copies(np.concatenate([cropped, other])).found.tolist()
    [True, True, False, False]

    References
    ----------
    Sirovich and Kirby, "Low-dimensional procedure for the characterization of human faces", 1987 (principal components of images).
    """

    def __init__(self, known: Thumbnails, *, rng: np.random.Generator, progress: Callable[[float], None] = lambda _: None) -> None:
        self._known = _smooth(known)
        self._progress = progress
        self._rng = rng
        self._mean, self._components = _principal(self._known)
        self._judge: Judge | None = None
        self.twins = _NO_TWINS
        if len(known) >= _FEWEST:
            self._judge, self.twins = self._learned(known)

    def copies(self, asked: Thumbnails) -> Copies:
        """Of other images, whether each is a copy of one of these."""
        if self._judge is None or not len(asked):
            return Copies(np.full(len(asked), -1, np.int64), np.zeros(len(asked), bool))
        traits, row = self._traits(_smooth(asked))
        return Copies(row, self._judge.likeness(traits) > self._judge.limit)

    def _learned(self, known: Thumbnails) -> tuple[Judge, Twins]:
        """From images beside those most like them, and copies of them beside their sources, among those; and which of these are copies,
        but not the same: as like as three of four forged ones."""
        drawn = np.sort(self._rng.choice(len(known), min(len(known), _DRAWN), replace=False))
        natural, row = self._traits(self._known[drawn], own=drawn)
        forged, crop = _forged(known[drawn], self._rng)
        residual = _laid_over(_smooth(forged), self._known[drawn], crop)
        copied = _columns(residual, natural[:, 1], natural[:, 2])
        judge = Judge.learn(natural[:, None, :], copied)
        likeness = judge.likeness(natural)
        twin = (likeness > np.quantile(judge.likeness(copied), 0.25)) & (known[drawn] != known[row]).any((1, 2))
        return judge, Twins(drawn, np.where(twin, row, -1))

    def _traits(self, asked: Thumbnails, *, own: NDArray[np.int64] | None = None) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """(n, T) what the judge looks at, and which image each is most like."""
        row, distance, crops = self._nearest(asked, own)
        residual = np.stack([_laid_over(asked, self._known[row[:, i]], crops[i]) for i in range(min(_LAID, row.shape[1]))], axis=1)
        best = residual.argmin(1)
        around = np.log(np.maximum(distance, 0.0).astype(np.float64) + _LEAST)
        contrast = np.log(asked.std((1, 2)).astype(np.float64) + _LEAST)
        return _columns(residual.min(1), around, contrast), row[np.arange(len(row)), best]

    def _nearest(self, asked: Thumbnails, own: NDArray[np.int64] | None) -> tuple[NDArray[np.int64], NDArray[np.float32], list[Crop]]:
        """(n, 3) the most alike images over all crops, each once; (n,) how far the sixth is uncropped; and by which crops."""
        looks = list(_looks())
        whole, known = self._described(asked, looks[0]), self._described(self._known, looks[0])
        row, distance = np.empty((len(looks), len(asked)), np.int64), np.empty((len(looks), len(asked)), np.float32)
        for number, look in enumerate(looks):
            self._progress(number / len(looks))
            turned = look[3]
            pair = (self._described(asked, look), known) if turned else (whole, self._described(self._known, look))
            row[number], distance[number] = _closest(*pair, own)
        first = _first_of_each(row.T, distance.T)
        chosen = np.array(looks, np.float32)[first]
        crops = [Crop(at[:, 0], at[:, 1], at[:, 2], at[:, 3] > 0) for at in chosen.transpose(1, 0, 2)]
        return np.take_along_axis(row.T, first, 1), _sixth(whole, known, own), crops

    def _described(self, images: Thumbnails, look: tuple[float, float, float, bool]) -> NDArray[np.float32]:
        """(n, d) principal components of a part of each image, of length 1."""
        top, left, side, _ = look
        down, across = _sampling(top, side), _sampling(left, side)
        matrix = np.einsum("ra,cb,rcd->abd", down, across, self._components.reshape(SIDE, SIDE, -1), optimize=True)
        found = images.reshape(len(images), -1) @ matrix.reshape(SIDE * SIDE, -1).astype(np.float32) - self._mean @ self._components
        return np.asarray(found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-9), np.float32)


def cropped_to(images: Thumbnails, crop: Crop) -> Thumbnails:
    """The part of each image, as large as the whole."""
    for axis, start in ((1, crop.top), (2, crop.left)):
        before, behind = _between(start, crop.side)
        low, share = np.expand_dims(before, 3 - axis), np.expand_dims(behind, 3 - axis)
        images = np.take_along_axis(images, low, axis) * (1 - share) + np.take_along_axis(images, low + 1, axis) * share
    return images


def _looks() -> Iterator[tuple[float, float, float, bool]]:
    """Every crop that is looked for: top, left, side, and whether it is the image asked that is the larger one."""
    for side in _KEPT:
        for top in range(SIDE - side + 1):
            for left in range(SIDE - side + 1):
                yield from ((float(top), float(left), float(side), turned) for turned in ((False, True) if side < SIDE else (False,)))


def _sampling(start: float, side: float) -> NDArray[np.float64]:
    """(28, 28) how a stretch of a line becomes a line as long as the whole."""
    rows = np.eye(SIDE)
    low, share = _between(np.array([start], np.float32), np.array([side], np.float32))
    return np.asarray(rows[low[0]] * (1 - share[0, :, None]) + rows[low[0] + 1] * share[0, :, None])


def _between(start: NDArray[np.float32], side: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """(n, 28) the pixel before each place that a stretch is sampled at, and how far behind it that lies."""
    at = np.clip(start[:, None] + (np.arange(SIDE) + 0.5) * (side / SIDE)[:, None] - 0.5, 0, SIDE - 1)
    low = np.minimum(at.astype(np.int64), SIDE - 2)
    return low, (at - low).astype(np.float32)


def _smooth(images: Thumbnails) -> Thumbnails:
    return np.asarray(ndimage.gaussian_filter(images, (0, _BLUR, _BLUR)), np.float32)


def _principal(images: Thumbnails) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The mean image (784,) and the directions (784, d) in which images differ most."""
    rows = images[evenly(len(images), _FITTED)].reshape(-1, SIDE * SIDE)
    mean = rows.mean(0)
    _, directions = np.linalg.eigh(np.cov((rows - mean).T) + np.eye(SIDE * SIDE) * 1e-9)
    return mean, directions[:, -_COMPONENTS:].astype(np.float32)


def _closest(
    asked: NDArray[np.float32], known: NDArray[np.float32], own: NDArray[np.int64] | None
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """(n,) the nearest of rows of length 1, other than itself, and its distance."""
    row, distance = np.empty(len(asked), np.int64), np.empty(len(asked), np.float32)
    for at, alike in _likenesses(asked, known, own):
        row[at] = alike.argmax(1)
        distance[at] = 1 - alike.max(1)
    return row, distance


def _sixth(asked: NDArray[np.float32], known: NDArray[np.float32], own: NDArray[np.int64] | None) -> NDArray[np.float32]:
    """(n,) how far the sixth nearest row is, or the last of fewer."""
    k, distance = min(_AROUND, len(known) - 1), np.empty(len(asked), np.float32)
    for at, alike in _likenesses(asked, known, own):
        distance[at] = 1 + np.partition(-alike, k - 1, axis=1)[:, k - 1]
    return distance


def _likenesses(
    asked: NDArray[np.float32], known: NDArray[np.float32], own: NDArray[np.int64] | None
) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Cosines in blocks of rows, -inf for each row with itself."""
    step = max(1, _CELLS // len(known))
    for start in range(0, len(asked), step):
        at = slice(start, min(start + step, len(asked)))
        alike = asked[at] @ known.T
        if own is not None:
            alike[np.arange(len(alike)), own[at]] = -np.inf
        yield at, alike


def _first_of_each(row: NDArray[np.int64], distance: NDArray[np.float32]) -> NDArray[np.int64]:
    """(n, 3) columns of the three nearest images, each image once; columns repeat where there are fewer."""
    order = distance.argsort(1, kind="stable")
    ranked = np.take_along_axis(row, order, 1)
    again = np.array([[image in seen[:place] for place, image in enumerate(seen)] for seen in ranked.tolist()], bool)
    kept = np.where(again, np.inf, np.arange(row.shape[1])).argsort(1, kind="stable")[:, :_LAID]
    return np.take_along_axis(order, kept, 1)


def _laid_over(asked: Thumbnails, known: Thumbnails, crop: Crop) -> NDArray[np.float64]:
    """(n,) what is left over of each pair, as a share of what it shows, once the crop is moved to where it fits best."""
    larger = np.where(crop.turned[:, None, None], asked, known)
    whole = np.where(crop.turned[:, None, None], known, asked)
    best = _residual(whole, cropped_to(larger, crop))
    for step in _STEPS:
        for field in ("side", "top", "left"):
            for move in (step, -step):
                moved = crop._replace(**{field: getattr(crop, field) + np.float32(move)})
                left = _residual(whole, cropped_to(larger, moved))
                better = left < best
                best = np.where(better, left, best)
                crop = Crop(*(np.where(better, new, old) for new, old in zip(moved, crop, strict=True)))
    return best


def _residual(a: Thumbnails, b: Thumbnails) -> NDArray[np.float64]:
    """1 - correlation."""
    a, b = (each.reshape(len(each), -1) - each.mean((1, 2))[:, None] for each in (a, b))
    scale = np.sqrt(np.einsum("ij,ij->i", a, a) * np.einsum("ij,ij->i", b, b))
    return np.asarray(1 - np.einsum("ij,ij->i", a, b) / np.maximum(scale, 1e-9), np.float64)


def _columns(residual: NDArray[np.float64], around: NDArray[np.float64], contrast: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.stack([-np.log(np.maximum(residual, 0.0) + _LEAST), around, contrast], axis=1)


def _forged(images: Thumbnails, rng: np.random.Generator) -> tuple[Thumbnails, Crop]:
    """Copies by turns cropped and with noise, and how they were cropped."""
    n = len(images)
    side = np.where(np.arange(n) % 2, SIDE, SIDE * rng.uniform(0.9, 1.0, n)).astype(np.float32)
    top, left = ((SIDE - side) * rng.random((2, n))).astype(np.float32)
    crop = Crop(top, left, side, np.zeros(n, bool))
    noise = rng.standard_normal(images.shape) * (rng.uniform(0.0, _NOISE, n) * (np.arange(n) % 2))[:, None, None]
    return np.clip(cropped_to(images, crop) + noise, 0, 1).astype(np.float32), crop
