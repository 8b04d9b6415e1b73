"""What every way of choosing samples takes and gives, so that methods can be held against each other and exchanged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

REJECTED = -1
"""In place of a class: the sample was asked about and is no use (junk, unreadable, none of the classes)."""

UNKNOWN = -1
"""In place of a class that nobody has named."""


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """Production samples that could be asked about, none of them labelled by a person yet.

    Attributes
    ----------
    embeddings : (n, d) float32
        Oldest first.
    probabilities : (n, C) float32, optional
        What the model in force says; a row of NaN where it said nothing.
    predicted : (n,) int64, optional
        The class it answered, UNKNOWN where it is not known; the arg max of the probabilities by default.
    weak : (n,) int64, optional
        A noisy label (feedback, a vendor's pre-label), UNKNOWN where there is none: evidence, never truth.
    counts : (n,) float32, optional
        How many samples of the traffic each row stands for; 1 by default.
    """

    embeddings: NDArray[np.float32]
    probabilities: NDArray[np.float32] | None = None
    predicted: NDArray[np.int64] | None = None
    weak: NDArray[np.int64] | None = None
    counts: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        rows = len(self.embeddings)
        for name in ("probabilities", "predicted", "weak", "counts"):
            column = getattr(self, name)
            if column is not None and len(column) != rows:
                raise ValueError(f"{name}: one for each of the pool's {rows} rows, found {len(column)}")

    def __len__(self) -> int:
        return len(self.embeddings)


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """What is known when a choice is made. Classes are 0 to C - 1 as the model has them; new ones follow.

    Attributes
    ----------
    reference : (m, d) float32
        Rows that must not regress: the golden set's *select* part, else the reference.
    labels : (m,) int64, optional
        Their classes, UNKNOWN where not known.
    predicted : (m,) int64, optional
        What the model in force answers to them.
    probabilities : (m, C) float32, optional
        With what probabilities.
    failures : (f, d) float32, optional
        Samples on which the model is known to fail, and below their right classes.
    failure_labels : (f,) int64, optional
    answered : (a, d) float32, optional
        What earlier rounds asked about, and below the answers: a class, or REJECTED.
    answers : (a,) int64, optional
    answered_predicted : (a,) int64, optional
        What the model in force had said to those.
    """

    reference: NDArray[np.float32]
    labels: NDArray[np.int64] | None = None
    predicted: NDArray[np.int64] | None = None
    probabilities: NDArray[np.float32] | None = None
    failures: NDArray[np.float32] | None = None
    failure_labels: NDArray[np.int64] | None = None
    answered: NDArray[np.float32] | None = None
    answers: NDArray[np.int64] | None = None
    answered_predicted: NDArray[np.int64] | None = None

    @property
    def right(self) -> NDArray[np.float32]:
        """(r, d) reference rows that the model gets right; all of them where its answers or the labels are not known."""
        if self.labels is None or self.predicted is None:
            return self.reference
        kept = self.reference[(self.labels == self.predicted) | (self.labels == UNKNOWN)]
        return kept if len(kept) >= 2 else self.reference


class Why(StrEnum):
    """For what a sample was chosen."""

    PROBE = "probe"
    """To find out what a new mass of samples is."""
    EXPAND = "expand"
    """To cover a mass that is known to fail."""
    METHOD = "method"
    """By a method that gives no other reason."""


@dataclass(frozen=True, slots=True)
class Pick:
    """A chosen row of the pool.

    Attributes
    ----------
    row
        Its position.
    why
        For what.
    label
        Expand: the class whose failing mass it covers; UNKNOWN otherwise.
    value
        What it is expected to add, in the method's own unit; comparable within one choice.
    mass
        About how many distinct samples of the pool lie near it, itself included.
    copies
        Positions of the near-duplicates that it stands for, without its own.
    """

    row: int
    why: Why
    label: int = UNKNOWN
    value: float = 0.0
    mass: float = 1.0
    copies: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Turn:
    """Which of how many rounds a choice is for, from 1."""

    number: int = 1
    of: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.of:
            raise ValueError(f"turn: 1 to {self.of}, found {self.number}")


ONCE = Turn()
"""All of the budget in one choice."""


class Selector(Protocol):
    """A way of choosing. What earlier rounds learnt is in `known`, so a selector has no memory of its own and survives restarts."""

    def pick(
        self,
        pool: Pool,
        known: Known,
        *,
        budget: int,
        rng: np.random.Generator,
        turn: Turn = ONCE,
        progress: Callable[[float], None] = lambda _: None,
    ) -> tuple[Pick, ...]:
        """At most `budget` distinct rows, most valuable first; fewer where no more are worth asking about. ValueError for a budget
        below 1 or a pool of another dimension than the reference."""


def check(pool: Pool, known: Known, budget: int) -> None:
    """What no way of choosing can do with."""
    if budget < 1:
        raise ValueError(f"budget: at least 1, found {budget}")
    if pool.embeddings.shape[1:] != known.reference.shape[1:]:
        found, wanted = pool.embeddings.shape[1:], known.reference.shape[1:]
        raise ValueError(f"pool: rows as wide as the reference's, {wanted}, found {found}; both must come from one embedder")
