"""Ask what new masses are, then cover those that turn out to fail: choice of samples in rounds, on evidence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.selection.base import ONCE, Known, Pick, Pool, Turn, Why, check
from detectors.selection.coverage import FacilityLocation, company
from detectors.selection.duplicates import merge_duplicates
from detectors.selection.evidence import Evidence, closeness
from detectors.selection.kernel import Scales
from detectors.selection.whitening import Whitening

_PROBED = (0.25, 0.2, 0.15, 0.1, 0.0)
_PROBED_BLIND = (1.0, 0.5, 0.3, 0.2, 0.1)
_TURNS = (0.0, 0.25, 0.5, 0.75, 1.0)

MINIMUM_MASS = 3.0
"""Distinct failing rows expected near a row below which it is taken for a scattered outlier."""

CANDIDATES = 4_000
"""Rows that are considered for one purpose: those with the highest weight."""

_EXPANDED = 400
_PLAUSIBLE = 0.08
_UNTRUSTED = 2
_FLOOR = 0.05


@dataclass(frozen=True, slots=True)
class ProbeAndExpand:
    """Chooses what to ask about so that few answers cover most of what fails."""

    def pick(
        self,
        pool: Pool,
        known: Known,
        *,
        budget: int,
        rng: np.random.Generator,  # noqa: ARG002 - part of the contract; nothing here is drawn
        turn: Turn = ONCE,
        progress: Callable[[float], None] = lambda _: None,
    ) -> tuple[Pick, ...]:
        """See `Selector.pick`."""
        check(pool, known, budget)
        white = Whitening.fit(known.reference, known.predicted if known.labels is None else known.labels)
        if not len(pool):
            return ()
        field = _Field.of(pool, known, white)
        progress(0.6)
        places = (0.0 if turn.of == 1 else (turn.number - 1) / (turn.of - 1),)
        share = float(np.interp(places, _TURNS, _PROBED if len(field.evidence.rows) else _PROBED_BLIND)[0])
        picks = field.probe(round(share * budget))
        picks += field.expand(budget - len(picks))
        picks += field.probe(budget - len(picks))
        progress(1.0)
        return tuple(picks)


class _Field:
    """The pool's distinct rows, and what is known about each."""

    def __init__(self, rows: NDArray[np.int64], unit: NDArray[np.float32], scales: Scales, evidence: Evidence) -> None:
        self.rows, self.unit, self.scales, self.evidence = rows, unit, scales, evidence
        self.stands = rows
        self.free = np.ones(len(rows), bool)
        self.known = np.empty(0, np.float32)
        self.junk = company(unit, evidence.rejected, scales)
        self.fine = company(unit, evidence.confirmed, scales)
        self.weight = np.empty(0, np.float32)

    @classmethod
    def of(cls, pool: Pool, known: Known, white: Whitening) -> _Field:
        reference = white(known.reference)
        scales = Scales.fit(reference)
        evidence = Evidence.of(known, white, scales)
        unit, right = white(pool.embeddings), white(known.right)
        near = closeness(unit, right)
        order = near.argsort(kind="stable")
        stands = order[merge_duplicates(unit[order], scales.duplicate)]
        rows = order[stands == order]
        rows = rows[closeness(unit[rows], evidence.asked) < scales.duplicate]
        field = cls(rows, unit[rows], scales, evidence)
        field.known = near[rows]
        field.stands = np.empty(len(unit), np.int64)
        field.stands[order] = stands
        trust = ((field.fine + 1) / (field.fine + field.junk + 1)) ** 2
        field.weight = np.asarray(_sigmoid(scales.novel(field.known) + _doubt(pool, rows)) * trust, np.float32)
        return field

    def probe(self, budget: int) -> list[Pick]:
        """Rows that stand for most of what may be new, none of them scattered."""
        if budget < 1 or not self.free.any():
            return []
        some = np.flatnonzero(self.free)
        some = some[np.argsort(-self.weight[some], kind="stable")[:CANDIDATES]]
        unit, weight = self.unit[some], self.weight[some]
        mass = company(unit, unit, self.scales, weight)
        places = FacilityLocation(unit, weight, scales=self.scales, candidates=np.flatnonzero(mass >= MINIMUM_MASS))
        places.cover(np.concatenate([self.evidence.asked, self.unit[~self.free]]))
        picks = list[Pick]()
        while len(picks) < budget and (step := places.step()) is not None:
            self.free[some[step[0]]] = False
            picks.append(self._pick(int(some[step[0]]), Why.PROBE, value=step[1], mass=float(mass[step[0]])))
        return picks

    def expand(self, budget: int) -> list[Pick]:
        """Rows that cover the masses known to fail, those with the fewest answers first."""
        masses = _masses(self)
        picks = list[Pick]()
        while len(picks) < budget and (live := [m for m in masses if m.open]):
            mass = min(live, key=lambda m: (not m.trusted, m.count))
            found = mass.best(self.unit, self.free, self.scales)
            if found is None:
                continue
            self.free[found[0]] = False
            picks.append(
                self._pick(found[0], Why.EXPAND, label=mass.label, value=found[1], mass=mass.size(self.unit, found[0], self.scales))
            )
        return picks

    def _pick(self, at: int, why: Why, *, label: int = -1, value: float, mass: float) -> Pick:
        row = int(self.rows[at])
        copies = tuple(int(i) for i in np.flatnonzero(self.stands == row) if i != row)
        return Pick(row, why, label, value, mass, copies)


