"""The five sets of the grid: embeddings of ordinary traffic, and of all that may come up in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks import commits
from benchmarks.figures import Progress
from benchmarks.grid import perturbations
from benchmarks.public_sets import CLINC_HELD_OUT, FASHION_HELD_OUT, column, embedded, garments, public_sets, requests
from service.records import Payload
from service.settings import EmbedderSettings

HWU_HELD_OUT = ("calendar", "email", "transport")
COMMITS_HELD_OUT = ("DOC", "TST")
COMMITS_UNTIL = 2021
"""Last year of ordinary traffic; what came after is a drift of its own."""

_POOL, _FOREIGN, _SENTENCES = 6_000, 3_000, 3_000
"""Rows that are perturbed, translated, and taken from another corpus: embedding costs some milliseconds each."""

Rows = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Altered:
    """Some of the ordinary rows once more, perturbed."""

    source: NDArray[np.int64]
    """(p,) which ordinary rows they are."""
    embedding: Rows


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """One set. `ordinary` is traffic without drift, (n, d), in no order; `topic` its labels (n,)."""

    reference: int
    """Rows that a reference takes."""
    ordinary: Rows
    topic: NDArray[np.object_]
    far: Rows
    """Topics held out, all but the nearest."""
    near: Rows
    """The topic held out that lies nearest to an ordinary one."""
    others: Mapping[str, Rows] = field(default_factory=dict)
    """Content from elsewhere, mixed in at a fifth."""
    foreign: Altered | None = None
    """Mixed in at a fifth."""
    altered: Mapping[str, Altered] = field(default_factory=dict)
    """Perturbations that hit every row."""
    longest: NDArray[np.bool_] | None = None
    """(n,) the longest quarter of the texts."""
    later: Rows | None = None
    """What came after, in order of time."""


def clinc150(progress: Progress) -> World:
    """Short requests of seven domains; three held out, and requests out of scope."""
    found = requests()
    path = public_sets() / "text/clinc150.parquet"
    texts, domains = (np.array(column(path, name), object) for name in ("text", "domain"))
    embedding = embedded("clinc150", found.embedder, found.texts.tolist, progress).load()[0]
    outside = texts[domains == "oos"].tolist()
    scope = embedded("clinc150-oos", found.embedder, lambda: outside, progress).load()[0]
    return _texts("clinc150", found.texts, found.domains, embedding, CLINC_HELD_OUT, progress, others={"out of scope": scope}, size=5_000)


def hwu64(progress: Progress) -> World:
    """Requests to a home assistant in fifteen scenarios; three held out."""
    path = public_sets() / "text/hwu64.parquet"
    texts, domains = (np.array(column(path, name), object) for name in ("text", "domain"))
    embedding = embedded("hwu64", requests().embedder, texts.tolist, progress).load()[0]
    return _texts("hwu64", texts, domains, embedding, HWU_HELD_OUT, progress, others={}, size=4_000)


def commit_messages(progress: Progress) -> World:
    """Commit messages up to 2021 by kind of change; two kinds held out, and the years since."""
    found = commits.read(public_sets() / "text/commits_numpy.parquet")
    texts, kinds = (np.array([getattr(commit, name) for commit in found], object) for name in ("text", "label"))
    embedding = embedded("commits", requests().embedder, texts.tolist, progress).load()[0]
    old = np.array([commit.time.year <= COMMITS_UNTIL for commit in found])
    later = embedding[~old & ~np.isin(kinds, COMMITS_HELD_OUT)]
    return _texts("commits", texts[old], kinds[old], embedding[old], COMMITS_HELD_OUT, progress, others={}, size=3_000, later=later)


def _texts(  # noqa: PLR0913 - what the three sets of texts differ in
    name: str,
    texts: NDArray[np.object_],
    topic: NDArray[np.object_],
    embedding: Rows,
    held_out: Sequence[str],
    progress: Progress,
    *,
    others: Mapping[str, Rows],
    size: int,
    later: Rows | None = None,
) -> World:
    ordinary = ~np.isin(topic, held_out)
    own = texts[ordinary]
    settings = requests().embedder
    pool = np.random.default_rng(0).permutation(len(own))
    typed, foreign = pool[:_POOL], pool[-_FOREIGN:]
    typos = embedded(f"{name}-typos", settings, lambda: perturbations.mistyped(own[typed].tolist(), 0), progress).load()[0]
    translated = embedded(f"{name}-foreign", settings, lambda: perturbations.translated(own[foreign].tolist()), progress).load()[0]
    sentences = embedded("wiki_sents", settings, _sentences, progress).load()[0]
    lengths = np.array([len(text) for text in own])
    far, near = _apart(embedding, topic, held_out)
    return World(
        reference=size,
        ordinary=embedding[ordinary],
        topic=topic[ordinary],
        far=far,
        near=near,
        others={**others, "other corpus": sentences},
        foreign=Altered(foreign, translated),
        altered={"typos": Altered(typed, typos)},
        longest=lengths >= np.quantile(lengths, 0.75),
        later=later,
    )


def _sentences() -> list[str]:
    texts = column(public_sets() / "text/wiki_sents.parquet", "text")
    return [texts[row] for row in np.random.default_rng(0).permutation(len(texts))[:_SENTENCES]]


def fashion_mnist(progress: Progress) -> World:
    """Images of eight kinds of garment; two held out, and four ways to take a bad picture."""
    found = garments()
    held_out = np.isin(found.names, FASHION_HELD_OUT)
    embedding = _pictures("fashion_mnist", found.images, found.embedder, progress)
    own = found.images[~held_out]
    pool = np.random.default_rng(0).permutation(len(own))[:_POOL]
    altered = {}
    for name, spoil in perturbations.IMAGES.items():
        rng = np.random.default_rng(0)
        spoilt = np.stack([spoil(image, rng) for image in own[pool]])
        altered[name] = Altered(pool, _pictures(f"fashion_mnist-{name}", spoilt, found.embedder, progress))
    names = found.names.astype(object)
    far, near = _apart(embedding, names, FASHION_HELD_OUT)
    return World(5_000, embedding[~held_out], names[~held_out], far, near, altered=altered)


def _pictures(name: str, images: NDArray[np.uint8], settings: EmbedderSettings, progress: Progress) -> Rows:
    def payloads() -> list[Payload]:
        return [perturbations.encoded(image) for image in images]

    return embedded(name, settings, payloads, progress).load()[0]


def _apart(embedding: Rows, topic: NDArray[np.object_], held_out: Sequence[str]) -> tuple[Rows, Rows]:
    """Rows of the topics held out: all but the one nearest to an ordinary topic's mean, and that one."""
    means = {name: embedding[topic == name].mean(0) for name in np.unique(topic)}
    inside = np.stack([mean for name, mean in means.items() if name not in held_out])
    nearest = min(held_out, key=lambda name: float(np.linalg.norm(inside - means[name], axis=1).min()))
    return embedding[np.isin(topic, held_out) & (topic != nearest)], embedding[topic == nearest]


