"""From a ground to candidates: the valuable ones below the limit of risk, and a few drawn without regard to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from detectors.selection.assessment import Parts, assess
from detectors.selection.base import UNKNOWN, Pick, Selector, Turn, Why
from detectors.selection.risk import Risk
from service.records import Candidate, Purpose
from service.selecting.asking import MAX_TEXT
from service.selecting.knowing import Ground

_COPIES = 20
"""Ids of near-duplicates that a candidate names."""

AUDIT = "drawn without regard to its risk, to hold risks against outcomes"


@dataclass(frozen=True, slots=True)
class Limits:
    """How many candidates, and how risky they may be."""

    budget: int
    risk: float
    audits: int = 0
    """Of the budget, how many are drawn without regard to the risk."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Candidates, most valuable first, and how many rows were left out for their risk."""

    candidates: tuple[Candidate, ...]
    risky: int = 0


def audits_due(share: float, budget: int, *, before: int, audited: int) -> int:
    """Of the next `budget` candidates, when `before` went out with `audited` audits: rounds of a few add up to the share of all."""
    return max(0, min(budget, int(share * (before + budget) + 0.5) - audited))


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """One choice: by which method, by what risk, for which of how many rounds, of which segment."""

    selector: Selector
    risk: Risk
    turn: Turn
    segment: str
    progress: Callable[[float], None] = lambda _: None

    def choose(self, ground: Ground, limits: Limits, rng: np.random.Generator) -> Chosen:
        """At most the budget; fewer, or none, where no more are worth asking about or all others are too risky.

        Audits are drawn from what the method would have chosen without a limit, each as likely as the others, so that what they turn
        out to be says how good the risks are, low and high ones alike. Where none of that is too risky, the rest of it is what is chosen.
        """
        if not len(ground.pool) or limits.budget < 1:
            return Chosen(())
        parts = assess(ground.pool, ground.known)
        risks = self.risk.of(parts)
        free = self._picks(ground, limits.budget, rng) if limits.audits else ()
        audits = [free[i] for i in sorted(rng.permutation(len(free))[: limits.audits].tolist())]
        safe = risks <= limits.risk
        if free and safe[[pick.row for pick in free]].all():
            chosen: Sequence[Pick] = [pick for pick in free if pick not in audits]
        else:
            safe[[pick.row for pick in audits]] = False
            chosen = self._among(np.flatnonzero(safe), ground, limits.budget - len(audits), rng)
        told = _Told(ground, parts, risks, self.segment)
        candidates = (*(told.candidate(pick) for pick in chosen), *(told.audit(pick) for pick in audits))
        return Chosen(candidates, int((risks > limits.risk).sum()))

    def _among(self, kept: NDArray[np.int64], ground: Ground, budget: int, rng: np.random.Generator) -> Sequence[Pick]:
        """From these rows alone."""
        picks = self._picks(ground.take(kept), budget, rng)
        return [replace(pick, row=int(kept[pick.row]), copies=tuple(int(kept[i]) for i in pick.copies)) for pick in picks]

    def _picks(self, ground: Ground, budget: int, rng: np.random.Generator) -> Sequence[Pick]:
        if budget < 1 or not len(ground.pool):
            return ()
        return self.selector.pick(ground.pool, ground.known, budget=budget, rng=rng, turn=self.turn, progress=self.progress)


@dataclass(frozen=True, slots=True, eq=False)
class _Told:
    """Picks as candidates, with all that is known of each."""

    ground: Ground
    parts: Parts
    risks: NDArray[np.float32]
    segment: str

    def candidate(self, pick: Pick) -> Candidate:
        row, at = self.ground.gathered.rows[pick.row], pick.row
        copies = self._copies(pick)
        failure = self._failure(pick)
        weight = self._weight(pick)
        return Candidate(
            id=row.id,
            reason=self._reason(pick, failure, weight),
            risk=float(self.risks[at]),
            segment=self.segment,
            text=row.payload[:MAX_TEXT] if isinstance(row.payload, str) else "",
            predicted=row.output.label if row.output else None,
            weight=weight,
            purpose=Purpose.EXPAND if pick.why is Why.EXPAND else Purpose.PROBE,
            value=float(pick.value),
            junk=float(self.parts.junk[at]),
            contested=float(self.parts.contested[at]),
            influence=float(self.parts.influence[at]),
            failure=failure,
            nearest=tuple(self.ground.cited[i][0] for i in self.parts.nearest[at].tolist()),
            copies=copies[:_COPIES],
            time=row.time,
        )

    def audit(self, pick: Pick) -> Candidate:
        return replace(self.candidate(pick), purpose=Purpose.AUDIT, reason=AUDIT)

    def _copies(self, pick: Pick) -> tuple[str, ...]:
        gathered = self.ground.gathered
        others = [name for i in pick.copies for name in (gathered.rows[i].id, *gathered.copies[i])]
        return (*gathered.copies[pick.row], *others)

    def _weight(self, pick: Pick) -> int:
        return int(self.ground.gathered.weights[[pick.row, *pick.copies]].sum())

    def _failure(self, pick: Pick) -> str:
        """The cluster of the nearest failure of the class that the pick covers, else the class."""
        if pick.why is not Why.EXPAND:
            return ""
        known = self.ground.known
        if known.failures is not None and known.failure_labels is not None:
            same = np.flatnonzero(known.failure_labels == pick.label)
            distance = ((known.failures[same] - self.ground.pool.embeddings[pick.row]) ** 2).sum(1)
            if len(same) and (cluster := self.ground.clusters[int(same[distance.argmin()])]):
                return cluster
        return self.ground.names.name(pick.label)

    def _reason(self, pick: Pick, failure: str, weight: int) -> str:
        copies = f", stands for {weight:,} samples that say the same" if weight > 1 else ""
        if pick.why is not Why.EXPAND:
            return f"unlike what the model is known to be good on, with about {pick.mass:.0f} similar recent samples{copies}"
        label = self.ground.names.name(pick.label) if pick.label != UNKNOWN else ""
        named = f" of “{label}”" if label and label != failure else ""
        of = f"cluster {failure}" if failure and failure != label else f"“{failure}”" if failure else "what fails"
        return f"like the failures{named} ({of}), with about {pick.mass:.0f} similar recent samples{copies}"
