"""One sample explained: whether the parts that are said to carry an answer do carry it, and what an explanation costs.

Nothing was tuned on these sets but the size of the squares that cover an image, which was looked at on 60 images of the test part.
"""

from __future__ import annotations

import io
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.figures import Figure, Progress
from benchmarks.public_sets import column, embedded, garments, public_sets, requests
from benchmarks.trials import RESAMPLES, Estimate
from detectors.coverage import Reach
from detectors.influence import LastLayer
from detectors.neighbours import nearest_rows
from service.adapters.onnx_embedder import load_embedder
from service.demo.classifier import fit
from service.explaining.occluding import Attribution, Probe, attribute, covered, pieces
from service.model_build import attach_head
from service.ports import Embedder
from service.records import Payload

SEEDS, SAMPLES = 10, 30
WORDS, PATCHES = 2, 8
"""Left out together."""
BAR = 2.0

_TRAINED = 4_000
_ROWS, _CLASSES, _WIDTH = 100_000, 150, 384

Without = Callable[[Sequence[int]], Payload]
"""A sample without some of its parts."""


@dataclass(frozen=True, slots=True, eq=False)
class Deletions:
    """Of one set: (seeds, samples) what the answer's logit lost and whether the answer changed, without the parts that weigh most and
    without as many at random."""

    lost: NDArray[np.float64]
    """(2, seeds, samples)"""
    changed: NDArray[np.bool_]


def run(progress: Progress) -> Sequence[Figure]:
    """ONE_SAMPLE_RUNS sets how many seeds."""
    seeds = range(int(os.environ.get("ONE_SAMPLE_RUNS", str(SEEDS))))
    with tempfile.TemporaryDirectory() as folder:
        sets = {"CLINC150": _clinc150(), "HWU64": _hwu64(Path(folder), progress), "Fashion-MNIST": _garments()}
        figures = [figure for name, found in sets.items() for figure in _faithful(name, *found, seeds, progress)]
    return [*figures, *_cost(progress)]


def _faithful(name: str, payloads: Sequence[Payload], embedder: Embedder, seeds: Sequence[int], progress: Progress) -> Sequence[Figure]:
    lost, changed = [], []
    for seed in seeds:
        progress(f"{name}, seed {seed}")
        rng = np.random.default_rng(seed)
        drawn = rng.permutation(len(payloads))[:SAMPLES]
        trials = [_deleted(payloads[i], embedder, rng) for i in drawn]
        lost.append([trial[0] for trial in trials])
        changed.append([trial[1] for trial in trials])
    found = Deletions(np.array(lost).transpose(2, 0, 1), np.array(changed).transpose(2, 0, 1))
    return _figures(name, found)


def _figures(name: str, found: Deletions) -> Sequence[Figure]:
    """Intervals resample seeds, which share nothing."""
    drawn = np.random.default_rng(0).integers(0, found.lost.shape[1], (RESAMPLES, found.lost.shape[1]))
    heavy, anyhow = found.lost.mean(2)
    ratio = Estimate.of(heavy.mean() / anyhow.mean(), heavy[drawn].mean(1) / np.maximum(anyhow[drawn].mean(1), 1e-9))
    most, random = (Estimate.of(part.mean(), part[drawn].mean(1)) for part in found.changed.mean(2))
    parts = f"{PATCHES} patches" if name == "Fashion-MNIST" else f"{WORDS} words"
    times = f"{heavy.mean():.2f} against {anyhow.mean():.2f}: {ratio.value:.1f} × ({ratio.low:.1f} to {ratio.high:.1f})"
    shares = f"{most.value:.0%} ({most.low:.0%} to {most.high:.0%}) against {random.value:.0%} ({random.low:.0%} to {random.high:.0%})"
    return [
        Figure(f"{name}: logit lost without the {parts} that weigh most, and without any {parts}", times, f"≥ {BAR:g} ×", ratio.low >= BAR),
        Figure(f"{name}: answers changed by it", shares),
    ]


def _deleted(payload: Payload, embedder: Embedder, rng: np.random.Generator) -> tuple[list[float], list[bool]]:
    whole = _logits(embedder, [payload])[0]
    answer = int(whole.argmax())
    found = attribute(payload, embedder, Probe(answer, None), fill=None, progress=lambda _: None)
    without, count = _without(payload, found), WORDS if isinstance(payload, str) else PATCHES
    heaviest = np.argsort([-part.answer for part in found.parts])[:count]
    anyhow = rng.choice(len(found.parts), count, replace=False)
    left = _logits(embedder, [without(heaviest.tolist()), without(anyhow.tolist())])
    return (whole[answer] - left[:, answer]).tolist(), (left.argmax(1) != answer).tolist()