class _Mass:
    """One class in which the model fails, and how likely each row belongs to it."""

    def __init__(self, label: int, likely: NDArray[np.float32], covered: NDArray[np.float32], *, trusted: bool, count: int) -> None:
        self.label, self.likely, self.covered = label, likely, covered
        self.trusted, self.count, self.asked = trusted, count, 0
        self.exhausted = False

    @property
    def open(self) -> bool:
        """An untrusted class gets few questions until one of them confirms it."""
        return not self.exhausted and (self.trusted or self.asked < _UNTRUSTED)

    def best(self, unit: NDArray[np.float32], free: NDArray[np.bool_], scales: Scales) -> tuple[int, float] | None:
        """The next row and its value; none, and exhausted, where no plausible one is left."""
        some = np.flatnonzero(free & (self.likely > _PLAUSIBLE))
        some = some[np.argsort(-self.likely[some], kind="stable")[:_EXPANDED]]
        if not len(some):
            self.exhausted = True
            return None
        likely = self.likely[some]
        gain = (np.maximum(scales.kernel(unit[some], unit[some]) - self.covered[some], 0) @ likely + _FLOOR) * likely
        row = int(some[gain.argmax()])
        self.covered = np.maximum(self.covered, scales.kernel(unit[row : row + 1], unit)[0])
        self.count, self.asked = self.count + 1, self.asked + 1
        return row, float(gain.max())

    def size(self, unit: NDArray[np.float32], row: int, scales: Scales) -> float:
        return float(scales.kernel(unit[row : row + 1], unit)[0] @ self.likely)


def _masses(field: _Field) -> list[_Mass]:
    evidence, scales = field.evidence, field.scales
    own = [evidence.labels == label for label in evidence.classes]
    near = [company(field.unit, evidence.rows[here], scales, evidence.weight[here]) for here in own]
    total = sum(near, np.zeros(len(field.unit), np.float32))
    masses = []
    for label, here, mine in zip(evidence.classes, own, near, strict=True):
        close = closeness(field.unit, evidence.rows[here])
        likely = mine / (total + field.junk + 1) * _sigmoid((close - field.known) / scales.width)
        covered = np.clip((close - scales.zero) / (2 * (scales.half - scales.zero)), 0, 1)
        masses.append(
            _Mass(
                int(label),
                np.asarray(likely, np.float32),
                np.asarray(covered, np.float32),
                trusted=bool(evidence.coherent[here].any()),
                count=int(here.sum()),
            )
        )
    return masses


def _doubt(pool: Pool, rows: NDArray[np.int64]) -> NDArray[np.float32] | float:
    """Half the rank of the predictions' entropy, from -1/4 to 1/4; 0 where the model said nothing."""
    if pool.probabilities is None or len(rows) < 2:
        return 0.0
    said = np.clip(pool.probabilities[rows], 1e-12, 1)
    entropy = np.nan_to_num(-(said * np.log(said)).sum(1), nan=0.0)
    return np.asarray(0.5 * (entropy.argsort(kind="stable").argsort(kind="stable") / (len(rows) - 1) - 0.5), np.float32)


def _sigmoid(x: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(1 / (1 + np.exp(-np.clip(x, -40, 40))), np.float32)
