"""From a slice of the stream to a proposal: reads what is kept and known, draws the challenge rows first, then chooses from the rest."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

import numpy as np

from detectors.selection.base import Selector, Turn
from detectors.selection.probe_expand import ProbeAndExpand
from service.datasets import DataSets
from service.monitors import Monitors
from service.ports import Store
from service.records import Candidate, Purpose, stable_id
from service.reference import References
from service.risks import calibrated
from service.selecting import challenge
from service.selecting.choosing import Choice, Limits, audits_due
from service.selecting.knowing import Ground, cited
from service.selecting.proposal import Proposal
from service.selecting.reading import Reading
from service.selecting.slices import Slice
from service.selecting.spending import Cost, Purse, Wanted, candidates_purse

Progress = Callable[[str, float], None]


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
        read = self.reading(about)
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
            cost=Cost(len(items), read.settings.annotation.price_per_candidate, limits),
            risky=risky,
            notes=base.notes,
        )

    def reading(self, about: Slice) -> Reading:
        """What is kept for the slice, as it stands now."""
        return Reading(self._store, self._references, self._data_sets, self._monitors.effective(about.monitor), about)

    def too_close(self, about: Slice, ids: Collection[str], drawn: Collection[str]) -> set[str]:
        """Of samples that a cycle asked about, those that its new model must not learn from; `drawn`: its challenge rows."""
        return self.reading(about).too_close(ids, drawn)

    def _challenge(self, read: Reading, wanted: Wanted, turn: Round) -> tuple[Candidate, ...]:
        return challenge.drawn(read.frame, wanted.challenge, read.about.segment, turn.rng("challenge"))

    def _chosen(self, read: Reading, base: Ground, wanted: Wanted, turn: Round, progress: Progress) -> tuple[tuple[Candidate, ...], int]:
        settings = read.settings.selection
        of_cycle = [item for batch in read.batches if batch.cycle == turn.cycle for item in batch.items if not item.again]
        before = sum(item.purpose is not Purpose.CHALLENGE for item in of_cycle)
        audited = sum(item.purpose is Purpose.AUDIT for item in of_cycle)
        audits = audits_due(settings.audit_share, wanted.candidates, before=before, audited=audited)
        choice = Choice(
            self._selector, calibrated(read.batches), turn.turn, read.about.segment, lambda done: progress("choosing candidates", done)
        )
        chosen = choice.choose(base, Limits(wanted.candidates, settings.risk_limit, audits), turn.rng("candidates"))
        return chosen.candidates, chosen.risky


def _wanted(read: Reading, turn: Round, limits: Sequence[Purse]) -> Wanted:
    """A fair share of what the cycle has left for candidates, and with the first batch the challenge rows, as far as the limits allow."""
    left = candidates_purse(read.settings, read.batches, turn.cycle).labels
    rounds = turn.turn.of - turn.turn.number + 1
    candidates = min(left, turn.budget) if turn.budget is not None else -(-left // rounds)
    return Wanted(candidates, read.settings.selection.challenge if turn.turn.number == 1 else 0).within(limits)