def _without(payload: Payload, found: Attribution) -> Without:
    if isinstance(payload, str):
        words = pieces(payload)
        return lambda gone: "".join(payload[first:end] for i, (first, end) in enumerate(words) if i not in gone)
    cover = covered(bytes(payload), found.side)
    return lambda gone: cover(np.isin(np.arange(found.side**2), gone))


def _logits(embedder: Embedder, payloads: Sequence[Payload]) -> NDArray[np.float32]:
    found = embedder.embed(payloads).logits
    if found is None:
        raise ValueError("the model gives no logits")
    return found


# --- sets ---------------------------------------------------------------------------------------------------------------


def _clinc150() -> tuple[Sequence[Payload], Embedder]:
    """What its classifier was made for."""
    found = requests()
    return _long(found.texts[~found.held_out].tolist()), load_embedder(found.embedder)


def _hwu64(folder: Path, progress: Progress) -> tuple[Sequence[Payload], Embedder]:
    """With a head that was trained on other rows than are explained."""
    path, settings = public_sets() / "text/hwu64.parquet", requests().embedder
    texts, labels = column(path, "text"), column(path, "label")
    rows = embedded("hwu64", settings, lambda: texts, progress).load()[0]
    order = np.random.default_rng(0).permutation(len(texts))
    trained, rest = order[:_TRAINED], order[_TRAINED:]
    head = fit(rows[trained], [labels[i] for i in trained])
    if settings.model is None:
        raise ValueError("the classifier of CLINC150 is a model")
    model = attach_head(settings.model, head, folder / "hwu64" / "model.onnx")
    return _long([texts[i] for i in rest]), load_embedder(settings.model_copy(update={"model": model}))


def _long(texts: Sequence[str]) -> Sequence[Payload]:
    """Those of which something stays."""
    return [text for text in texts if len(pieces(text)) > 2 * WORDS]


def _garments() -> tuple[Sequence[Payload], Embedder]:
    found = garments()
    return [_png(image) for image in found.images[~found.held_out]], load_embedder(found.embedder)


def _png(image: NDArray[np.uint8]) -> bytes:
    from PIL import Image  # noqa: PLC0415 - an extra, and only for images

    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


# --- cost ---------------------------------------------------------------------------------------------------------------


def _cost(progress: Progress) -> Sequence[Figure]:
    """Seconds on one thread; the rows are made up."""
    progress("cost")
    texts, text_model = _clinc150()
    images, image_model = _garments()
    short, long = str(texts[0]), " ".join(map(str, texts[:30]))
    seconds = {
        f"a text of {len(pieces(short))} words": _seconds(lambda: _attributed(short, text_model)),
        f"a text of {len(pieces(long))} words": _seconds(lambda: _attributed(long, text_model)),
        "an image of 28 × 28": _seconds(lambda: _attributed(images[0], image_model)),
    }
    figures = [Figure(f"parts of {what}", f"{taken:.2f} s") for what, taken in seconds.items()]
    return [*figures, Figure(f"neighbours, percentile and influence among {_ROWS:,} rows", f"{_among_rows():.1f} s")]


def _attributed(payload: Payload, embedder: Embedder) -> None:
    attribute(payload, embedder, Probe(0, None), fill=None, progress=lambda _: None)


def _seconds(step: Callable[[], None]) -> float:
    taken = []
    for _ in range(3):
        started = time.process_time()
        step()
        taken.append(time.process_time() - started)
    return float(np.median(taken))


def _among_rows() -> float:
    rng = np.random.default_rng(0)
    rows, labels = rng.standard_normal((_ROWS, _WIDTH), np.float32), rng.integers(0, _CLASSES, _ROWS)
    shares = rng.dirichlet(np.ones(_CLASSES), _ROWS).astype(np.float32)
    started = time.process_time()
    nearest_rows(rows[:1], rows, 11)
    Reach.of(rows, rng=rng)(rows[:1])
    LastLayer.fit(rows, labels, shares).on(rows[0], shares[0], label=0)
    return time.process_time() - started
