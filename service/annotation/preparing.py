"""Makes a batch of chosen candidates: whose answers are wanted twice, what failing on them costs, and gold among them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from service.annotation.scheme import Meaning, Words
from service.annotation.schemes import in_force
from service.datasets import DataSets, Row, payload_digest
from service.failures.rows import FailureRows, failure_rows
from service.ports import Store
from service.records import AnnotationBatch, Candidate, Pooled, Purpose, stable_id
from service.reference import References
from service.settings import MonitorSettings

MOST_TEXT = 4_000
"""Characters of a text that go to an annotator."""

_BATCHES = 10_000
_LABELS_GOLD = "its answer is known"


class Preparing:
    """The same candidates under the same key make the same batch, until another one has gone out."""

    def __init__(self, store: Store, references: References, data_sets: DataSets) -> None:
        self._store = store
        self._references = references
        self._data_sets = data_sets

    def ready(
        self, settings: MonitorSettings, candidates: Sequence[Candidate], rows: Mapping[str, Pooled], *, key: str, now: float
    ) -> tuple[Candidate, ...]:
        """What goes out for these candidates, gold with them. `key`: what every draw is made by, the cycle and its round."""
        failures = failure_rows(self._store, self._references.load(settings.name), settings)
        costs = _costs(failures)
        known = tuple(
            replace(item, digest=_digest(rows.get(item.id), settings) or item.digest, priority=costs.get(item.failure, 0.0))
            for item in candidates
        )
        annotation = settings.annotation
        several = _doubled(known, annotation.double_share, annotation.double_answers, key)
        gold = self._gold(settings, math.ceil(annotation.gold_share * len(known)), key, now)
        return (*several, *(replace(item, segment=known[at % len(known)].segment) for at, item in enumerate(gold)))

    def _gold(self, settings: MonitorSettings, size: int, key: str, now: float) -> tuple[Candidate, ...]:
        """Rows of golden's *select* part, which promises nothing; those that annotators have not seen yet first."""
        if not size or not self._data_sets.versions(settings.name, "golden"):
            return ()
        rows = self._data_sets.load(settings.name, "golden").part("select").rows
        words = Words(in_force(self._store, settings, now=now))
        read = ((row, words.resolve(row.sample.label)) for row in rows if row.sample.label)
        labelled = [(row, word.name) for row, word in read if word.meaning is Meaning.LABEL]
        seen = self._seen(settings.name)
        order = sorted(labelled, key=lambda each: (seen.get(each[0].sample.id, 0), stable_id("gold", key, each[0].sample.id)))
        return tuple(_gold(row, truth) for row, truth in order[:size])

    def _seen(self, monitor: str) -> Mapping[str, int]:
        """How often each golden row was among what annotators were shown."""
        found: dict[str, int] = {}
        for batch in self._store.find(AnnotationBatch, monitor=monitor, limit=_BATCHES):
            for item in batch.gold:
                found[item.id] = found.get(item.id, 0) + 1
        return found


def _gold(row: Row, truth: str) -> Candidate:
    sample = row.sample
    text = sample.payload[:MOST_TEXT] if isinstance(sample.payload, str) else ""
    return Candidate(
        sample.id, _LABELS_GOLD, 0.0, "all", text, purpose=Purpose.GOLD, digest=row.digest, truth=truth,
        time=0.0 if math.isnan(sample.time) else sample.time,
    )  # fmt: skip


def _costs(failures: FailureRows) -> Mapping[str, float]:
    """Share of what all known failures cost, distinct samples times loss, by cluster and by class."""
    total = float(failures.losses.sum())
    found: dict[str, float] = {}
    for cluster, label, loss in zip(failures.clusters, failures.labels, failures.losses.tolist(), strict=True):
        for name in {cluster, label or cluster}:
            found[name] = found.get(name, 0.0) + loss / total
    return found


def _doubled(items: Sequence[Candidate], share: float, times: int, key: str) -> Iterable[Candidate]:
    """A share of them, whatever their purpose, is answered by several; what asks for several anyway stays."""
    order = sorted(range(len(items)), key=lambda at: stable_id("double", key, items[at].id))
    chosen = set(order[: round(share * len(items))])
    return (replace(item, answers=max(times, item.answers)) if at in chosen else item for at, item in enumerate(items))


def _digest(row: Pooled | None, settings: MonitorSettings) -> str:
    """Of the payload as the data sets keep it; '' where it is not kept any more."""
    if row is None:
        return ""
    payload = row.embedding.astype(np.float32) if settings.embedder.input == "none" else row.payload
    return "" if payload is None else payload_digest(payload)
