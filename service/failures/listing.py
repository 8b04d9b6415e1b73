"""The failures of all monitors: marked by people, gathered from labels, and shown as clusters with what speaks for their causes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import structlog

from service.datasets import DataSet, DataSets
from service.errors import ArtefactError, InputError, NotFoundError
from service.failures import marks
from service.failures.causes import Evidence, evidence, places
from service.failures.clusters import FailureCluster, clustered
from service.failures.facts import Labelled, facts
from service.failures.known import Failure, gather, keep, known_failures, let_go, loss_of, unknown_to
from service.failures.marks import Word
from service.monitors import Embedders
from service.ports import Store
from service.records import Alarm, AlarmState, FailureMark, Output, Partition, Pooled, Sample
from service.reference import Reference, References
from service.reference_rows import answer, sureness
from service.settings import MonitorSettings

Progress = Callable[[str, float], None]

_ALARMS, _LISTINGS = 100, 16
_AGAIN = 256
"""Failures of earlier references that are shown to the model in force at a time."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, eq=False)
class Told:
    """A cluster with what is known of its causes."""

    cluster: FailureCluster
    evidence: tuple[Evidence, ...]
    suspects: tuple[tuple[str, ...], ...]
    """Of each of its failures, why it may itself be at fault."""


@dataclass(frozen=True, slots=True, eq=False)
class Listing:
    """A monitor's failures under the reference in force."""

    monitor: str
    reference_version: int
    clusters: tuple[Told, ...]
    older: int = 0
    """Failures under earlier references, which say nothing of the model in force."""
    unkept: int = 0
    """Marks whose sample is kept nowhere any more."""


