"""Embeddings that a scenario's traffic is drawn from: a labelled set, and what is no use in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from benchmarks import commits
from benchmarks.figures import Progress
from benchmarks.grid.perturbations import encoded
from benchmarks.public_sets import FASHION_HELD_OUT, Garments, column, embedded, garments, public_sets, requests
from service.records import Payload
from service.settings import EmbedderSettings

Rows = NDArray[np.float32]

_SENTENCES = 3_000
_ODD = 2_000
"""Images of each kind that are no garments."""


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """A set: embeddings (n, d) and classes (n,) 0 to K - 1."""

    rows: Rows
    labels: NDArray[np.int64]
    scattered: Rows
    """Junk that has little in common with other junk."""
    dense: tuple[Rows, Rows]
    """Two kinds of junk; neighbours among one are a cluster."""
    turned: Rows | None = None
    """(n, d) the same samples as they look after the drift, where it changes looks."""
    held_out: tuple[int, ...] = ()
    """Classes that the embedder was never shown, where it was trained on the others."""


@cache
def clinc150() -> Source:
    """Requests of 150 intents; junk: requests out of scope, sentences of Wikipedia, commit messages."""
    found, path = requests(), public_sets() / "text/clinc150.parquet"
    intents, domains = (np.array(column(path, name), np.str_) for name in ("label", "domain"))
    rows = embedded("clinc150", found.embedder, found.texts.tolist, _quiet).load()[0]
    texts = np.array(column(path, "text"), object)
    outside = embedded("clinc150-oos", found.embedder, texts[domains == "oos"].tolist, _quiet).load()[0]
    return _texts(rows, intents[domains != "oos"], outside)


@cache
def hwu64() -> Source:
    """Requests of 64 intents to a home assistant; junk: sentences of Wikipedia, commit messages."""
    path = public_sets() / "text/hwu64.parquet"
    texts, labels = (column(path, name) for name in ("text", "label"))
    rows = embedded("hwu64", requests().embedder, lambda: texts, _quiet).load()[0]
    return _texts(rows, np.array(labels, np.str_), np.empty((0, rows.shape[1]), np.float32))


@cache
def snips() -> Source:
    """Requests of seven intents to a voice assistant; junk: sentences of Wikipedia, commit messages."""
    path = public_sets() / "text/snips.parquet"
    texts, labels = (column(path, name) for name in ("text", "label"))
    rows = embedded("snips", requests().embedder, lambda: texts, _quiet).load()[0]
    return _texts(rows, np.array(labels, np.str_), np.empty((0, rows.shape[1]), np.float32))


def _texts(rows: Rows, labels: NDArray[np.str_], outside: Rows) -> Source:
    settings = requests().embedder
    sentences = embedded("wiki_sents", settings, _sentences, _quiet).load()[0]
    messages = embedded("commits", settings, _messages, _quiet).load()[0]
    distinct = messages[np.unique(messages, axis=0, return_index=True)[1]]
    scattered = np.concatenate([outside, sentences[: len(outside) or None]])
    return Source(rows, np.unique(labels, return_inverse=True)[1], scattered, (distinct, distinct))


def _sentences() -> Sequence[Payload]:
    texts = column(public_sets() / "text/wiki_sents.parquet", "text")
    return [texts[row] for row in np.random.default_rng(0).permutation(len(texts))[:_SENTENCES]]


def _messages() -> Sequence[Payload]:
    return [commit.text for commit in commits.read(public_sets() / "text/commits_numpy.parquet")]


@cache
def turned_garments() -> Source:
    """Ten kinds of garment, upright and lying, in the eyes of a network that was trained on all ten, upright."""
    found = garments()
    settings = found.embedder.model_copy(update={"model": public_sets() / "models/image/fashion_mnist_cnn.onnx"})
    turned = _pictures("selection-turned", np.rot90(found.images, axes=(1, 2)), settings)
    return _images("selection-ten", found, settings, turned=turned)


@cache
def new_garments() -> Source:
    """Ten kinds of garment, two of which the network never saw."""
    found = garments()
    return _images("selection-eight", found, found.embedder, held_out=FASHION_HELD_OUT)


def _images(name: str, found: Garments, settings: EmbedderSettings, *, turned: Rows | None = None, held_out: Sequence[str] = ()) -> Source:
    classes, labels = np.unique(found.names, return_inverse=True)
    rows = _pictures(name if turned is not None else "fashion_mnist", found.images, settings)
    rng = np.random.default_rng(0)
    odd = {kind: made(found.images[rng.permutation(len(found.images))[:_ODD]], rng) for kind, made in _JUNK.items()}
    junk = {kind: _pictures(f"{name}-{kind}", images, settings) for kind, images in odd.items()}
    scattered = np.concatenate([junk["crops"], junk["puzzles"]])
    return Source(
        rows, labels, scattered, (junk["inverted"], junk["noise"]), turned, tuple(np.flatnonzero(np.isin(classes, held_out)).tolist())
    )


def _cropped(images: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """A ninth of the image, as large as the whole."""
    corners = rng.integers(0, 19, (len(images), 2))
    parts = [image[y : y + 10, x : x + 10] for image, (y, x) in zip(images, corners, strict=True)]
    return np.stack([np.kron(part, np.ones((3, 3), np.uint8))[1:29, 1:29] for part in parts])


def _puzzled(images: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """The 16 squares of the image, each from another one."""
    squares = images.reshape(-1, 4, 7, 4, 7).swapaxes(2, 3).reshape(-1, 16, 7, 7)
    mixed = np.stack([squares[rng.permutation(len(squares)), at] for at in rng.permutation(16)], 1)
    return mixed.reshape(-1, 4, 4, 7, 7).swapaxes(2, 3).reshape(-1, 28, 28)


def _noise(images: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """A sensor in the dark."""
    return np.clip(rng.normal(40, 40, images.shape), 0, 255).astype(np.uint8)


def _inverted(images: NDArray[np.uint8], _: np.random.Generator) -> NDArray[np.uint8]:
    return 255 - images


_JUNK = {"crops": _cropped, "puzzles": _puzzled, "inverted": _inverted, "noise": _noise}


def _pictures(name: str, images: NDArray[np.uint8], settings: EmbedderSettings) -> Rows:
    return embedded(name, settings, lambda: [encoded(image) for image in images], _quiet).load()[0]


def _quiet(_: str) -> None:
    """Seconds, once."""


SOURCES: dict[str, Callable[[], Source]] = {
    "clinc150": clinc150,
    "hwu64": hwu64,
    "snips": snips,
    "turned garments": turned_garments,
    "new garments": new_garments,
}


def embed_all(progress: Progress) -> None:
    """Before several processes would."""
    for name, source in SOURCES.items():
        progress(f"embedding {name}")
        source()
