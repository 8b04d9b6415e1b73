"""When a change began: the moment before which samples fall into categories as the reference's do, and after which they do not."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

_PRIOR = 0.5
"""Samples of each category that are taken for seen beforehand: Jeffreys's."""


class Began(NamedTuple):
    """The first row after the change: the likeliest, and the ends of the interval."""

    row: int
    earliest: int
    latest: int


def onset(category: NDArray[np.int64], reference: NDArray[np.int64], *, level: float = 0.9, inflation: float = 1.0) -> Began | None:
    """(n,) categories of consecutive samples of a stream that has changed, (J,) counts of the reference's → when it began; None where
    no change is likelier than none.

    Before the change a sample's category follows the reference's law, after it another that is not known: both integrate out in closed
    form, so that each moment's likelihood is that of the counts before and after it under two Dirichlet-multinomial laws. Every moment
    is as likely beforehand; the interval leaves half of 1 - `level` on either side. It holds at an alarm too, since when one looks does
    not change what the samples say of each moment; where the categories themselves were chosen for the window, choose few: one group
    that surely moved. A change that crept in is given the moment that tells it best. `inflation`: samples that are worth one where they
    come in sessions.

    References
    ----------
    Smith, "A Bayesian approach to inference about a change-point in a sequence of random variables", Biometrika 1975.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> category = (rng.random(400) < np.where(np.arange(400) < 300, 0.02, 0.3)).astype(np.int64)
    >>> began = onset(category, np.array([980, 20]))
    >>> began.earliest <= 300 <= began.latest, began.latest - began.earliest < 40
    (True, True)
    """
    taken = np.zeros((len(category) + 1, len(reference)))
    np.cumsum(np.eye(len(reference))[category], axis=0, out=taken[1:])
    before = _likelihood(taken, reference.astype(np.float64) + _PRIOR)
    likelihood = (before + _likelihood(taken[-1] - taken, np.full(len(reference), _PRIOR))) / inflation
    if not len(category) or likelihood[:-1].max() <= before[-1] / inflation:
        return None
    posterior = np.exp(likelihood[:-1] - likelihood[:-1].max())
    reached = np.cumsum(posterior) / posterior.sum()
    earliest, latest = np.searchsorted(reached, [(1 - level) / 2, (1 + level) / 2]).tolist()
    return Began(int(posterior.argmax()), earliest, min(latest, len(category) - 1))


def _likelihood(counts: NDArray[np.float64], prior: NDArray[np.float64]) -> NDArray[np.float64]:
    """(T,) log-probability of samples of a Dirichlet's categorical law, from their (T, J) counts."""
    whole = special.gammaln(prior.sum()) - special.gammaln(prior.sum() + counts.sum(1))
    return np.asarray(whole + (special.gammaln(prior + counts) - special.gammaln(prior)).sum(1))
