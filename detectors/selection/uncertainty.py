"""What the model is least sure of: the oldest way of choosing, blind to whether anything like it comes again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from detectors.selection.base import ONCE, Known, Pick, Pool, Turn, Why, check

Measure: TypeAlias = Literal["margin", "entropy"]


@dataclass(frozen=True, slots=True)
class Uncertainty:
    """The rows with the largest u(x), where p are the model's probabilities in falling order:

        margin:  u = 1 - (p1 - p2)
        entropy: u = -Σ p log p / log C

    Junk is uncertain, too: three quarters of the picks were junk on requests mixed with sentences and log lines, and nothing keeps
    near-duplicates apart. Rows of which the model said nothing come last.

    Parameters
    ----------
    measure
        How unsure is told.

    Examples
    --------
    >>> chances = np.float32([[0.9, 0.1, 0.0], [0.5, 0.5, 0.0], [0.4, 0.3, 0.3]])
    >>> pool, known = Pool(np.eye(3, dtype=np.float32), chances), Known(np.eye(3, dtype=np.float32))
    >>> [Uncertainty(way).pick(pool, known, budget=1, rng=np.random.default_rng(0))[0].row for way in ("margin", "entropy")]
    [1, 2]

    References
    ----------
    Scheffer, Decomain and Wrobel, "Active hidden Markov models for information extraction", 2001 (margin).
    Settles, "Active learning literature survey", 2009 (entropy).
    """

    measure: Measure = "margin"

    def pick(
        self,
        pool: Pool,
        known: Known,
        *,
        budget: int,
        rng: np.random.Generator,
        turn: Turn = ONCE,  # noqa: ARG002 - every round is alike
        progress: Callable[[float], None] = lambda _: None,
    ) -> tuple[Pick, ...]:
        """As `Selector` says; ValueError without probabilities."""
        check(pool, known, budget)
        if pool.probabilities is None:
            raise ValueError(f"pool: choosing by {self.measure} takes the model's probabilities, found none; choose another method")
        value = _UNSURE[self.measure](pool.probabilities)
        value = np.where(np.isnan(value), -np.inf, value)
        order = np.lexsort((rng.random(len(value)), -value))[:budget]
        progress(1.0)
        return tuple(Pick(int(row), Why.METHOD, value=float(max(value[row], 0))) for row in order)


def entropy(chances: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n,) -Σ p log p / log C of (n, C) probabilities: 0 where one class has it all, 1 where all are alike."""
    safe = np.maximum(chances, np.finfo(np.float32).tiny)
    return np.asarray(-(chances * np.log(safe)).sum(1) / np.log(max(chances.shape[1], 2)), np.float32)


def margin(chances: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n,) 1 - (p1 - p2) of (n, C) probabilities, whose two largest these are; 0 with a single class."""
    if chances.shape[1] < 2:
        return np.zeros(len(chances), np.float32)
    best = np.sort(chances, axis=1)[:, -2:]
    return np.asarray(1 - (best[:, 1] - best[:, 0]), np.float32)


_UNSURE: dict[Measure, Callable[[NDArray[np.float32]], NDArray[np.float32]]] = {"margin": margin, "entropy": entropy}
