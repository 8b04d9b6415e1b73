"""What a model's answer to one sample stands on: parts of it are left out, and what is left is embedded again."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from detectors.clustering import nearest, squared_distances
from detectors.occlusion import Occlusion, occlude, occlude_grid
from detectors.summarizer import Summarizer
from service.errors import InputError
from service.ports import Embedded, Embedder
from service.records import Payload

VARIANTS = 128
"""The most times that one sample is embedded, with parts left out."""

MOST_CHARACTERS = 20_000
"""At the start of a text; more than most models read, and more would be tokenised again for each variant."""

_SIDE, _PIXELS, _BATCH, _MOST_COORDINATES = 7, 512, 32, 20

_SIGN = r"\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_PUNCTUATION = r"!-/:-@\[-`{-~¡-¿\u2000-\u206f\u3000-\u303f\uff00-\uff0f"
_LETTERS = rf"[^\s{_SIGN}{_PUNCTUATION}]+"
_WORD = re.compile(rf"{_LETTERS}(?:['’.,-]{_LETTERS})*|[{_SIGN}]|[{_PUNCTUATION}]+")
"""A word, a sign of a script that is written without spaces, or punctuation."""

Progress: TypeAlias = Callable[[float], None]
Render: TypeAlias = Callable[[NDArray[np.bool_]], Payload]
"""A sample without some of its parts."""

ALONE = "A weight is what leaving out this part alone takes away: of parts that say the same, neither may seem to matter."


@dataclass(frozen=True, slots=True)
class Part:
    """Characters, coordinates (`start` to before `end`) or a cell of the grid (both count cells by rows), and what leaving it out takes
    away: of the answer's logit, of the distance to the nearest reference row, of that to its own cluster. NaN: not known."""

    text: str
    start: int
    end: int
    answer: float = math.nan
    novelty: float = math.nan
    cluster: float = math.nan


@dataclass(frozen=True, slots=True)
class Attribution:
    """`of` leads: what the parts are judged by. `whole` is its value for the sample as it is."""

    of: Literal["answer", "novelty"]
    unit: Literal["words", "patches", "coordinates"]
    whole: float
    parts: tuple[Part, ...]
    left_out: int = 0
    """Parts of small weight that are not listed."""
    strongest: tuple[int, ...] = ()
    """Places of the parts that were also left out together."""
    together: float = math.nan
    """What that took away."""
    side: int = 0
    """Of the grid of patches."""
    caveat: str = ALONE


@dataclass(frozen=True, slots=True, eq=False)
class Probe:
    """What is asked of each variant: the logit of one class, and where it lies; `answer` None or no summarizer leaves that out."""

    answer: int | None
    summarizer: Summarizer | None
    cluster: int = 0

    @property
    def names(self) -> tuple[str, ...]:
        """Of the measures, the leading one first."""
        return (*(("answer",) if self.answer is not None else ()), *(("novelty", "cluster") if self.summarizer is not None else ()))

    def __call__(self, embedded: Embedded) -> NDArray[np.float64]:
        """(m, measures)"""
        columns: list[NDArray[np.floating]] = []
        if self.answer is not None and embedded.logits is not None:
            columns.append(embedded.logits[:, self.answer])
        if self.summarizer is not None:
            prototypes = self.summarizer.prototypes - self.summarizer.centre
            squared = squared_distances(embedded.embedding - self.summarizer.centre, prototypes)
            own = self.summarizer.prototype_cluster == self.cluster
            columns += [np.sqrt(squared.min(1)), np.sqrt(squared[:, own].min(1))]
        return np.stack(columns, 1).astype(np.float64)


def attribute(payload: Payload, embedder: Embedder, probe: Probe, *, fill: Payload | None, progress: Progress) -> Attribution:
    """InputError where nothing of the payload can be left out. `fill` stands for coordinates that are: a vector of zeros by default."""
    if isinstance(payload, str):
        return _of_text(payload, embedder, probe, progress)
    if isinstance(payload, bytes):
        return _of_image(payload, embedder, probe, progress)
    return _of_tensor(payload, embedder, probe, fill if isinstance(fill, np.ndarray) else np.zeros_like(payload), progress)


def attribute_embedding(embedding: NDArray[np.float32], summarizer: Summarizer) -> Attribution:
    """Where there is no model to ask: each coordinate's share of the squared distance to the nearest prototype, which they add up to."""
    squared, at = nearest(embedding[None] - summarizer.centre, summarizer.prototypes - summarizer.centre)
    gaps = (embedding.astype(np.float64) - summarizer.prototypes[at[0]]) ** 2
    order = np.argsort(-gaps, kind="stable")[:_MOST_COORDINATES]
    parts = tuple(Part(_coordinates(i, i + 1), int(i), int(i) + 1, novelty=float(gaps[i])) for i in order)
    caveat = "A weight is the coordinate's part of the squared distance: exact, but coordinates of an embedding seldom mean something."
    return Attribution("novelty", "coordinates", float(squared[0]), parts, len(gaps) - len(parts), caveat=caveat)


def pieces(text: str) -> list[tuple[int, int]]:
    """Consecutive stretches of the text's first 20,000 characters, each a word or sign with the blanks after it; they leave nothing out."""
    starts = [found.start() for found in _WORD.finditer(text[:MOST_CHARACTERS])]
    if not starts:
        return []
    edges = [0, *starts[1:], min(len(text), MOST_CHARACTERS)]
    return list(pairwise(edges))


