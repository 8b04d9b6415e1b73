"""What a choice is made from, read from the store, the data sets and the reference in force."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from collections.abc import Set as AbstractSet
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from service.datasets import DataSet, DataSets, Role
from service.failures.rows import failure_rows
from service.labelled import whole
from service.ports import Store
from service.records import AnnotationBatch, Candidate, Label, Output, Pooled
from service.reference import Reference, References
from service.selecting.asking import Asked, asked, batches_of, found
from service.selecting.gathering import Gathered, Likeness, embeddings_of, gather
from service.selecting.imported import imported
from service.selecting.knowing import Ground, Material, ground
from service.selecting.slices import Slice
from service.selecting.spending import Purse, purses
from service.settings import MonitorSettings

_JUDGES: tuple[Role, ...] = ("golden", "challenge")

_KINDS = {"text": "text", "image": "image", "tensor": "vector", "none": "vector"}


class Reading:
    """A view of what is kept for one slice, read once."""

    def __init__(self, store: Store, references: References, data_sets: DataSets, settings: MonitorSettings, about: Slice) -> None:
        self.settings = settings
        self.about = about
        self.reference: Reference = references.load(about.monitor)
        self.batches: Sequence[AnnotationBatch] = batches_of(store, about.monitor)
        self.notes: list[str] = []
        self.store = store
        self._data_sets = data_sets
        self._likeness = Likeness.of(self.reference)

    def purses(self, cycle: str, now: float) -> tuple[Purse, ...]:
        return purses(self.settings, self.batches, cycle, now=now)

    @cached_property
    def gathered(self) -> Gathered:
        """The distinct rows that may be asked about."""
        return self._gather([(row, 1) for row in self._recent], self._reserved, self._imported)

    def among_others(self, rows: Iterable[tuple[Pooled, int]]) -> Gathered:
        """Rows from anywhere, as far as they may be asked about, among all others that may be; near-duplicates of theirs are theirs."""
        others = zip(self.gathered.rows, map(int, self.gathered.weights.tolist()), strict=True)
        return self._gather(rows, others)

    def _gather(self, first: Iterable[tuple[Pooled, int]], more: Iterable[tuple[Pooled, int]], imported: Iterable[Pooled] = ()) -> Gathered:
        return gather(
            first,
            more,
            self._likeness,
            asked=(self._asked.items.keys() | self._judged, self._asked_vectors),
            held_back=self._held_back,
            imported=imported,
        )

    @property
    def by_id(self) -> dict[str, Pooled]:
        """The distinct rows."""
        return {row.id: row for row in self.gathered.rows}

    @property
    def frame(self) -> tuple[Pooled, ...]:
        """What challenge rows are drawn from: all of the slice that the recent samples still hold, each distinct row once."""
        recent = {row.id for row in self._recent}
        return tuple(row for row in self.gathered.rows if row.id in recent)

    def ground(self, *, without: set[str]) -> Ground:
        """What candidates are chosen by, without rows that are taken already."""
        kept = np.flatnonzero([row.id not in without for row in self.gathered.rows])
        return ground(self.gathered.take(kept), self.material())

    def material(self, *, unheard: str = "") -> Material:
        """What is known; `unheard`: a batch whose answers are left out of it."""
        golden = self._own("golden")
        if golden is None:
            self._note("no golden set: what must not regress is taken from the reference, and no bound on regressions is promised")
        select = golden.part("select") if golden is not None else None
        return Material(
            kind=_KINDS[self.settings.embedder.input],
            classes=self.settings.classes,
            reference=self.reference,
            golden=select if select is not None and len(select.rows) >= 2 else None,
            failures=failure_rows(self.store, self.reference, self.settings),
            answered=self._answered(unheard),
            notes=tuple(dict.fromkeys(self.notes)),
        )

    def apart_from_training(self, drawn: tuple[Candidate, ...]) -> tuple[Candidate, ...]:
        """Without those that say the same as a row that the model was trained on: nothing is learnt from them about new samples."""
        train = self._own("train") if drawn else None
        if train is None:
            return drawn
        rows = self.by_id
        near = self._likeness.near(embeddings_of([rows[item.id] for item in drawn], self._dimension), train.embeddings)
        return tuple(item for item, known in zip(drawn, near.tolist(), strict=True) if not known)

    def too_close(self, ids: Collection[str], drawn: Collection[str]) -> set[str]:
        """Of samples that were asked about, those that say the same as what the new model is judged by: golden rows, which may have come
        since, and the challenge rows drawn for it, else those of the set."""
        asked = [key for key in ids if key in self.vectors and key not in drawn]
        sets = [self._own(role) for role in _JUDGES if role == "golden" or not drawn]
        nothing = embeddings_of((), self._dimension)
        own = [self.vectors[key][None] for key in drawn if key in self.vectors]
        judges = np.concatenate([nothing, *own, *(each.embeddings for each in sets if each is not None)])
        near = self._likeness.near(np.concatenate([nothing, *(self.vectors[key][None] for key in asked)]), judges)
        return {key for key, close in zip(asked, near.tolist(), strict=True) if close}

    # --- what is read -------------------------------------------------------------------------------------------------

    @cached_property
    def _recent(self) -> Sequence[Pooled]:
        rows = self.store.pool(self.about.monitor, since=self.about.since)
        return whole([row for row in rows if self.about.holds(row, self.reference.segment_values)], self.settings)

    @cached_property
    def _reserved(self) -> Sequence[tuple[Pooled, int]]:
        kept = self.store.reserve(self.about.monitor)
        mine = [each for each in kept if self.about.could_hold(each.row, self.reference.segment_values)]
        usable = {row.id for row in whole([each.row for each in mine], self.settings)}
        return [(each.row, each.count) for each in mine if each.row.id in usable]

    @cached_property
    def _imported(self) -> Sequence[Pooled]:
        """Rows of files have no part in the stream's time: they are chosen from in a cycle about failures, not in one about an alarm."""
        if self.about.since > 0:
            return ()
        found = imported(self._data_sets, self.reference, {item.id for batch in self.batches for item in batch.chosen})
        self.notes.extend(found.notes)
        return [row for row in found.rows if self.about.could_hold(row, self.reference.segment_values)]

    @cached_property
    def _judged(self) -> set[str]:
        """Samples whose truth came by itself."""
        ids = [row.id for row in (*self._recent, *(row for row, _ in self._reserved), *self._imported)]
        return set(self.store.known_truth(self.about.monitor, ids))

    @cached_property
    def _held_back(self) -> tuple[Collection[str], NDArray[np.float32]]:
        """Golden and challenge rows; of those that another model has embedded all that can be held against is the contents."""
        sets = [self._own(role) for role in _JUDGES]
        others = [
            role for role, own in zip(_JUDGES, sets, strict=True) if own is None and self._data_sets.versions(self.about.monitor, role)
        ]
        contents = {row.digest for role in others for row in self._data_sets.load(self.about.monitor, role).rows}
        return contents, np.concatenate([embeddings_of((), self._dimension), *(own.embeddings for own in sets if own is not None)])

    @cached_property
    def _asked(self) -> Asked:
        return asked(self.store, self.batches)

    def _answered(self, unheard: str) -> Sequence[tuple[Candidate, Label, NDArray[np.float32]]]:
        known = asked(self.store, [batch for batch in self.batches if batch.id != unheard]).answered()
        return [(item, label, self.vectors[item.id]) for item, label in known if item.id in self.vectors]

    @cached_property
    def vectors(self) -> dict[str, NDArray[np.float32]]:
        """Embeddings of what was asked under this reference: of recent samples, of the reserve, else of the pool sets kept for answers."""
        version = self.reference.version
        ids = {item.id for batch in self.batches if batch.reference_version == version for item in batch.chosen}
        rows = [*self.store.pool(self.about.monitor), *(each.row for each in self.store.reserve(self.about.monitor))] if ids else []
        vectors = found(ids, rows, version)
        for manifest in reversed(self._data_sets.versions(self.about.monitor, "pool")):
            if ids <= vectors.keys() or manifest["fingerprint"] != self.reference.fingerprint:
                continue
            kept = self._data_sets.load(self.about.monitor, "pool", int(manifest["version"]))
            vectors |= {sample.id: kept.embeddings[i] for i, sample in enumerate(kept.samples) if sample.id in ids - vectors.keys()}
        return vectors

    def outputs(self, ids: AbstractSet[str]) -> dict[str, Output]:
        """What the model said of samples that were asked about, as the pool sets kept for answers tell it."""
        found: dict[str, Output] = {}
        for manifest in reversed(self._data_sets.versions(self.about.monitor, "pool")):
            if ids <= found.keys():
                break
            samples = self._data_sets.load(self.about.monitor, "pool", int(manifest["version"])).samples
            found = {sample.id: sample.output for sample in samples if sample.id in ids and sample.output is not None} | found
        return found

    @cached_property
    def _asked_vectors(self) -> NDArray[np.float32]:
        vectors = list(self.vectors.values())
        return np.stack(vectors).astype(np.float32) if vectors else embeddings_of((), self._dimension)

    def _own(self, role: Role) -> DataSet | None:
        """The newest set that the model in force has embedded."""
        manifests = self._data_sets.versions(self.about.monitor, role)
        if not manifests:
            return None
        if manifests[-1]["fingerprint"] != self.reference.fingerprint:
            add = f"driftgate dataset add --monitor {self.about.monitor} --role {role}"
            held = "what is close to its rows is not held back, only what is the same: add it again" if role in _JUDGES else "add it again"
            self._note(f"the {role} set was embedded by another model and is not compared with; {held}, {add}")
            return None
        return self._data_sets.load(self.about.monitor, role)

    def _note(self, note: str) -> None:
        self.notes.append(note)

    @property
    def _dimension(self) -> int:
        return int(self.reference.rows.embeddings.shape[1])
