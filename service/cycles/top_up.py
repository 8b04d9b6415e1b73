"""Golden rows drawn at random from all traffic, so that the test set goes on telling of it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import structlog

from service import annotation, refresh
from service.annotation import answers, errands, propose_apart, trains
from service.datasets import DataSets
from service.golden import refill
from service.growing import withheld
from service.labelled import LabelledSets
from service.monitors import Embedders
from service.ports import Store
from service.records import WHOLE, AnnotationBatch, Candidate, Pooled, Purpose, stable_id
from service.reference import References
from service.selecting.asking import MAX_TEXT, batches_of
from service.selecting.reading import Reading
from service.selecting.slices import Slice
from service.selecting.spending import is_top_up, top_up_purse

REASON = "drawn at random from all traffic, for the golden set"

log = structlog.get_logger()


class TopUps:
    """Proposes them, and takes their answers into golden's parts. Both are idempotent."""

    def __init__(self, store: Store, references: References, data_sets: DataSets, monitors: Embedders) -> None:
        self._store = store
        self._references = references
        self._data_sets = data_sets
        self._sets = LabelledSets(data_sets)
        self._monitors = monitors

    def propose(self, monitor: str, *, now: float) -> AnnotationBatch | None:
        """As many rows as the budget of golden rows pays for; None where that is none, one is out already, there is no golden set, or none
        may grow."""
        settings, batches = self._monitors.effective(monitor), batches_of(self._store, monitor)
        golden, size = self._data_sets.versions(monitor, "golden"), top_up_purse(settings, batches, now=now).labels
        under_way = any(is_top_up(batch) and batch.state not in annotation.ENDED for batch in batches)
        if not golden or size < 1 or under_way or withheld(settings):
            return None
        version = self._references.load(monitor).version
        number = sum(is_top_up(batch) for batch in batches) + 1
        name = stable_id("annotation.top_up", monitor, golden[-1]["version"], number)
        read = Reading(self._store, self._references, self._data_sets, settings, Slice(monitor, version))
        rows = drawn(read, size, np.random.default_rng(int(name, 16) % 2**63))
        candidates = read.apart_from_training(tuple(_candidate(row) for row in rows))
        if not candidates:
            return None
        self._sets.keep(candidates, {row.id: row for row in rows}, settings, self._monitors.embedder(monitor), now=now)
        batch = refresh.ask(self._store, propose_apart(name, monitor, version, candidates, now=now), settings, now=now)
        log.info("golden top-up proposed", monitor=monitor, batch=batch.id, rows=len(candidates))
        return batch

    def tend(self, monitors: Collection[str], *, now: float) -> int:
        """Takes in those that have closed, and those to which answers came afterwards; returns how many."""
        return errands.run(self._store, Purpose.TOP_UP, lambda batch: self.take(batch, now=now), monitors=monitors)

    def take(self, batch: AnnotationBatch, *, now: float) -> None:
        """Its answers become golden rows, of *calibrate* and *verify*; those that are there already stay as they are."""
        found = {sample: agreement.label.label for sample, agreement in answers(self._store, [batch]).items()}
        labels = {sample: label for sample, label in found.items() if label is not None and trains(label)}
        settings, embedder = self._monitors.effective(batch.monitor), self._monitors.embedder(batch.monitor)
        fresh = () if withheld(settings) else self._sets.answered(batch.monitor, labels)
        golden = refill(self._data_sets, settings, fresh, embedder, now=now) if fresh else None
        version = None if golden is None else golden.version
        log.info("golden top-up taken in", monitor=batch.monitor, batch=batch.id, labels=len(labels), golden=version)


def drawn(read: Reading, size: int, rng: np.random.Generator) -> Sequence[Pooled]:
    """`size` of the recent distinct rows, each as likely as the samples that it stands for: as if samples were drawn one by one and
    repetitions left out."""
    recent = {row.id for row in read.frame}
    weights = np.array([weight * (row.id in recent) for row, weight in zip(read.gathered.rows, read.gathered.weights, strict=True)], float)
    possible = int((weights > 0).sum())
    if not possible:
        return ()
    picked = rng.choice(len(weights), min(size, possible), replace=False, p=weights / weights.sum())
    return [read.gathered.rows[i] for i in picked.tolist()]


def _candidate(row: Pooled) -> Candidate:
    text = row.payload[:MAX_TEXT] if isinstance(row.payload, str) else ""
    return Candidate(row.id, REASON, 0.0, WHOLE, text, purpose=Purpose.TOP_UP, time=row.time)
