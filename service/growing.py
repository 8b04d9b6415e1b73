"""Data sets that grow: a version is made of the newest one, whoever else makes one meanwhile, and what that holds is not embedded again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from service.datasets import PARTS, DataSet, DataSets, Part, Role, payload_digest
from service.errors import ConflictError, InputError
from service.ports import Embedded, Embedder
from service.records import Payload, Sample
from service.settings import MonitorSettings

_TRIES = 5
"""Each is lost to a version of somebody else; that many in a row are no coincidence."""

Change = Callable[[DataSet | None], Sequence[Sample] | None]
"""From the newest version, None before the first, to all rows of the next one; None where none is needed."""


@dataclass(frozen=True, slots=True)
class Growth:
    """The set that grows, and with what."""

    data_sets: DataSets
    settings: MonitorSettings
    role: Role
    embedder: Embedder
    among: Sequence[Part] = PARTS

    def grown(self, change: Change, *, now: float) -> DataSet | None:
        """The newest version after the change, which is made again where another version came before it; None where there is none."""
        for left in reversed(range(_TRIES)):
            newest = self._newest()
            rows = change(newest)
            if rows is None:
                return newest
            try:
                return self._made(rows, newest, now)
            except ConflictError:
                if not left:
                    raise
        raise AssertionError  # the last try returns or raises

    def _newest(self) -> DataSet | None:
        monitor = self.settings.name
        return self.data_sets.load(monitor, self.role) if self.data_sets.versions(monitor, self.role) else None

    def _made(self, rows: Sequence[Sample], newest: DataSet | None, now: float) -> DataSet:
        name, after = self.settings.name, newest.version if newest else 0
        embedder = knowing(self.embedder, newest)
        classes = self.settings.classes
        return self.data_sets.add(name, self.role, rows, embedder, now=now, classes=classes, among=self.among, after=after)


def withheld(settings: MonitorSettings) -> bool:
    """Whether what production sends may be kept nowhere, and so in no data set; where samples are their embedding there is nothing else."""
    return settings.privacy.payloads == "none" and settings.embedder.input != "none"


def kept_as_given(settings: MonitorSettings) -> str:
    """What whoever adds rows by hand should know; '' where that is nothing."""
    return (
        "privacy.payloads is none, and these rows, which you gave, are kept with their payloads all the same" if withheld(settings) else ""
    )


def require_kept(settings: MonitorSettings) -> None:
    """InputError where they are withheld: a set that grew from production would hold them."""
    if withheld(settings):
        raise InputError(
            "payloads",
            f"monitor {settings.name}: privacy.payloads is none, so no payload of production is kept: no data set grows from it, no "
            "refresh cycle asks about it or trains on it, and no reference is made of recent samples; `driftgate candidates` tells by id "
            "what is worth a label, and `driftgate dataset add` takes rows that you give by hand",
        )


def knowing(embedder: Embedder, former: DataSet | None) -> Embedder:
    """The embedder, which takes from a version of its own what is there; older ones may lack the logits that it gives by now."""
    if former is None or former.manifest["fingerprint"] != embedder.fingerprint:
        return embedder
    gives = embedder.embed([former.rows[0].sample.payload]).logits is not None
    return _Knowing(embedder, former) if gives == (former.logits is not None) else embedder


class _Knowing:
    """Embeds what a version does not hold."""

    def __init__(self, embedder: Embedder, former: DataSet) -> None:
        self._embedder = embedder
        self._former = former
        self._at = {row.digest: at for at, row in enumerate(former.rows)}
        self.check = embedder.check

    @property
    def fingerprint(self) -> str:
        return self._embedder.fingerprint

    @property
    def dimension(self) -> int:
        return self._embedder.dimension

    def embed(self, payloads: Sequence[Payload]) -> Embedded:
        at = np.array([self._at.get(payload_digest(payload), -1) for payload in payloads])
        known = Embedded(self._former.embeddings[at], None if self._former.logits is None else self._former.logits[at])
        missing = np.flatnonzero(at < 0)
        if missing.size:
            new = self._embedder.embed([payloads[i] for i in missing.tolist()])
            known.embedding[missing] = new.embedding
            if known.logits is not None:
                known.logits[missing] = new.logits
        return known

    def close(self) -> None:
        """The embedder is its owner's to close."""
