"""What a reference is made of: samples embedded with care, and what is known of each beside its embedding."""

from __future__ import annotations

import math
import tempfile
from array import array
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

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
    model's confidence (NaN where it gave none) and class ('' likewise), the quality of the inputs, measured by the gauge that
    learned from them (None where there are no payloads, or vectors), and when they came."""

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
    times: NDArray[np.float64] | None = None
    """(n,) Unix seconds, NaN for a row without one."""

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def known_times(self) -> NDArray[np.float64] | None:
        """(n,) Unix seconds; None unless every row has them."""
        return self.times if self.times is not None and np.isfinite(self.times).all() else None

    def in_time_order(self) -> ReferenceRows:
        """The same rows, as they came; left as they are where that is not known."""
        times = self.known_times
        if times is None or (np.diff(times) >= 0).all():
            return self
        order = np.argsort(times, kind="stable")
        columns = {name: _taken(getattr(self, name), order) for name in self.__slots__ if name != "gauge"}
        return replace(self, **columns)

    @property
    def extras(self) -> Extras:
        """What becomes scalar channels: only what every row has."""
        confidence = self.confidence if len(self) and np.isfinite(self.confidence).all() else None
        predicted = np.array(self.predicted, np.str_) if self.predicted and all(self.predicted) else None
        measured = self.gauge is not None and self.quality is not None and np.isfinite(self.quality).all()
        names = self.gauge.names if self.gauge is not None and measured else ()
        quality = {name: self.quality[:, column] for column, name in enumerate(names)} if self.quality is not None else {}
        return Extras(confidence, predicted, quality)

    def judged(self) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """(k,) confidence of the rows that have one, a class and a label; and whether the class is the label."""
        sure = np.isfinite(self.confidence)
        rows = [i for i, given in enumerate(self.predicted) if given and self.labels[i] is not None and sure[i]]
        return self.confidence[rows], np.array([self.predicted[i] == self.labels[i] for i in rows], np.bool_)

    def segment_values(self, tags: Collection[str], most: int) -> dict[str, list[str]]:
        """Each tag's first values in order of appearance, at most so many."""
        found: dict[str, dict[str, None]] = {tag: {} for tag in tags}
        for carried in self.segments:
            for tag, values in found.items():
                if tag in carried and len(values) < most:
                    values.setdefault(carried[tag])
        return {tag: list(values) for tag, values in found.items()}


def embed_rows(
    samples: Iterable[Sample], embedder: Embedder, *, classes: Sequence[str] = (), progress: Callable[[int], None] = lambda _: None
) -> ReferenceRows:
    """Embeds samples for a reference; one that can't be embedded is an InputError naming its id, as a reference is made with care.

    classes : names of the model's classes in the order of its logits.
    """
    gathered, source = _Gathered(), iter(samples)
    with tempfile.TemporaryFile() as vectors:  # a million embeddings are read back as a map, not held twice
        while batch := list(islice(source, _BATCH)):
            for sample in batch:
                _check(sample, embedder)
            embedded = embedder.embed([sample.payload for sample in batch])
            vectors.write(embedded.embedding.astype(np.float32, copy=False).tobytes())
            gathered.add(batch, embedded.logits, classes)
            progress(len(gathered.ids))
        if not gathered.ids:
            raise InputError("empty", "no samples for the reference: the input has none")
        vectors.flush()
        return gathered.rows(np.memmap(vectors, np.float32, "r", shape=(len(gathered.ids), embedder.dimension)))


class _Gathered:
    """What is known of the rows beside their embeddings, a column each: a million samples would take a gigabyte."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self._texts: list[str] = []
        self._labels: list[str | None] = []
        self._segments: list[Mapping[str, str]] = []
        self._shared: dict[tuple[tuple[str, str], ...], Mapping[str, str]] = {}
        """Tags → the one mapping that all rows with these tags share."""
        self._confidence, self._times = array("f"), array("d")
        self._predicted: list[str] = []
        self._surfaces: list[NDArray[np.float32]] = []

    def add(self, batch: Sequence[Sample], logits: NDArray[np.float32] | None, classes: Sequence[str]) -> None:
        """Embedded samples, with the embedder's own (m, classes) logits."""
        own = [None] * len(batch) if logits is None else list(logits)
        self.ids += [sample.id for sample in batch]
        self._texts += [_shown(sample.payload) for sample in batch]
        self._labels += [sample.label for sample in batch]
        self._segments += [self._shared.setdefault(tuple(sorted(s.segments.items())), s.segments) for s in batch]
        self._confidence.extend(sureness(s.output, scores) for s, scores in zip(batch, own, strict=True))
        self._times.extend(sample.time or math.nan for sample in batch)  # in files 0 is no time
        self._predicted += [answer(s.output, scores, classes) for s, scores in zip(batch, own, strict=True)]
        self._surfaces.append(surface([sample.payload for sample in batch]))

    def rows(self, embeddings: NDArray[np.float32]) -> ReferenceRows:
        """All of them, with the gauge that learns from them."""
        gauge, quality = learn(self._texts, np.concatenate(self._surfaces))
        return ReferenceRows(
            tuple(self.ids),
            tuple(self._texts),
            tuple(self._labels),
            tuple(self._segments),
            np.array(self._confidence, np.float32),
            embeddings,
            tuple(self._predicted),
            quality,
            gauge,
            np.array(self._times, np.float64),
        )


def _taken(column: Any, order: NDArray[np.int64]) -> Any:
    """A column's values in another order; an empty column stays empty."""
    if isinstance(column, np.ndarray):
        return column[order]
    return tuple(column[i] for i in order.tolist()) if column else column


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
