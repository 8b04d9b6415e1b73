"""What is new *and* in company, once each, spread over what is new: for when nothing is known but a reference."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.selection.coverage import FacilityLocation, company
from detectors.selection.duplicates import merge_duplicates
from detectors.selection.kernel import Scales, directions

MAX_ROWS = 4_000
"""Novel, other and reference rows that are considered, each: beyond it a uniform draw, which keeps every topic's share."""

MINIMUM_MASS = 3.0
"""New company below which a row is taken for a scattered outlier."""

NOVEL_FROM = 0.5
"""Novelty percentile from which a row can be picked: the less novel half of the reference would not be missed."""

JUNK_SHARE = 0.16
"""Share of junk among picks that are novel and dense, measured on text and image streams with planted junk."""

CONTESTED = 0.2
"""Risk that a prediction with no confidence at all adds."""


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """What there is to choose from, and what is known already.

    Attributes
    ----------
    embeddings : (n, d) float32
        Recent production samples, oldest first.
    novelty : (n,) float32
        Their novelty percentiles, 0 to 1.
    reference : (m, d) float32
        Rows the model is known to be good on, m ≥ 2 and not all alike; the scales come from them.
    confidence : (n,) float32, optional
        Probability that the old model gives its own answer; NaN where unknown.
    """

    embeddings: NDArray[np.float32]
    novelty: NDArray[np.float32]
    reference: NDArray[np.float32]
    confidence: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        rows, dimension = self.embeddings.shape
        if self.novelty.shape != (rows,):
            raise ValueError(f"a pool of {rows} rows has as many novelty percentiles; found {self.novelty.shape}")
        if self.reference.ndim != 2 or self.reference.shape[1] != dimension or len(self.reference) < 2:
            raise ValueError(f"the reference needs at least 2 rows of {dimension} values; found {self.reference.shape}")
        if self.confidence is not None and self.confidence.shape != (rows,):
            raise ValueError(f"a pool of {rows} rows has as many confidences; found {self.confidence.shape}")


@dataclass(frozen=True, slots=True)
class Pick:
    """One chosen row of the pool.

    Attributes
    ----------
    row
        Its position in the pool.
    count
        Near-duplicates it stands for, itself included.
    mass
        New company, itself included: about how many distinct new samples lie near it.
    share
        Estimated share of new content in what lies near it, 0 to 1.
    risk
        Estimated probability that it turns out unusable or harmful; see `risks` for what that is worth.
    reason
        Why it was chosen, for people.
    """

    row: int
    count: int
    mass: float
    share: float
    risk: float
    reason: str


@dataclass(frozen=True, slots=True)
class Selection:
    """The picks, most valuable first, and how many distinct rows were left out for which reason."""

    picks: tuple[Pick, ...] = ()
    considered: int = 0
    """Rows novel enough to be looked at."""
    duplicates: int = 0
    """Of these, near-duplicates of another one."""
    isolated: int = 0
    """Of the rest, rows without new company: scattered junk, and what the reference holds as well."""


