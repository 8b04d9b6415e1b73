"""Ask what new masses are, cover those that turn out to fail: choice of samples in rounds, on what answers teach."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.selection.base import ONCE, UNKNOWN, Known, Pick, Pool, Turn, Why, check
from detectors.selection.coverage import FacilityLocation, company
from detectors.selection.duplicates import merge_duplicates
from detectors.selection.evidence import Evidence, closeness
from detectors.selection.kernel import Scales
from detectors.selection.usefulness import Places, evenly, usefulness
from detectors.selection.whitening import Whitening

CANDIDATES = 4_000
"""Rows that are considered: those most likely useful."""

LEAST = 0.005
"""Value from which a row is worth asking about: about that of one alone, with one chance in fourteen to be useful."""

_NONE = -2
"""In place of the class of a failing mass, which may be UNKNOWN."""


@dataclass(frozen=True, slots=True)
class ProbeAndExpand:
    """Chooses what to ask about so that few answers cover most of what fails.

    1. *Space*: whitened within classes (`Whitening`), with what is alike learnt from the reference (`Scales`). Of near-duplicates
       one stands for all, and none is taken of what is a failure sample or was asked about before.
    2. *Evidence*: failure samples and answers, with a label believed once a second coherent one supports it (`Evidence`).
    3. *Probability* P(x) that a row is useful, from where it lies (`usefulness`).
    4. *Choice*: the row with the largest P(x) Σ P(y) max(0, K(x, y) - C(y)) is taken again and again, where C is the coverage by what was
       asked about or is a failure sample. So a mass is asked about once for each part of it that is not covered yet, a
       scattered outlier, which covers only itself, last of all; what an answer teaches moves P for the next round.

    A pick is an *expand* where the nearest failing row with a believed label is nearer than anything known, and a *probe* otherwise: there
    is no fixed share of either. A pick's value is its gain above, its mass Σ P(y) K(x, y), about how many useful rows lie near.

    Works without failure samples, without the model's answers, and without both: signs that are missing say nothing. Deterministic,
    and the order of the pool does not matter but for ties.

    Takes O(n min(n, 5,000) k + n m k) time for n rows, m reference rows and k ≤ 128 dimensions; memory O((n + m) k) beside blocks.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> topics = 3 * rng.standard_normal((6, 8))
    >>> draw = lambda which: (topics[which] + rng.standard_normal((len(which), 8))).astype(np.float32)
    >>> labels = rng.integers(0, 4, 300)
    >>> known = Known(draw(labels), labels)
    >>> pool = Pool(np.concatenate([draw(rng.integers(0, 4, 150)), draw(np.repeat([4, 5], 25))]))
    >>> rows = [pick.row for pick in ProbeAndExpand().pick(pool, known, budget=6, rng=rng)]
    >>> sorted(int((row - 150) // 25) for row in rows)
    [0, 0, 1, 1, 1, 1]

    References
    ----------
    Wei, Iyer and Bilmes, "Submodularity in data subset selection and active learning", ICML 2015.
    Singla et al., "Data-centric debugging: mitigating model failures via targeted image retrieval", WACV 2024.
    """

    def pick(
        self,
        pool: Pool,
        known: Known,
        *,
        budget: int,
        rng: np.random.Generator,  # noqa: ARG002 - nothing is left to chance
        turn: Turn = ONCE,  # noqa: ARG002 - what is known says how far along it is
        progress: Callable[[float], None] = lambda _: None,
    ) -> tuple[Pick, ...]:
        """As `Selector` says; ValueError also for a reference of fewer than 2 rows, or of rows that are all alike."""
        check(pool, known, budget)
        white = Whitening.fit(known.reference, known.predicted if known.labels is None else known.labels)
        if not len(pool):
            return ()
        progress(0.1)
        field = _Field.of(pool, known, white, progress)
        picks = field.choose(budget)
        progress(1.0)
        return tuple(picks)


@dataclass(frozen=True, slots=True, eq=False)
class _Field:
    """The pool's distinct rows that may be asked about.

    Attributes
    ----------
    rows : (n,) int64
        Their positions in the pool.
    stands : (N,) int64
        For each row of the pool the one that stands for it.
    """

    rows: NDArray[np.int64]
    stands: NDArray[np.int64]
    places: Places
    evidence: Evidence
    scales: Scales

    @classmethod
    def of(cls, pool: Pool, known: Known, white: Whitening, progress: Callable[[float], None]) -> _Field:
        reference, right, unit = white(evenly(known.reference)), white(evenly(known.right)), white(pool.embeddings)
        scales = Scales.fit(reference)
        evidence = Evidence.of(known, white, scales)
        near = closeness(unit, right)
        progress(0.3)
        order = near.argsort(kind="stable")
        stands = np.empty(len(unit), np.int64)
        stands[order] = order[merge_duplicates(unit[order], scales.duplicate)]
        progress(0.6)
        rows = order[stands[order] == order]
        rows = rows[closeness(unit[rows], evidence.asked) < scales.duplicate]
        places = Places.of(unit[rows], near[rows], reference=reference, scales=scales).told(pool, rows)
        progress(0.8)
        return cls(rows, stands, places, evidence, scales)

    def choose(self, budget: int) -> list[Pick]:
        """Rows in the order of their value."""
        useful = usefulness(self.places, self.evidence, self.scales)
        some = np.argsort(-useful, kind="stable")[:CANDIDATES]
        unit, chance = self.places.unit[some], useful[some]
        mass = company(unit, unit, self.scales, chance)
        steps = FacilityLocation(unit, chance, scales=self.scales, merit=chance)
        steps.cover(self.evidence.asked)
        labels = self._failing(some)
        picks = list[Pick]()
        while len(picks) < budget and (step := steps.step()) is not None and step[1] >= LEAST:
            row, label = int(self.rows[some[step[0]]]), int(labels[step[0]])
            why = Why.PROBE if label == _NONE else Why.EXPAND
            label = UNKNOWN if label == _NONE else label
            picks.append(Pick(row, why, label, step[1], max(1.0, float(mass[step[0]])), self._copies(row)))
        return picks

    def _copies(self, row: int) -> tuple[int, ...]:
        return tuple(int(copy) for copy in np.flatnonzero(self.stands == row) if copy != row)

    def _failing(self, some: NDArray[np.int64]) -> NDArray[np.int64]:
        """(c,) the class of the nearest believed failing row where that is nearer than all else that is known."""
        unit, evidence = self.places.unit[some], self.evidence
        rows, labels = evidence.rows[evidence.coherent], evidence.labels[evidence.coherent]
        known = np.maximum.reduce([self.places.near[some], closeness(unit, evidence.rejected), closeness(unit, evidence.confirmed)])
        found = np.full(len(unit), _NONE)
        for label in np.unique(labels):
            close = closeness(unit, rows[labels == label])
            found[close > known] = label
            known = np.maximum(known, close)
        return found
