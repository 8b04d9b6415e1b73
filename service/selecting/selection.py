"""From a slice of the stream to a proposal: reads what is kept and known, draws the challenge rows first, then chooses from the rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from detectors.selection.base import Selector, Turn
from detectors.selection.probe_expand import ProbeAndExpand
from service.datasets import DataSet, DataSets, Role
from service.labelled import whole
from service.ports import Store
from service.records import AnnotationBatch, Candidate, Pooled, Purpose, stable_id
from service.reference import Reference, References
from service.selecting import challenge
from service.selecting.asking import Asked, asked, batches_of, found
from service.selecting.choosing import Choice, Limits, audits_due
from service.selecting.gathering import Gathered, Likeness, embeddings_of, gather
from service.selecting.interim import calibrated, failure_rows
from service.selecting.knowing import Ground, Material, cited, ground
from service.selecting.proposal import Proposal
from service.selecting.slices import Slice
from service.selecting.spending import Cost, Purse, Wanted, candidates_purse, purses
from service.settings import MonitorSettings

_KINDS = {"text": "text", "image": "image", "tensor": "vector", "none": "vector"}

Progress = Callable[[str, float], None]


class Monitors(Protocol):
    """What a selection asks of the installation."""

    def effective(self, monitor: str) -> MonitorSettings:
        """The settings with the model that is in force."""


@dataclass(frozen=True, slots=True)
class Round:
    """Which batch of which cycle is chosen; `cycle` is '' for one that nobody has opened. The same round of the same cycle draws the
    same rows from the same pool."""

    cycle: str = ""
    turn: Turn = field(default_factory=Turn)
    budget: int | None = None
    """Candidates of this round; its share of what the cycle has left by default."""

    def rng(self, *of: object) -> np.random.Generator:
        """A stream of its own for each draw."""
        return np.random.default_rng(int(stable_id(self.cycle, self.turn.number, *of), 16) % 2**63)


class Selection:
    """Nothing is kept between two proposals: what earlier rounds taught is in the store."""

    def __init__(
        self, store: Store, references: References, data_sets: DataSets, monitors: Monitors, *, selector: Selector | None = None
    ) -> None:
        self._store = store
        self._references = references
        self._data_sets = data_sets
        self._monitors = monitors
        self._selector = selector or ProbeAndExpand()

    def propose(self, about: Slice, turn: Round = Round(), *, now: float, progress: Progress = lambda *_: None) -> Proposal:
        """The round's batch as it would be sent now; without candidates where nothing is worth asking about or left to spend."""
        progress("reading what is kept", 0.0)
        read = _Reading(self._store, self._references, self._data_sets, self._monitors.effective(about.monitor), about)
        limits = read.purses(turn.cycle, now)
        wanted = _wanted(read, turn, limits)
        drawn = self._challenge(read, wanted, turn)
        base = read.ground(without={item.id for item in drawn})
        candidates, risky = self._chosen(read, base, wanted, turn, progress)
        drawn = read.apart_from_training(drawn) if candidates else ()
        names = [name for item in candidates for name in item.nearest]
        items = (*drawn, *candidates)
        return Proposal(
            about=about,
            situation=base.situation,
            turn=turn.turn,
            candidates=candidates,
            challenge=drawn,
            rows={item.id: read.by_id[item.id] for item in items},
            cited=cited(base, names),
            counts=read.gathered.counts,
            cost=Cost(len(items), read.settings.annotation.price, limits),
            risky=risky,
            notes=base.notes,
        )

    def _challenge(self, read: _Reading, wanted: Wanted, turn: Round) -> tuple[Candidate, ...]:
        return challenge.drawn(read.frame, wanted.challenge, read.about.segment, turn.rng("challenge"))

    def _chosen(self, read: _Reading, base: Ground, wanted: Wanted, turn: Round, progress: Progress) -> tuple[tuple[Candidate, ...], int]:
        settings = read.settings.selection
        of_cycle = [item for batch in read.batches if batch.cycle == turn.cycle for item in batch.items]
        before = sum(item.purpose is not Purpose.CHALLENGE for item in of_cycle)
        audited = sum(item.purpose is Purpose.AUDIT for item in of_cycle)
        audits = audits_due(settings.audit_share, wanted.candidates, before=before, audited=audited)
        choice = Choice(
            self._selector, calibrated(read.batches), turn.turn, read.about.segment, lambda done: progress("choosing candidates", done)
        )
        chosen = choice.choose(base, Limits(wanted.candidates, settings.risk_limit, audits), turn.rng("candidates"))
        return chosen.candidates, chosen.risky