def select(pool: Pool, *, budget: int, rng: np.random.Generator) -> Selection:
    """Chooses at most `budget` rows: near-duplicates merged, new rows in company only, spread by weighted facility location.

    Around a row x of a pool of n, with m reference rows z, the share of new content is estimated as the density ratio

        share(x) = max(0, 1 - (n / m) Σ K(x, z) / Σ K(x, y)),   y in the pool,

    which is small in the tail of what is known, however large the pool. A row's weight is w = share², its *mass* the weight around
    it, Σ w(y) K(x, y). Rows below a mass of 3 can't be picked: a scattered outlier covers only itself. Of the rest,
    greedy steps add the row with the largest Σ w(y) max(0, K(x, y) - covered(y)), which is within 1 - 1/e of the best choice.

    "Most drifted first" is a trap: the farthest rows are junk more often than not (96 to 98 of 100 on requests mixed with
    scattered sentences, where this picks at most 2). What it can't do: junk that comes in a dense cluster of its own looks exactly like
    a new topic without labels, and a new topic with fewer than three distinct samples among those considered is not seen. Copies
    of one sample count once, so a retry storm gains no mass. Fewer than `budget` picks, or none, means that there is no more.

    Costs O(r² d) time for at most r = 4,000 rows of each kind; memory O(r d) beside blocks of the kernel.

    Examples
    --------
    >>> rng = np.random.default_rng(7)
    >>> unit = lambda rows: (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    >>> topics = rng.standard_normal((9, 16))
    >>> known = unit(topics[rng.integers(0, 8, 400)] + 0.3 * rng.standard_normal((400, 16)))
    >>> topic = unit(topics[8] + 0.3 * rng.standard_normal((30, 16)))
    >>> junk = unit(rng.standard_normal((30, 16)))
    >>> pool = Pool(np.concatenate([known[:200], topic, junk]), np.repeat([0.5, 0.99, 0.99], [200, 30, 30]).astype(np.float32), known)
    >>> rows = [pick.row for pick in select(pool, budget=10, rng=rng).picks]
    >>> len(rows), sum(200 <= row < 230 for row in rows)
    (10, 10)

    References
    ----------
    Nemhauser, Wolsey and Fisher, "An analysis of approximations for maximizing submodular set functions", 1978.
    Minoux, "Accelerated greedy algorithms for maximizing submodular set functions", 1978 (lazy evaluation).
    Wei, Iyer and Bilmes, "Submodularity in data subset selection and active learning", ICML 2015.
    """
    if budget < 1:
        raise ValueError(f"budget: at least 1, found {budget}")
    centre = pool.reference.mean(0)
    scales = Scales.fit(directions(pool.reference, centre))
    novel, novel_kept = _draw(np.flatnonzero(pool.novelty > NOVEL_FROM), rng)
    if not len(novel):
        return Selection()
    stands, counts = np.unique(merge_duplicates(directions(pool.embeddings[novel], centre), scales.duplicate), return_counts=True)
    rows = novel[stands]
    unit = directions(pool.embeddings[rows], centre)
    share = _new_share(pool, unit, novel_kept, scales=scales, rng=rng)
    weight = share**2
    mass = company(unit, unit, scales, weight)
    able = np.flatnonzero(mass >= MINIMUM_MASS)
    places = FacilityLocation(unit, weight, scales=scales, candidates=able)
    chosen = [step[0] for step in (places.step() for _ in range(min(budget, len(able)))) if step is not None]
    risk = risks(mass, share, None if pool.confidence is None else pool.confidence[rows])
    picks = tuple(
        Pick(int(rows[i]), int(counts[i]), float(mass[i]), float(share[i]), float(risk[i]), _reason(mass[i], share[i], int(counts[i])))
        for i in chosen
    )
    return Selection(picks, considered=len(novel), duplicates=len(novel) - len(rows), isolated=len(rows) - len(able))


def _draw(rows: NDArray[np.int64], rng: np.random.Generator) -> tuple[NDArray[np.int64], float]:
    """At most MAX_ROWS of the rows, in order, and the share that this is."""
    if len(rows) <= MAX_ROWS:
        return rows, 1.0
    return np.sort(rng.choice(rows, MAX_ROWS, replace=False)), MAX_ROWS / len(rows)


def _new_share(pool: Pool, unit: NDArray[np.float32], kept: float, *, scales: Scales, rng: np.random.Generator) -> NDArray[np.float32]:
    """The density ratio of `select` at distinct novel rows, of which `kept` is the share that was drawn."""
    centre = pool.reference.mean(0)
    other, other_kept = _draw(np.flatnonzero(pool.novelty <= NOVEL_FROM), rng)
    reference, _ = _draw(np.arange(len(pool.reference)), rng)
    recent = company(unit, unit, scales) / kept + company(unit, directions(pool.embeddings[other], centre), scales) / other_kept
    expected = company(unit, directions(pool.reference[reference], centre), scales) * len(pool.embeddings) / len(reference)
    return np.asarray(np.maximum(1 - expected / np.maximum(recent, 1e-6), 0), np.float32)


def risks(mass: NDArray[np.float32], share: NDArray[np.float32], confidence: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
    """Estimated probability, 0 to 1, that each candidate turns out unusable or harmful once it is answered.

    risk = 1 - (1 - .16) · (1 - 1 / (1 + mass)) · share^½ · (1 - .2 (1 - confidence)): the share of junk that novel and dense picks
    had in measurements, no company outside the reference's coverage, known content around (an answer that teaches nothing), and a
    prediction that the old model itself contests.

    What it is not: a prediction of harm for the single sample. Before a label is known even gradient-based scores rank true harm
    poorly (rank correlations of .15 to .46), so this orders candidates for people who review them and gives a batch's
    expected loss; nothing is filtered by it, and dense junk gets a low risk. The bound on harm comes after training,
    from the comparison of the new model with the old one.
    """
    usable = (1 - JUNK_SHARE) * (1 - 1 / (1 + mass)) * np.sqrt(share)
    if confidence is not None:
        usable = usable * (1 - CONTESTED * (1 - np.where(np.isnan(confidence), 1, confidence)))
    return np.asarray(np.clip(1 - usable, 0, 1), np.float32)


def _reason(mass: float, share: float, count: int) -> str:
    company = f"new content with about {mass:.0f} similar recent samples"
    mixed = ", next to known content" if share < 0.75 else ""
    copies = f", stands for {count} near-duplicates" if count > 1 else ""
    return company + mixed + copies