# --- kinds of samples ---------------------------------------------------------------------------------------------


def _of_text(text: str, embedder: Embedder, probe: Probe, progress: Progress) -> Attribution:
    words = pieces(text)
    if len(words) < 2:
        raise InputError("too_few", "the text is one word: there is nothing to leave out")

    def without(out: NDArray[np.bool_]) -> Payload:
        return "".join(text[start:end] for (start, end), gone in zip(words, out.tolist(), strict=True) if not gone)

    found = occlude(len(words), _Asked(without, embedder, probe, progress), variants=VARIANTS)
    stretches = [(words[first][0], words[end - 1][1]) for first, end in found.groups.tolist()]
    parts = tuple(_part(text[a:b].strip(), (a, b), weights, probe) for (a, b), weights in zip(stretches, found.weight, strict=True))
    caveat = f"{ALONE} Of the text its first {MOST_CHARACTERS:,} characters were looked at." if len(text) > MOST_CHARACTERS else ALONE
    return _attribution("words", probe, found, parts, caveat)


def _of_tensor(tensor: NDArray[np.float32], embedder: Embedder, probe: Probe, fill: NDArray[np.float32], progress: Progress) -> Attribution:
    flat, filling = tensor.ravel(), np.resize(fill.ravel(), tensor.size)
    if len(flat) < 2:
        raise InputError("too_few", "the vector is one number: there is nothing to leave out")

    def without(out: NDArray[np.bool_]) -> Payload:
        return np.where(out, filling, flat).reshape(tensor.shape).astype(np.float32)

    found = occlude(len(flat), _Asked(without, embedder, probe, progress), variants=VARIANTS)
    groups = [(int(first), int(end)) for first, end in found.groups]
    parts = tuple(_part(_coordinates(*group), group, weights, probe) for group, weights in zip(groups, found.weight, strict=True))
    return _attribution("coordinates", probe, found, parts, ALONE)


def _of_image(payload: bytes, embedder: Embedder, probe: Probe, progress: Progress) -> Attribution:
    without = covered(payload, _SIDE)
    weight, whole = occlude_grid(_SIDE, _Asked(without, embedder, probe, progress))
    cells = [divmod(cell, _SIDE) for cell in range(_SIDE * _SIDE)]
    flat = weight.reshape(len(cells), -1)
    parts = tuple(_part(f"row {row + 1}, column {column + 1}", (at, at + 1), flat[at], probe) for at, (row, column) in enumerate(cells))
    caveat = f"{ALONE} Squares of four patches are covered with the image's mean colour."
    return Attribution(_leading(probe), "patches", float(whole[0]), parts, side=_SIDE, caveat=caveat)


def covered(payload: bytes, side: int) -> Render:
    """The image in its mean colour where cells are covered; reduced to what models see of it."""
    from PIL import Image  # noqa: PLC0415 - an extra: only image monitors need it

    with Image.open(io.BytesIO(payload)) as image:
        pixels = image.convert("RGB")
    pixels.thumbnail((_PIXELS, _PIXELS))
    colours = np.asarray(pixels)
    mean = colours.reshape(-1, 3).mean(0).round().astype(np.uint8)
    down, across = (np.arange(length) * side // length for length in colours.shape[:2])

    def without(out: NDArray[np.bool_]) -> Payload:
        covered = out.reshape(side, side)[np.ix_(down, across)]
        buffer = io.BytesIO()
        Image.fromarray(np.where(covered[:, :, None], mean, colours)).save(buffer, "BMP")
        return buffer.getvalue()

    return without


# --- asking -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    """Embeds variants in batches; those that the embedder refuses are not known."""

    without: Render
    embedder: Embedder
    probe: Probe
    progress: Progress

    def __call__(self, out: NDArray[np.bool_]) -> NDArray[np.float64]:
        answers = []
        for start in range(0, len(out), _BATCH):
            answers.append(self._batch([self.without(row) for row in out[start : start + _BATCH]]))
            self.progress(min(1.0, (start + _BATCH) / len(out)))
        return np.concatenate(answers)

    def _batch(self, variants: Sequence[Payload]) -> NDArray[np.float64]:
        try:
            for variant in variants:
                self.embedder.check(variant)
            return self.probe(self.embedder.embed(variants))
        except InputError:
            if len(variants) == 1:
                return np.full((1, len(self.probe.names)), np.nan)
            return np.concatenate([self._batch([variant]) for variant in variants])


def _part(text: str, at: tuple[int, int], weights: NDArray[np.float64], probe: Probe) -> Part:
    return Part(text, *at, **dict(zip(probe.names, weights.tolist(), strict=True)))


def _leading(probe: Probe) -> Literal["answer", "novelty"]:
    return "answer" if probe.answer is not None else "novelty"


def _attribution(
    unit: Literal["words", "coordinates"], probe: Probe, found: Occlusion, parts: tuple[Part, ...], caveat: str
) -> Attribution:
    whole, together, strongest = float(found.whole[0]), float(found.together[0]), tuple(found.strongest.tolist())
    return Attribution(_leading(probe), unit, whole, parts, strongest=strongest, together=together, caveat=caveat)


def _coordinates(first: int, end: int) -> str:
    return f"[{first}]" if end == first + 1 else f"[{first}:{end}]"
