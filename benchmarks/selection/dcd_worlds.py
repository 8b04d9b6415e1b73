"""Models that fail on a slice, and pools that hold the slice with labels of which a fifth to two fifths are wrong."""

from __future__ import annotations

import subprocess
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks.figures import Skipped
from benchmarks.grid.perturbations import encoded
from benchmarks.public_sets import CACHE, embedded, garments, public_sets
from benchmarks.rivals.environments import interpreter, variables
from benchmarks.selection.head import Head, train
from benchmarks.selection.scenarios import Labelled
from benchmarks.selection.sources import Rows, new_garments, turned_garments
from detectors.selection import Known, Pool

NOISE = (0.2, 0.4)
"""Share of the weak labels of a class that are wrong: drawn for each class between these."""

LOOK_ALIKE = 0.5
"""Share of the wrong labels that name the class most alike; the others name any."""

DRIFTED = 12_000
"""Images that are seen as they look after the drift; the others as they were."""

UNITED = "cleanlab"
"""The environment that brings scikit-learn."""

_DIGITS = (
    "import sys, numpy, sklearn.datasets as sets; found = sets.load_digits(); numpy.savez(sys.argv[1], x=found.images, y=found.target)"
)


@dataclass(frozen=True, slots=True, eq=False)
class Ground:
    """What a scenario is drawn from: what the model was made for, what it fails on, and what is nothing of both. Classes that only the
    failing slice has are the last ones."""

    usual: Labelled
    failing: Labelled
    junk: Rows
    seen: int
    """Classes of the model."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """Rows of each part."""

    train: int = 3_000
    select: int = 800
    test: int = 2_500
    usual: int = 2_700
    failing: int = 900
    junk: int = 900
    validation: int = 1_200
    """Of the failing slice, in which failure samples are looked for."""
    failures: int = 50
    held_out: int = 2_000


@dataclass(frozen=True, slots=True)
class Scenario:
    """Where rows come from, how many there are, and how large a debug-train set is made of them."""

    ground: Callable[[], Ground]
    sizes: Sizes = Sizes()
    budget: int = 400


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """One draw of a scenario. `truth` (n,) of the pool's rows is REJECTED for junk; `failing` (n,) are those of the failing slice."""

    old: Head
    classes: int
    train: Labelled
    test: Labelled
    failures: Labelled
    held_out: Labelled
    """Of the failing slice, whatever the old model says of them."""
    pool: Pool
    known: Known
    truth: NDArray[np.int64]
    failing: NDArray[np.bool_]


def world(name: str, seed: int) -> World:
    """A fresh draw of everything: the same for the same seed."""
    scenario, rng = SCENARIOS[name], np.random.default_rng([seed, zlib.crc32(name.encode())])
    ground, sizes = scenario.ground(), scenario.sizes
    usual = _parts(ground.usual, (sizes.train, sizes.select, sizes.test, sizes.usual), rng)
    failing = _parts(ground.failing, (sizes.failing, sizes.validation, sizes.held_out), rng)
    old = train(usual[0].rows, usual[0].labels, ground.seen)
    failures = failing[1][np.flatnonzero(old.answers(failing[1].rows) != failing[1].labels)[: sizes.failures]]
    classes = int(max(ground.usual.labels.max(), ground.failing.labels.max())) + 1
    junk = ground.junk[rng.permutation(len(ground.junk))[: sizes.junk]]
    rows = np.concatenate([usual[3].rows, failing[0].rows, junk])
    truth = np.concatenate([usual[3].labels, failing[0].labels, np.full(len(junk), -1)])
    weak = mislabelled(truth, _alike(ground, classes), rng)
    order = rng.permutation(len(rows))
    chances = old.probabilities(rows[order])
    pool = Pool(rows[order], chances, chances.argmax(1).astype(np.int64), weak=weak[order])
    select = usual[1]
    known = Known(select.rows, select.labels, old.answers(select.rows), old.probabilities(select.rows), failures.rows, failures.labels)
    member = (order >= len(usual[3])) & (order < len(usual[3]) + len(failing[0]))
    return World(old, classes, usual[0], usual[2], failures, failing[2], pool, known, truth[order], member)


