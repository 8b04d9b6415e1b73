"""From the samples that a batch took to what is kept of them: rows for the panes, rows for the pool."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.summarizer import Described
from service.records import Output, Partition, Pooled, Sample
from service.reference_rows import answer, sureness
from service.watched import WatchedMonitor


class Taken(NamedTuple):
    """A sample with its vector, the output that counts for it, and the place and log time at which it was taken."""

    sample: Sample
    vector: NDArray[np.float32]
    output: Output | None
    offset: int
    time: float


class Replies(NamedTuple):
    """What the model said to a batch's samples: the class of each, '' where it named none, and how sure it was, where it said so. What
    another model said than the one that the reference is of (`others`) counts as nothing said."""

    predicted: Sequence[str]
    confidence: NDArray[np.float32] | None
    others: int = 0

    @classmethod
    def of(cls, monitor: WatchedMonitor, taken: Sequence[Taken]) -> Replies:
        """Of one monitor's samples."""
        outputs = [None if monitor.disowns(each.output) else each.output for each in taken]
        others = sum(each.output is not output for each, output in zip(taken, outputs, strict=True))
        if all(output is None for output in outputs):
            return cls([""] * len(taken), None, others)
        classes = monitor.settings.classes
        confidence = np.array([sureness(output) for output in outputs], np.float32)
        return cls([answer(output, None, classes) for output in outputs], confidence, others)


def describe(monitor: WatchedMonitor, taken: Sequence[Taken], replies: Replies) -> tuple[NDArray[np.float32], Described | None]:
    """The batch's embeddings (n, d) and, where the monitor has a reference, what it says of them; all in one go, for speed."""
    embeddings = np.stack([each.vector for each in taken])
    if monitor.rules is None:
        return embeddings, None
    rules = monitor.rules
    described = rules.summarizer.describe(
        embeddings,
        confidence=replies.confidence,
        predicted=np.array(replies.predicted, np.str_),
        quality=None if rules.gauge is None else rules.gauge.measure([each.sample.payload for each in taken]),
    )
    return embeddings, described


def pool_rows(
    partition: Partition, monitor: WatchedMonitor, taken: Sequence[Taken], embeddings: NDArray[np.float32], described: Described | None
) -> Iterator[Pooled]:
    """A row per sample; novelty is 0 where there is no reference to be new to."""
    novelty: Iterable[float] = [0.0] * len(taken) if described is None else described.novelty.tolist()
    version = monitor.rules.reference_version if monitor.rules else 0
    vectors = monitor.settings.embedder.input == "none"  # there the embedding says it all
    keeps = monitor.keeps_payloads and not vectors and monitor.room(len(taken))
    for (sample, _, output, offset, time), embedding, new in zip(taken, embeddings.astype(np.float16), novelty, strict=True):
        payload = sample.payload if keeps else None
        facts = (sample.segments, output, sample.label, embedding, new, version)
        yield Pooled(sample.monitor, sample.id, time, partition, offset, payload, *facts)  # in order: names cost a third more