class Failures:
    """Safe to call from several threads; evidence is looked for once for the same failures."""

    def __init__(self, store: Store, references: References, data_sets: DataSets, monitors: Embedders) -> None:
        self._store = store
        self._references = references
        self._data_sets = data_sets
        self._monitors = monitors
        self._told: dict[object, Listing] = {}
        self._turn = threading.Lock()

    # --- what people say --------------------------------------------------------------------------------------------------

    def mark(self, monitor: str, sample: str, label: str | None, word: Word, *, given: Sample | None = None) -> FailureMark:
        """Keeps that the model fails on a sample: one that is kept, or the one given. Repeating it changes nothing."""
        settings = self._monitors.effective(monitor)
        label = label or (given.label if given is not None else None)
        marks.require_class(monitor, label, settings.labels)
        row = self._given(settings, given) if given is not None else self._kept(settings, sample)
        said = answer(row.output, None, settings.classes)
        if label is not None and label == said:
            raise InputError(
                "label", f"monitor {monitor}: {label!r:.80} is what the model answered to sample {sample!r:.200}; name the right class"
            )
        loss = loss_of(row.output, label, sureness(row.output), settings.classes)
        keep(self._store, settings, [Failure(row, label, said, loss)], now=word.time)
        return marks.mark(self._store, monitor, sample, label, word)

    def unmark(self, monitor: str, sample: str, word: Word) -> FailureMark:
        """Takes a mark back; what labels say of the sample stays."""
        taken_back = marks.unmark(self._store, monitor, sample, word)
        let_go(self._store, self._monitors.effective(monitor), sample)
        return taken_back

    def _kept(self, settings: MonitorSettings, sample: str) -> Pooled:
        rows = (kept.row for kept in self._store.reserve(settings.name))
        found = next((row for row in (*self._store.pool(settings.name), *rows) if row.id == sample), None)
        if found is None:
            raise NotFoundError(
                f"monitor {settings.name}: no sample {sample!r:.200} among those that are kept; "
                f"send it along: driftgate failure mark {sample:.200} --monitor {settings.name} --input FILE"
            )
        return found

    def _given(self, settings: MonitorSettings, sample: Sample) -> Pooled:
        """As the worker would keep it."""
        if not settings.pool.reserve_rows:
            raise InputError(
                "reserve", f"monitor {settings.name}: pool.reserve_rows is 0, so no sample is kept; set it to mark samples given"
            )
        embedder = self._monitors.embedder(settings.name)
        embedder.check(sample.payload)
        embedded = embedder.embed([sample.payload])
        reference = self._references.load(settings.name) if self._references.active(settings.name) else None
        novelty = 0.0 if reference is None else float(reference.summarizer.describe(embedded.embedding).novelty[0])
        output = sample.output
        if output is None and embedded.logits is not None:
            output = Output(logits=tuple(embedded.logits[0].tolist()))
        keeps = settings.pool.keep_payloads and settings.embedder.input != "none" and settings.privacy.payloads == "keep"
        return Pooled(
            monitor=settings.name,
            id=sample.id,
            time=sample.time,
            partition=Partition("marks", settings.name),
            offset=0,
            payload=sample.payload if keeps else None,
            segments=sample.segments,
            output=output,
            label=sample.label,
            embedding=embedded.embedding[0].astype(np.float16),
            novelty=novelty,
            reference_version=0 if reference is None else reference.version,
        )

    # --- what is known ----------------------------------------------------------------------------------------------------

    def gather(self, monitor: str, *, now: float) -> int:
        """Keeps what labels have told of samples that are still at hand, and shows those of earlier references to the model in force;
        returns how many failures are known."""
        settings = self._monitors.effective(monitor)
        found = gather(self._store, settings, now=now)
        if found and self._references.active(monitor) and settings.pool.reserve_rows:
            self._ask_again(settings, self._references.load(monitor), now)
        return found

    def _ask_again(self, settings: MonitorSettings, reference: Reference, now: float) -> None:
        """Failures of earlier references whose payload is kept: only a model that gives logits tells whether it still fails."""
        known = known_failures(self._store, settings)
        older = [each for each in known if each.row.payload is not None and each.row.reference_version < reference.version]
        if not older:
            return
        dearest = sorted(older, key=lambda each: -each.loss)[:_AGAIN]
        embedder = self._monitors.embedder(settings.name)
        embedded = embedder.embed([each.row.payload for each in dearest if each.row.payload is not None])
        if embedded.logits is None or embedder.fingerprint != reference.fingerprint:
            return
        novelty = reference.summarizer.describe(embedded.embedding).novelty.tolist()
        again = [
            replace(
                each,
                row=replace(
                    each.row,
                    embedding=vector.astype(np.float16),
                    output=Output(logits=tuple(logits.tolist())),
                    novelty=new,
                    reference_version=reference.version,
                ),
            )
            for each, vector, logits, new in zip(dearest, embedded.embedding, embedded.logits, novelty, strict=True)
        ]
        keep(self._store, settings, again, now=now)

    def listing(self, monitor: str, *, progress: Progress = lambda *_: None) -> Listing:
        """The clusters, weightiest first, with the evidence for their causes."""
        settings, reference = self._monitors.effective(monitor), self._in_force(monitor)
        known = known_failures(self._store, settings)
        own = [each for each in known if each.row.reference_version == reference.version]
        progress("clusters", 0.0)
        clusters = clustered(own, reference)
        told = self._with_evidence(clusters, reference, progress)
        unkept = sum(1 for _ in unknown_to(known, marks.standing(self._store, monitor)))
        return replace(told, older=len(known) - len(own), unkept=unkept)

    def cluster(self, monitor: str, id: str) -> FailureCluster:
        """One of them, by its id or the start of it. NotFoundError names those there are."""
        reference = self._in_force(monitor)
        found = clustered(known_failures(self._store, self._monitors.effective(monitor), version=reference.version), reference)
        chosen = [cluster for cluster in found if id and cluster.id.startswith(id)]
        if len(chosen) != 1:
            there = ", ".join(cluster.id for cluster in (chosen or found)[:10]) or "none"
            raise NotFoundError(f"monitor {monitor}: {len(chosen) or 'no'} failure cluster {id!r:.80}; there are: {there}")
        return chosen[0]

    def _in_force(self, monitor: str) -> Reference:
        try:
            return self._references.load(monitor)
        except NotFoundError as error:
            raise NotFoundError(
                f"monitor {monitor}: without a reference nothing says which failures are alike; `driftgate reference build` makes one"
            ) from error

    def _with_evidence(self, clusters: Sequence[FailureCluster], reference: Reference, progress: Progress) -> Listing:
        """Told once, whoever asks at the same time."""
        alarms = self._store.find(Alarm, monitor=reference.monitor, states=[AlarmState.OPEN, AlarmState.ACKNOWLEDGED], limit=_ALARMS)
        train = self._train(reference)
        members = tuple((each.id, tuple((f.row.id, f.label, f.count, f.mark) for f in each.failures)) for each in clusters)
        key = (reference.monitor, reference.version, train and train.version, members, tuple((a.id, a.version) for a in alarms))
        with self._turn:
            if key not in self._told:
                while len(self._told) >= _LISTINGS:
                    del self._told[next(iter(self._told))]
                told = _told(clusters, reference, Labelled.of(reference, train), alarms, progress)
                self._told[key] = Listing(reference.monitor, reference.version, told)
            return self._told[key]

    def _train(self, reference: Reference) -> DataSet | None:
        """The newest training set, where the model in force embedded it."""
        try:
            train = self._data_sets.load(reference.monitor, "train")
        except NotFoundError:
            return None
        except ArtefactError as error:
            log.warning("training set not read", monitor=reference.monitor, reason=str(error))
            return None
        return train if train.manifest["fingerprint"] == reference.fingerprint else None


def _told(
    clusters: Sequence[FailureCluster], reference: Reference, labelled: Labelled, alarms: Sequence[Alarm], progress: Progress
) -> tuple[Told, ...]:
    if not clusters:
        return ()
    failures = [each for cluster in clusters for each in cluster.failures]
    found = facts(failures, reference, labelled, progress=lambda done: progress("causes", done))
    return tuple(
        Told(cluster, evidence(cluster, at, found, labelled, alarms), tuple(found.suspects(row) for row in at.tolist()))
        for cluster, at in places(clusters)
    )
