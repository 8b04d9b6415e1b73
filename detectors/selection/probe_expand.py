"""Ask what new masses are, cover those that turn out to fail: choice of samples in rounds, on what answers teach."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from detectors.selection.base import ONCE, UNKNOWN, Known, Pick, Pool, Turn, Why, check
from detectors.selection.coverage import FacilityLocation
from detectors.selection.duplicates import merge_duplicates
from detectors.selection.evidence import Evidence, closeness
from detectors.selection.kernel import Scales, thinned
from detectors.selection.usefulness import Places, usefulness
from detectors.selection.whitening import Whitening

CONSIDERED, CANDIDATES = 10_000, 4_000
"""Rows that are looked at, and that may be chosen: those most likely useful."""

LEAST = 0.02
"""Probability to be useful from which a row is worth asking about."""

PENDING = 0.95
"""Share of a candidate's merit that picks of the same choice take from it where it surely is nearer to one of them than to all that is
known, if there are several rounds, so that the answer can speak. Not all of it: a mass that is asked about is worth more questions still
than what is ordinary."""

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
       scattered outlier, which covers only itself, last of all. The first P(x), the candidate's, shrinks to a twentieth once a pick is
       nearer to it than anything known: what that is, its answer will tell, and move P for the next round. That keeps a dense
       mass of junk from taking half of the first round. In an only round nothing is waited for: masses then get questions by how
       many useful rows they are likely to have.

    A pick is an *expand* where the nearest failing row with a believed label is nearer than anything known, and a *probe* otherwise: there
    is no fixed share of either. A pick's value is its gain above, its mass Σ P(y) K(x, y), about how many useful rows lie near.

    Works without failure samples, without the model's answers, and without both: signs that are missing say nothing. Deterministic,
    and the order of the pool does not matter but for ties.

    Takes O((n m + c²) k) time for n rows, of which the c = 10,000 likeliest are looked at, m ≤ 5,000 reference rows and k ≤ 128
    dimensions; memory O((n + m) k) beside blocks.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> topics = 3 * rng.standard_normal((6, 16))
    >>> draw = lambda which: (topics[which] + 0.8 * rng.standard_normal((len(which), 16))).astype(np.float32)
    >>> labels = rng.integers(0, 4, 300)
    >>> known = Known(draw(labels), labels)
    >>> pool = Pool(np.concatenate([draw(rng.integers(0, 4, 150)), draw(np.repeat([4, 5], 25))]))
    >>> [4 + (pick.row - 150) // 25 for pick in ProbeAndExpand().pick(pool, known, budget=2, rng=rng)]  # of the topics not known
    [4, 5]

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
        turn: Turn = ONCE,
        progress: Callable[[float], None] = lambda _: None,
    ) -> tuple[Pick, ...]:
        """As `Selector` says; ValueError also for a reference of fewer than 2 rows, or of rows that are all alike."""
        check(pool, known, budget)
        white = Whitening.fit(known.reference, known.predicted if known.labels is None else known.labels, pool=pool.embeddings)
        if not len(pool):
            return ()
        progress(0.1)
        field = _Field.of(pool, known, white, progress)
        picks = field.choose(budget, pending=PENDING if turn.of > 1 else 0.0)
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
        reference, right, unit = white(thinned(known.reference)), white(thinned(known.right)), white(pool.embeddings)
        scales = Scales.fit(reference)
        evidence = Evidence.of(known, white, scales)
        places = Places.of(unit, closeness(unit, right), pool)
        some = np.argsort(-usefulness(places, evidence, scales), kind="stable")[:CONSIDERED]
        progress(0.3)
        order = some[places.near[some].argsort(kind="stable")]
        stands = np.arange(len(unit))
        stands[order] = order[merge_duplicates(unit[order], scales.duplicate)]
        distinct = order[stands[order] == order]
        progress(0.6)
        rows = distinct[closeness(unit[distinct], evidence.asked) < scales.duplicate]
        pooled = len(unit) - len(order) + len(distinct)
        field = cls(rows, stands, places.part(rows).shared(reference, scales, pooled=pooled), evidence, scales)
        progress(0.8)
        return field

    def choose(self, budget: int, *, pending: float) -> list[Pick]:
        """Rows in the order of their value."""
        useful = usefulness(self.places, self.evidence, self.scales)
        some = np.argsort(-useful, kind="stable")[:CANDIDATES]
        some = some[useful[some] >= LEAST]
        unit, chance = self.places.unit[some], useful[some]
        label, known = self._failing(some)
        steps = FacilityLocation(unit, chance, scales=self.scales, merit=chance)
        steps.cover(self.evidence.asked)
        picks, waits = list[Pick](), np.zeros(len(some), np.float32)
        while len(picks) < budget and (step := steps.step()) is not None:
            at, gain = step
            mass = float(self.scales.kernel(unit[at : at + 1], unit)[0] @ chance)
            before, waits = waits, np.maximum(waits, self._awaits(unit, at, known))
            steps.discount((1 - pending * waits) / (1 - pending * before))
            picks.append(self._pick(int(self.rows[some[at]]), int(label[at]), value=gain, mass=mass))
        return picks

    def _pick(self, row: int, label: int, *, value: float, mass: float) -> Pick:
        copies = tuple(int(copy) for copy in np.flatnonzero(self.stands == row) if copy != row)
        if label == _NONE:
            return Pick(row, Why.PROBE, UNKNOWN, value, max(1.0, mass), copies)
        return Pick(row, Why.EXPAND, label, value, max(1.0, mass), copies)

    def _awaits(self, unit: NDArray[np.float32], at: int, known: NDArray[np.float32]) -> NDArray[np.float32]:
        """(c,) how surely each candidate is nearer to the one picked than to anything known, so that its answer will judge it too."""
        return np.asarray(expit((unit @ unit[at] - known) / self.scales.width), np.float32)

    def _failing(self, some: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """(c,) the class of the nearest believed failing row where that is nearer than all else that is known, and how near that is."""
        unit, evidence = self.places.unit[some], self.evidence
        rows, labels = evidence.rows[evidence.coherent], evidence.labels[evidence.coherent]
        known = np.maximum.reduce([self.places.near[some], closeness(unit, evidence.rejected), closeness(unit, evidence.confirmed)])
        found = np.full(len(unit), _NONE)
        for label in np.unique(labels):
            close = closeness(unit, rows[labels == label])
            found[close > known] = label
            known = np.maximum(known, close)
        return found, known
