"""What annotators are asked about, kept whole until they answer, and what their answers make of it: train and challenge sets."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.annotation import Words
from service.datasets import DataSet, DataSets, Role, checksum
from service.errors import InputError
from service.growing import Growth, require_kept
from service.ports import Embedder
from service.records import Candidate, LabelScheme, Partition, Pooled, Sample
from service.settings import MonitorSettings


class LabelledSets:
    """A monitor's growing data sets. A step that is repeated finds its version there and makes no other."""

    def __init__(self, data_sets: DataSets) -> None:
        self._data_sets = data_sets

    def keep(
        self, candidates: Sequence[Candidate], rows: Mapping[str, Pooled], settings: MonitorSettings, embedder: Embedder, *, now: float
    ) -> None:
        """Their samples as a pool set, once: annotators take longer than the store keeps samples."""
        require_kept(settings)
        samples = [sample_of(rows[candidate.id], settings) for candidate in candidates]
        newest = self.newest(settings.name, "pool") if samples else None
        if samples and (newest is None or newest.checksum != checksum(samples)):
            self._data_sets.add(settings.name, "pool", samples, embedder, now=now, classes=settings.classes)

    def publish(
        self,
        settings: MonitorSettings,
        labels: Mapping[str, str],
        challenge: Collection[str],
        embedder: Embedder,
        *,
        now: float,
        scheme: LabelScheme | None = None,
    ) -> list[Mapping[str, Any]]:
        """New versions from labels by sample id, as a refresh request cites them; rows of `challenge` are never trained on. All rows,
        those of former versions too, carry the names that their classes have by now."""
        require_kept(settings)
        words = Words(scheme) if scheme else None
        labelled = self.answered(settings.name, labels)
        sets = (
            self._extend(settings, "train", [sample for sample in labelled if sample.id not in challenge], embedder, now, words),
            self._extend(settings, "challenge", [sample for sample in labelled if sample.id in challenge], embedder, now, words),
            self._extend(settings, "golden", (), embedder, now, words),
        )
        return [data_set.cited() for data_set in sets if data_set is not None]

    def answered(self, monitor: str, labels: Mapping[str, str]) -> list[Sample]:
        """The samples with their labels, of those that are kept."""
        return [replace(sample, label=labels[sample.id]) for sample in self._kept(monitor, labels)]

    def vectors(self, monitor: str, ids: Collection[str]) -> Mapping[str, NDArray[np.float32]]:
        """(d,) embeddings of those of the samples that are kept, all by the newest model that embedded any."""
        found: dict[str, NDArray[np.float32]] = {}
        manifests = list(reversed(self._data_sets.versions(monitor, "pool")))
        for manifest in manifests:
            if len(found) < len(ids) and manifest["fingerprint"] == manifests[0]["fingerprint"]:
                kept = self._data_sets.load(monitor, "pool", int(manifest["version"]))
                rows = zip(kept.samples, kept.embeddings, strict=True)
                found = {sample.id: vector for sample, vector in rows if sample.id in ids} | found
        return found

    def newest(self, monitor: str, role: Role) -> DataSet | None:
        """The newest version, None before the first."""
        return self._data_sets.load(monitor, role) if self._data_sets.versions(monitor, role) else None

    def _kept(self, monitor: str, ids: Collection[str]) -> list[Sample]:
        """The samples of those ids, from the pool sets."""
        found: dict[str, Sample] = {}
        for manifest in reversed(self._data_sets.versions(monitor, "pool")):
            if len(found) < len(ids):
                kept = self._data_sets.load(monitor, "pool", int(manifest["version"])).samples
                found = {sample.id: sample for sample in kept if sample.id in ids} | found
        return [found[key] for key in ids if key in found]

    def _extend(
        self, settings: MonitorSettings, role: Role, new: Sequence[Sample], embedder: Embedder, now: float, words: Words | None
    ) -> DataSet | None:
        """A challenge set is of one drift: it replaces the former; the others grow."""
        ids = {sample.id for sample in new}

        def extended(newest: DataSet | None) -> Sequence[Sample] | None:
            former = newest.samples if newest and role != "challenge" else ()
            rows = [*(_renamed(s, words) for s in former if s.id not in ids), *(_renamed(s, words) for s in new)]
            return rows if rows and not (newest and newest.checksum == checksum(rows)) else None

        made = Growth(self._data_sets, settings, role, embedder).grown(extended, now=now)
        return made if new or role != "challenge" else None


def _renamed(sample: Sample, words: Words | None) -> Sample:
    """With its class as it is called by now."""
    return sample if words is None or sample.label is None else replace(sample, label=words.canonical(sample.label))


def whole(rows: Sequence[Pooled], settings: MonitorSettings) -> Sequence[Pooled]:
    """The rows that can be labelled and embedded anew: the pool lets go of the oldest payloads when it holds too many bytes.

    All of them if none can, so that whoever needs one is told why.
    """
    return [row for row in rows if row.payload is not None or settings.embedder.input == "none"] or rows


def sample_of(row: Pooled, settings: MonitorSettings) -> Sample:
    """A pooled row as it arrived; where samples bring their embedding, it is the payload."""
    payload = row.embedding.astype(np.float32) if settings.embedder.input == "none" else row.payload
    if payload is None:
        require_kept(settings)
        raise InputError("payload", f"sample {row.id}: its payload was not kept; set pool.keep_payloads: true to label and embed it anew")
    return Sample(row.monitor, row.id, row.time, payload, row.segments, row.output, row.label)


def pooled_of(sample: Sample, embedding: NDArray[np.float32], reference_version: int) -> Pooled:
    """A sample of a set as a row beside those of the stream; how new it is is not known."""
    time = 0.0 if math.isnan(sample.time) else sample.time
    return Pooled(
        monitor=sample.monitor, id=sample.id, time=time, partition=Partition("datasets", sample.monitor), offset=0,
        payload=sample.payload, segments=sample.segments, output=sample.output, label=sample.label,
        embedding=embedding.astype(np.float16), novelty=math.nan, reference_version=reference_version,
    )  # fmt: skip
