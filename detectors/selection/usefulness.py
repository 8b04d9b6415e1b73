"""How likely each row is one that the model fails on and that an answer will teach: before a label, from where it lies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from detectors.selection.base import UNKNOWN, Pool
from detectors.selection.coverage import company
from detectors.selection.evidence import Evidence, closeness
from detectors.selection.kernel import Scales, thinned

LOG_ODDS: Mapping[str, float] = {
    "": -2.0,
    "novelty": 0.1,
    "far": -0.3,
    "doubt": 0.5,
    "share": 0.8,
    "failing known": 0.6,
    "nearer to failing": 0.4,
    "beside failing": 3.0,
    "hearsay known": -1.4,
    "nearer to hearsay": 0.35,
    "beside hearsay": -1.0,
    "nearer to rejected": -0.8,
    "rejected company": -2.5,
}
"""What each sign adds to the log odds that a row is useful, per unit; `usefulness` says what the signs are. Rounded, between two
logistic regressions on seeds 0 to 2 of the benchmark's five worlds, over all rounds and situations. Learning them anew from the
answers of a refresh cost gain in every form tried: a few dozen answers, chosen because they looked useful, say little about the rest."""

_WEAK = 0.85
"""Log odds that a weak label against the model's answer adds, and one for it takes away: log(.7 / .3), as if 30 % of them were wrong."""

_REACH, _FARTHER = 4.0, 5.0


@dataclass(frozen=True, slots=True, eq=False)
class Places:
    """Where n rows lie, in one whitened space.

    Attributes
    ----------
    unit : (n, k) float32
    near : (n,) float32
        Cosine to the nearest reference row that the model gets right.
    share : (n,) float32
        Log ratio of the pool's density there to the reference's, -3 to 3.
    doubt : (n,) float32
        Rank of the entropy of the model's answer, -1 to 1; 0 where it said nothing.
    against : (n,) float32
        1 where a weak label differs from the model's answer, -1 where it does not, 0 where either is missing.
    """

    unit: NDArray[np.float32]
    near: NDArray[np.float32]
    share: NDArray[np.float32]
    doubt: NDArray[np.float32]
    against: NDArray[np.float32]

    @classmethod
    def of(cls, unit: NDArray[np.float32], near: NDArray[np.float32], pool: Pool) -> Places:
        """Of all of a pool's rows (n, k), their share not known yet."""
        return cls(unit, near, np.zeros(len(unit), np.float32), _doubt(pool), _against(pool))

    def part(self, rows: NDArray[np.int64]) -> Places:
        """Of some of the rows."""
        return Places(*(getattr(self, field.name)[rows] for field in fields(self)))

    def shared(self, reference: NDArray[np.float32], scales: Scales, *, pooled: int) -> Places:
        """With the share, of distinct rows that are what matters of a pool of so many; reference (m, k)."""
        here, there = thinned(self.unit), thinned(reference)
        found = company(self.unit, here, scales) * (len(self.unit) / max(len(here), 1))
        expected = company(self.unit, there, scales) * (pooled / len(there))
        share = np.clip(np.log((found + 0.5) / (expected + 0.5)), -3, 3)
        return replace(self, share=np.asarray(share, np.float32))


def usefulness(places: Places, evidence: Evidence, scales: Scales) -> NDArray[np.float32]:
    """(n,) the probability that each row is one that the model fails on, not junk and nothing known.

    The log odds are linear in signs, each on the scale that the reference itself sets (`Scales`; s is a cosine, K its kernel):

    - *novelty* z = (tail - s(right)) / width, where a row lies that answers confirmed counts as right; *far* max(z - 1, 0): what fails
      is a little off what is known; what is very far off is junk more often than not
    - *share* log density of the pool against the reference's; *doubt* the rank of the model's entropy
    - *nearer to failing* (s(failing) - max(s(right), s(rejected))) / width, and *beside failing* K: of failure samples and coherent
      answers; *hearsay* likewise, of answers that stand alone with their label
    - *nearer to rejected*, and *rejected company* log(1 + Σ K)
    """
    right = np.maximum(places.near, closeness(places.unit, evidence.confirmed))
    failing = closeness(places.unit, evidence.rows[evidence.coherent])
    hearsay = closeness(places.unit, evidence.rows[~evidence.coherent])
    rejected = closeness(places.unit, evidence.rejected)
    novelty = np.clip(scales.novel(right), -_FARTHER, _FARTHER)
    signs = {
        "": np.ones(len(right), np.float32),
        "novelty": novelty,
        "far": np.maximum(novelty - 1, 0),
        "doubt": places.doubt,
        "share": places.share,
        **_signs("failing", failing, np.maximum(right, rejected), scales, any_=bool(evidence.coherent.any())),
        **_signs("hearsay", hearsay, np.maximum.reduce([right, rejected, failing]), scales, any_=not evidence.coherent.all()),
    }
    if len(evidence.rejected):
        signs["nearer to rejected"] = _nearer(rejected, np.maximum(right, failing), scales)
        signs["rejected company"] = np.log1p(company(places.unit, evidence.rejected, scales))
    odds = sum((LOG_ODDS[name] * sign for name, sign in signs.items()), _WEAK * places.against)
    return np.asarray(expit(odds), np.float32)


def _signs(
    kind: str, near: NDArray[np.float32], other: NDArray[np.float32], scales: Scales, *, any_: bool
) -> dict[str, NDArray[np.float32]]:
    if not any_:
        return {}
    return {
        f"{kind} known": np.ones(len(near), np.float32),
        f"nearer to {kind}": _nearer(near, other, scales),
        f"beside {kind}": scales.closeness(near),
    }


def _nearer(near: NDArray[np.float32], other: NDArray[np.float32], scales: Scales) -> NDArray[np.float32]:
    return np.asarray(np.clip((near - other) / scales.width, -_REACH, _REACH), np.float32)


def _doubt(pool: Pool) -> NDArray[np.float32]:
    """A row without an answer is in the middle."""
    doubt = np.zeros(len(pool), np.float32)
    if pool.probabilities is not None:
        said = np.flatnonzero(~np.isnan(pool.probabilities).any(1))
        chances = np.clip(pool.probabilities[said], 1e-12, 1)
        entropy = -(chances * np.log(chances)).sum(1)
        doubt[said] = 2 * (entropy.argsort(kind="stable").argsort(kind="stable") + 0.5) / max(len(said), 1) - 1
    return doubt


def _against(pool: Pool) -> NDArray[np.float32]:
    predicted = pool.predicted
    if predicted is None and pool.probabilities is not None:
        predicted = np.nan_to_num(pool.probabilities, nan=-1).argmax(1).astype(np.int64)
    if pool.weak is None or predicted is None:
        return np.zeros(len(pool), np.float32)
    both = (pool.weak != UNKNOWN) & (predicted != UNKNOWN)
    return np.asarray(np.where(both, np.where(pool.weak == predicted, -1, 1), 0), np.float32)
