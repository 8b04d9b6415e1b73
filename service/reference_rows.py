"""What a reference is made of: samples embedded with care, and what is known of each beside its embedding."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from detectors.summarizer import Extras
from service.errors import InputError
from service.ports import Embedder
from service.quality import LOOK, Gauge, learn, surface
from service.records import Output, Payload, Sample

_BATCH = 256


@dataclass(frozen=True, slots=True, eq=False)
class ReferenceRows:
    """What a reference is made of: n embeddings (n, d) float32 with ids, texts ('' where there are none), labels, segments, the
    model's confidence (NaN where it gave none) and class ('' likewise), and the quality of the inputs, measured by the gauge that
    learned from them (None where there are no payloads, or vectors)."""

    ids: tuple[str, ...]
    texts: tuple[str, ...]
    labels: tuple[str | None, ...]
    segments: tuple[Mapping[str, str], ...]
    confidence: NDArray[np.float32]
    embeddings: NDArray[np.float32]
    predicted: tuple[str, ...] = ()
    quality: NDArray[np.float32] | None = None
    """(n, Q), in the order of the gauge's names."""
    gauge: Gauge | None = None

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def extras(self) -> Extras:
        """What becomes scalar channels: only what every row has."""
        confidence = self.confidence if len(self) and np.isfinite(self.confidence).all() else None
        predicted = np.array(self.predicted, np.str_) if self.predicted and all(self.predicted) else None
        measured = self.gauge is not None and self.quality is not None and np.isfinite(self.quality).all()
        names = self.gauge.names if self.gauge is not None and measured else ()
        quality = {name: self.quality[:, column] for column, name in enumerate(names)} if self.quality is not None else {}
        return Extras(confidence, predicted, quality)


def embed_rows(
    samples: Iterable[Sample], embedder: Embedder, *, classes: Sequence[str] = (), progress: Callable[[int], None] = lambda _: None
) -> ReferenceRows:
    """Embeds samples for a reference; one that can't be embedded is an InputError naming its id, as a reference is made with care.

    classes : names of the model's classes in the order of its logits.
    """
    kept, vectors, confidence, predicted, surfaces = list[Sample](), list[NDArray[np.float32]](), list[float](), list[str](), []
    source = iter(samples)
    while batch := list(islice(source, _BATCH)):
        for sample in batch:
            _check(sample, embedder)
        embedded = embedder.embed([sample.payload for sample in batch])
        vectors.append(embedded.embedding)
        own = [None] * len(batch) if embedded.logits is None else list(embedded.logits)
        confidence += [sureness(s.output, logits) for s, logits in zip(batch, own, strict=True)]
        predicted += [answer(s.output, logits, classes) for s, logits in zip(batch, own, strict=True)]
        surfaces.append(surface([sample.payload for sample in batch]))
        kept += [replace(sample, payload=_shown(sample.payload), output=None) for sample in batch]
        progress(len(kept))
    if not kept:
        raise InputError("empty", "no samples for the reference: the input has none")
    texts = tuple(str(sample.payload) for sample in kept)
    gauge, quality = learn(texts, np.concatenate(surfaces))
    return ReferenceRows(
        tuple(sample.id for sample in kept),
        texts,
        tuple(sample.label for sample in kept),
        tuple(sample.segments for sample in kept),
        np.array(confidence, np.float32),
        np.concatenate(vectors),
        tuple(predicted),
        quality,
        gauge,
    )


def _shown(payload: Payload) -> str:
    return payload[:LOOK] if isinstance(payload, str) else ""


def answer(output: Output | None, logits: NDArray[np.float32] | None = None, classes: Sequence[str] = ()) -> str:
    """The class that the model gave: its output's label, else the likeliest of the declared classes; '' where that is not known."""
    if output is not None and output.label is not None:
        return output.label
    scores = (output.probabilities or output.logits) if output is not None else None
    values = scores or logits
    return classes[int(np.argmax(values))] if values is not None and len(values) == len(classes) > 0 else ""


def sureness(output: Output | None, logits: NDArray[np.float32] | None = None) -> float:
    """The model's largest probability: from its output where the sample brought one, else from the embedder's own logits; else NaN."""
    if output is not None and output.probabilities:
        return max(output.probabilities)
    scores = output.logits if output is not None and output.logits else logits
    if scores is None or not len(scores):
        return float("nan")
    values = np.asarray(scores, np.float64)
    return float(1.0 / np.exp(values - values.max()).sum())


def _check(sample: Sample, embedder: Embedder) -> None:
    try:
        embedder.check(sample.payload)
    except InputError as error:
        raise InputError(error.reason, f"sample {sample.id}: {error}; mend or remove it, a reference holds good samples only") from error