def _parts(all_rows: Labelled, sizes: tuple[int, ...], rng: np.random.Generator) -> list[Labelled]:
    """Disjoint draws."""
    order = rng.permutation(len(all_rows))
    ends = np.cumsum(sizes)
    if ends[-1] > len(order):
        raise ValueError(f"{ends[-1]} rows asked of {len(order)}")
    return [all_rows[order[end - size : end]] for size, end in zip(sizes, ends, strict=True)]


def mislabelled(truth: NDArray[np.int64], alike: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """(n,) weak labels of rows of true classes (n,), -1 for junk, which gets any; alike (C,) is the class most like each."""
    classes = len(alike)
    rate = rng.uniform(*NOISE, classes)
    other = (truth + rng.integers(1, classes, len(truth))) % classes
    near = rng.random(len(truth)) < LOOK_ALIKE
    wrong = rng.random(len(truth)) < rate[truth]
    given = np.where(wrong, np.where(near, alike[truth], other), truth)
    return np.where(truth < 0, rng.integers(0, classes, len(truth)), given)


def _alike(ground: Ground, classes: int) -> NDArray[np.int64]:
    """(C,) the class whose mean lies nearest to each one's."""
    both = [ground.usual if label < ground.seen else ground.failing for label in range(classes)]
    means = np.stack([part.rows[part.labels == label].mean(0) for label, part in enumerate(both)])
    apart = ((means[:, None] - means) ** 2).sum(2)
    np.fill_diagonal(apart, np.inf)
    return np.asarray(apart.argmin(1), np.int64)


# --- Fashion-MNIST ------------------------------------------------------------------------------------------------------


def _blurred(image: NDArray[np.float32], _: np.random.Generator) -> NDArray[np.float32]:
    return np.asarray(ndimage.gaussian_filter(image, 1.5), np.float32)


def _noisy(image: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    return np.asarray(image + rng.normal(0, 50, image.shape), np.float32)


def _occluded(image: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """A black square of half the side, anywhere."""
    spoilt, side = image.copy(), image.shape[0] // 2
    y, x = rng.integers(0, image.shape[0] - side + 1, 2)
    spoilt[y : y + side, x : x + side] = 0
    return spoilt


def _tilted(image: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """By 25 to 55 degrees, to either side."""
    angle = rng.uniform(25, 55) * rng.choice([-1, 1])
    return np.asarray(ndimage.rotate(image, angle, reshape=False, order=1), np.float32)


Corruption = Callable[[NDArray[np.float32], np.random.Generator], NDArray[np.float32]]

CORRUPTIONS: Mapping[str, Corruption] = {"blurred": _blurred, "noisy": _noisy, "occluded": _occluded, "tilted": _tilted}


@cache
def corrupted(kind: str) -> Ground:
    """Ten kinds of garment in the eyes of a network that was trained on good pictures of all ten."""
    source, found = turned_garments(), garments()
    settings = found.embedder.model_copy(update={"model": public_sets() / "models/image/fashion_mnist_cnn.onnx"})

    def spoilt() -> list[bytes]:
        rng = np.random.default_rng(0)
        made = (CORRUPTIONS[kind](image.astype(np.float32), rng) for image in found.images[:DRIFTED])
        return [encoded(np.clip(np.rint(image), 0, 255).astype(np.uint8)) for image in made]

    rows = embedded(f"dcd-{kind}", settings, spoilt, _quiet).load()[0]
    usual = Labelled(source.rows[DRIFTED:], source.labels[DRIFTED:])
    return Ground(usual, Labelled(rows, source.labels[:DRIFTED]), _junk(source.scattered, source.dense), 10)


@cache
def new_classes() -> Ground:
    """Ten kinds of garment, two of which neither the network nor the model ever saw."""
    source = new_garments()
    new = np.isin(source.labels, source.held_out)
    order = np.concatenate([np.setdiff1d(np.arange(10), source.held_out), source.held_out])
    labels = np.argsort(order)[source.labels]
    return Ground(
        Labelled(source.rows[~new], labels[~new]), Labelled(source.rows[new], labels[new]), _junk(source.scattered, source.dense), 8
    )


def _junk(scattered: Rows, dense: tuple[Rows, Rows]) -> Rows:
    """Half of it scattered."""
    half = len(scattered) // 4
    return np.concatenate([scattered, *(rows[:half] for rows in dense), *(rows[half : 2 * half] for rows in dense)])


# --- digits -------------------------------------------------------------------------------------------------------------


@cache
def digits() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """scikit-learn's 1,797 digits of 8 × 8 pixels, 0 to 16; read in an environment of its own."""
    path = CACHE / "digits.npz"
    if not path.exists():
        draft = path.with_suffix(".draft.npz")
        command = [str(interpreter(UNITED, _quiet)), "-c", _DIGITS, str(draft.resolve())]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=variables())
        if done.returncode:
            raise Skipped(f"scikit-learn's digits can't be read: {done.stderr.strip()[-300:]}")
        draft.replace(path)
    with np.load(path, allow_pickle=False) as arrays:
        return arrays["x"].astype(np.float32), arrays["y"].astype(np.int64)


@cache
def tilted_digits() -> Ground:
    """Pixels are the embedding; half of the digits are tilted."""
    images, labels = digits()
    rng, order = np.random.default_rng(0), np.random.default_rng(1).permutation(len(images))
    here, there = order[:1_000], order[1_000:]
    tilted = np.stack([_tilted(image, rng) for image in images[there]])
    return Ground(_flat(images[here], labels[here]), _flat(tilted, labels[there]), _puzzles(images), 10)


@cache
def new_digits() -> Ground:
    """Eight and nine are held out."""
    images, labels = digits()
    new = labels >= 8
    return Ground(_flat(images[~new], labels[~new]), _flat(images[new], labels[new]), _puzzles(images), 8)


def _flat(images: NDArray[np.float32], labels: NDArray[np.int64]) -> Labelled:
    return Labelled(images.reshape(len(images), -1), labels)


def _puzzles(images: NDArray[np.float32]) -> Rows:
    """Digits with their pixels shuffled, each in its own way."""
    return np.asarray(np.random.default_rng(2).permuted(images.reshape(len(images), -1), axis=1)[:600], np.float32)


def _quiet(_: str) -> None:
    """Seconds, once."""


_TILTED = Sizes(train=400, select=150, test=200, usual=250, failing=200, junk=80, validation=250, failures=30, held_out=300)
_NEW = Sizes(train=500, select=200, test=300, usual=300, failing=100, junk=80, validation=80, failures=30, held_out=150)

FASHION: Mapping[str, Scenario] = {
    "Fashion-MNIST, blurred": Scenario(lambda: corrupted("blurred")),
    "Fashion-MNIST, noisy": Scenario(lambda: corrupted("noisy")),
    "Fashion-MNIST, occluded": Scenario(lambda: corrupted("occluded")),
    "Fashion-MNIST, tilted": Scenario(lambda: corrupted("tilted")),
    "Fashion-MNIST, two held-out classes": Scenario(new_classes),
}
DIGITS: Mapping[str, Scenario] = {
    "digits, tilted": Scenario(tilted_digits, _TILTED, budget=100),
    "digits, two held-out classes": Scenario(new_digits, _NEW, budget=60),
}
SCENARIOS: Mapping[str, Scenario] = {**FASHION, **DIGITS}
"""Failing slices, by name."""


def prepare(folder: Path = CACHE) -> None:
    """Embeds and reads everything, before several processes would."""
    folder.mkdir(parents=True, exist_ok=True)
    for scenario in SCENARIOS.values():
        scenario.ground()