_DIMENSION, _THEMES, _TOPICS = 128, 8, 8


def synthetic(seed: int, rows: int = 24_000) -> World:
    """A mixture of known law on the sphere: 64 topics under eight themes, 16 topics under two new themes, and eight new ones under
    old themes; fresh rows for each seed. The other language is a fixed rotation of a quarter of the space."""
    law, rng = np.random.default_rng(7), np.random.default_rng([seed, 7])
    themes = law.standard_normal((_THEMES + 2, _DIMENSION)) * 0.7
    parents = np.concatenate([np.repeat(np.arange(_THEMES + 2), _TOPICS), np.arange(_THEMES)])
    centres = themes[parents] + 0.5 * law.standard_normal((len(parents), _DIMENSION))
    turn, _ = np.linalg.qr(law.standard_normal((_DIMENSION // 4, _DIMENSION // 4)))

    def drawn(n: int, low: int, high: int) -> tuple[Rows, NDArray[np.int64]]:
        topic = rng.integers(low, high, n)
        x = centres[topic] + 0.6 * rng.standard_normal((n, _DIMENSION))
        return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32), topic

    old, new = _THEMES * _TOPICS, (_THEMES + 2) * _TOPICS
    ordinary, topic = drawn(rows, 0, old)
    pool = rng.permutation(rows)[:_FOREIGN]
    turned = ordinary[pool].copy()
    turned[:, : len(turn)] = turned[:, : len(turn)] @ turn.astype(np.float32)
    theme = np.array([f"theme {t // _TOPICS}" for t in topic], object)
    return World(4_000, ordinary, theme, drawn(5_500, old, new)[0], drawn(1_500, new, len(parents))[0], foreign=Altered(pool, turned))


_READ: Mapping[str, Callable[[Progress], World]] = {
    "clinc150": clinc150,
    "hwu64": hwu64,
    "commits": commit_messages,
    "fashion_mnist": fashion_mnist,
}

SETS = (*_READ, "synthetic")
SESSIONS = ("clinc150 sessions", "synthetic sessions")
"""Traffic whose neighbours depend on each other: sessions of one topic each."""

_SESSION_ROWS = 40_000


@cache
def _read(name: str, folder: Path) -> World:  # noqa: ARG001 - the folder is part of what is remembered
    return _READ[name](lambda _: None)


def prepare(name: str, progress: Progress) -> None:
    """Embeds what a set needs and the cache does not hold yet."""
    if _kind(name) in _READ:
        _READ[_kind(name)](progress)


def world(name: str, seed: int) -> World:
    """A set; the real ones are the same for each seed."""
    if _kind(name) in _READ:
        return _read(_kind(name), public_sets())
    return synthetic(seed, _SESSION_ROWS) if name in SESSIONS else synthetic(seed)


def _kind(name: str) -> str:
    """The set that sessions are made of."""
    return name.partition(" ")[0]
