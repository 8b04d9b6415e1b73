"""A batch's payloads to vectors: one call per monitor, and one bad payload never harms the rest."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from service.errors import InputError
from service.observe import Observer
from service.ports import Embedded
from service.records import Output, Record, Request, Sample
from service.watched import WatchedMonitor

CHUNK = 512
"""Samples embedded at once: one record may hold thousands."""

BEAT_SECONDS = 2.0
"""Between two beats, as near as the samples before tell: a slow model takes minutes for a batch without being stuck."""

GROWTH = 8
"""How many times as many samples as before are embedded at once: the first call of a model may take longer than the others."""


@dataclass(frozen=True, slots=True, eq=False)
class Vectors:
    """What embedding a batch gave. A sample is in `rows` or in `failures`; of an unknown monitor, in neither."""

    rows: dict[Sample, NDArray[np.float32]] = field(default_factory=dict)
    failures: dict[Sample, InputError] = field(default_factory=dict)
    outputs: dict[Sample, Output] = field(default_factory=dict)
    """The embedder's own logits, where the monitor names its classes and the sample brought no output."""


def embed_records(
    records: Iterable[Record],
    monitors: Mapping[str, WatchedMonitor],
    observer: Observer,
    *,
    beat: Callable[[], None] = lambda: None,
    clock: Callable[[], float] = time.perf_counter,
    pace: MutableMapping[str, int] | None = None,
) -> Vectors:
    """Embeds every sample of the records that its monitor's embedder accepts; `beat` is called as it gets on.

    `pace` remembers from call to call how many samples of each monitor are embedded between two beats.
    """
    vectors, pace = Vectors(), {} if pace is None else pace
    by_monitor: dict[str, list[Sample]] = {}
    for record in records:
        for item in record.items:
            if isinstance(item, Sample):
                by_monitor.setdefault(item.monitor, []).append(item)
            elif isinstance(item, Request):
                by_monitor.setdefault(item.monitor, []).extend(item.samples)
    for monitor in by_monitor.keys() & monitors.keys():
        started, before = clock(), len(vectors.rows)
        samples, done, chunk = by_monitor[monitor], 0, pace.get(monitor, 1)
        while done < len(samples):
            begun = clock()
            try:
                _embed(samples[done : done + chunk], monitors[monitor], vectors)
            except Exception:
                observer.embedding_failed(monitor)
                raise
            taken = min(chunk, len(samples) - done)
            done, chunk = done + taken, _next_chunk(chunk, taken, clock() - begun)
            beat()
        pace[monitor] = chunk
        observer.embedded(monitor, len(vectors.rows) - before, clock() - started)
    return vectors


def _next_chunk(chunk: int, taken: int, seconds: float) -> int:
    """As many as take `BEAT_SECONDS` at the speed of those just taken; one, where a single sample takes longer."""
    likely = int(taken * BEAT_SECONDS / seconds) if seconds > 0 else CHUNK
    return max(1, min(likely, max(chunk, GROWTH * taken), CHUNK))


def _embed(samples: Sequence[Sample], monitor: WatchedMonitor, vectors: Vectors) -> None:
    accepted = []
    for sample in samples:
        try:
            monitor.embedder.check(sample.payload)
        except InputError as error:
            vectors.failures[sample] = error
        else:
            accepted.append(sample)
    if accepted:
        _bisect(accepted, monitor, vectors)


def _bisect(samples: Sequence[Sample], monitor: WatchedMonitor, vectors: Vectors) -> None:
    """Embeds all at once; when that fails, the halves, down to the payload that is to blame."""
    try:
        embedded = monitor.embedder.embed([sample.payload for sample in samples])
    except InputError as error:
        if len(samples) == 1:
            vectors.failures[samples[0]] = error
            return
        middle = len(samples) // 2
        _bisect(samples[:middle], monitor, vectors)
        _bisect(samples[middle:], monitor, vectors)
        return
    vectors.rows.update(zip(samples, embedded.embedding, strict=True))
    if embedded.logits is not None:
        vectors.outputs.update(_outputs(samples, embedded, monitor.settings.classes))


def _outputs(samples: Sequence[Sample], embedded: Embedded, classes: Sequence[str]) -> dict[Sample, Output]:
    """Logits of another width than the declared classes say nothing."""
    logits = embedded.logits
    if logits is None or not classes or logits.shape[1] != len(classes):
        return {}
    best = logits.argmax(axis=1).tolist()
    rows = zip(samples, best, logits.tolist(), strict=True)
    return {sample: Output(label=classes[top], logits=tuple(row)) for sample, top, row in rows if sample.output is None}