def _wanted(read: _Reading, turn: Round, limits: Sequence[Purse]) -> Wanted:
    """A fair share of what the cycle has left for candidates, and with the first batch the challenge rows, as far as the limits allow."""
    left = candidates_purse(read.settings, read.batches, turn.cycle).labels
    rounds = turn.turn.of - turn.turn.number + 1
    candidates = min(left, turn.budget) if turn.budget is not None else -(-left // rounds)
    return Wanted(candidates, read.settings.selection.challenge if turn.turn.number == 1 else 0).within(limits)


class _Reading:
    """One proposal's view of what is kept, read once."""

    def __init__(self, store: Store, references: References, data_sets: DataSets, settings: MonitorSettings, about: Slice) -> None:
        self.settings = settings
        self.about = about
        self.reference: Reference = references.load(about.monitor)
        self.batches: Sequence[AnnotationBatch] = batches_of(store, about.monitor)
        self.notes: list[str] = []
        self._store = store
        self._data_sets = data_sets
        self._likeness = Likeness.of(self.reference)

    def purses(self, cycle: str, now: float) -> tuple[Purse, ...]:
        return purses(self.settings, self.batches, cycle, now=now)

    @cached_property
    def gathered(self) -> Gathered:
        """The distinct rows that may be asked about."""
        held_back = [each.embeddings for role in ("golden", "challenge") if (each := self._own(role)) is not None]
        return gather(
            [(row, 1) for row in self._recent],
            self._reserved,
            self._likeness,
            asked=(self._asked.items.keys() | self._judged, self._asked_vectors),
            held_back=np.concatenate(held_back) if held_back else embeddings_of((), self._dimension),
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
        failures = failure_rows(self._store, self.reference, self.settings)
        kind = _KINDS[self.settings.embedder.input]
        golden = self._own("golden")
        select = golden.part("select") if golden is not None else None
        select = select if select is not None and len(select.rows) >= 2 else None
        if golden is None:
            self._note("no golden set: what must not regress is taken from the reference, and no bound on regressions is promised")
        answered = [(item, label, self._vectors[item.id]) for item, label in self._asked.answered() if item.id in self._vectors]
        material = Material(kind, self.settings.classes, self.reference, select, failures, answered, tuple(dict.fromkeys(self.notes)))
        return ground(self.gathered.take(kept), material)

    def apart_from_training(self, drawn: tuple[Candidate, ...]) -> tuple[Candidate, ...]:
        """Without those that say the same as a row that the model was trained on: nothing is learnt from them about new samples."""
        train = self._own("train") if drawn else None
        if train is None:
            return drawn
        rows = self.by_id
        near = self._likeness.near(embeddings_of([rows[item.id] for item in drawn], self._dimension), train.embeddings)
        return tuple(item for item, known in zip(drawn, near.tolist(), strict=True) if not known)

    # --- what is read -------------------------------------------------------------------------------------------------

    @cached_property
    def _recent(self) -> Sequence[Pooled]:
        rows = self._store.pool(self.about.monitor, since=self.about.since)
        return whole([row for row in rows if self.about.holds(row, self.reference.segment_values)], self.settings)

    @cached_property
    def _reserved(self) -> Sequence[tuple[Pooled, int]]:
        kept = self._store.reserve(self.about.monitor)
        mine = [each for each in kept if self.about.could_hold(each.row, self.reference.segment_values)]
        usable = {row.id for row in whole([each.row for each in mine], self.settings)}
        return [(each.row, each.count) for each in mine if each.row.id in usable]

    @cached_property
    def _judged(self) -> set[str]:
        """Samples whose truth came by itself."""
        ids = [row.id for row in self._recent] + [row.id for row, _ in self._reserved]
        return set(self._store.known_truth(self.about.monitor, ids))

    @cached_property
    def _asked(self) -> Asked:
        return asked(self._store, self.batches)

    @cached_property
    def _vectors(self) -> dict[str, NDArray[np.float32]]:
        """Embeddings of what was asked under this reference: of recent samples, of the reserve, else of the pool sets kept for answers."""
        version = self.reference.version
        ids = {item.id for batch in self.batches if batch.reference_version == version for item in batch.items}
        rows = [*self._store.pool(self.about.monitor), *(each.row for each in self._store.reserve(self.about.monitor))] if ids else []
        vectors = found(ids, rows, version)
        for manifest in reversed(self._data_sets.versions(self.about.monitor, "pool")):
            if ids <= vectors.keys() or manifest["fingerprint"] != self.reference.fingerprint:
                continue
            kept = self._data_sets.load(self.about.monitor, "pool", int(manifest["version"]))
            vectors |= {sample.id: kept.embeddings[i] for i, sample in enumerate(kept.samples) if sample.id in ids - vectors.keys()}
        return vectors

    @cached_property
    def _asked_vectors(self) -> NDArray[np.float32]:
        vectors = list(self._vectors.values())
        return np.stack(vectors).astype(np.float32) if vectors else embeddings_of((), self._dimension)

    def _own(self, role: Role) -> DataSet | None:
        """The newest set that the model in force has embedded."""
        manifests = self._data_sets.versions(self.about.monitor, role)
        if not manifests:
            return None
        if manifests[-1]["fingerprint"] != self.reference.fingerprint:
            add = f"driftgate dataset add --monitor {self.about.monitor} --role {role}"
            self._note(f"the {role} set was embedded by another model and is not held against: add it again, {add}")
            return None
        return self._data_sets.load(self.about.monitor, role)

    def _note(self, note: str) -> None:
        self.notes.append(note)

    @property
    def _dimension(self) -> int:
        return int(self.reference.rows.embeddings.shape[1])
