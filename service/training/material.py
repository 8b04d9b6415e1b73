"""What a head learns from: embedded, labelled rows, and what the model in force says of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from service.errors import InputError

Floats = NDArray[np.float32]

LEAST_ROWS = 10
"""Fewer say nothing about how to train."""


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """Rows (n, d) with labels, under one embedder.

    Attributes
    ----------
    old : (n, c) float32 or None
        Logits of the model in force, in the order of `known`; None without one.
    fresh : (n,) bool
        Rows of what is known to fail: those that this refresh brings.
    groups : (n,) int64
        Of near-duplicates, which never stand on both sides of a split.
    """

    rows: Floats
    labels: tuple[str, ...]
    groups: NDArray[np.int64]
    known: tuple[str, ...] = ()
    old: Floats | None = None
    fresh: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))

    def __post_init__(self) -> None:
        count = len(self.rows)
        if not len(self.fresh):
            object.__setattr__(self, "fresh", np.zeros(count, np.bool_))
        if count < LEAST_ROWS or len(set(self.labels)) < 2:
            raise InputError(
                "too_few", f"training takes {LEAST_ROWS} rows of two classes or more; found {count} of {len(set(self.labels))}"
            )
        if {len(self.labels), len(self.groups), len(self.fresh)} != {count} or not np.isfinite(self.rows).all():
            raise InputError("rows", "training takes one label and one group per row, and finite embeddings")
        if self.old is not None and self.old.shape != (count, len(self.known)):
            raise InputError("no_logits", f"the old model must give {len(self.known)} logits per row; found {list(self.old.shape)}")

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def classes(self) -> tuple[str, ...]:
        """The old model's in their order, so that its logits keep their places; new ones follow by name."""
        return (*self.known, *sorted(set(self.labels) - set(self.known)))

    @property
    def targets(self) -> NDArray[np.int64]:
        """(n,) places of the labels among `classes`."""
        place = {name: i for i, name in enumerate(self.classes)}
        return np.array([place[label] for label in self.labels], np.int64)

    @property
    def old_right(self) -> NDArray[np.bool_]:
        """(n,) whether the model in force answers as labelled; nowhere without one."""
        if self.old is None:
            return np.zeros(len(self), np.bool_)
        return np.asarray(self.old.argmax(1) == self.targets)

    @property
    def grown(self) -> NDArray[np.bool_]:
        """(c,) classes that the model in force has not, or most of whose rows this refresh brings: what they claim, others lose."""
        counts, fresh = (np.bincount(self.targets[chosen], minlength=len(self.classes)) for chosen in (slice(None), self.fresh))
        new = np.arange(len(self.classes)) >= len(self.known) if self.known else np.zeros(len(self.classes), np.bool_)
        return np.asarray(new | (fresh > counts / 2), np.bool_)

    def part(self, kept: NDArray[np.int64]) -> Part:
        """Some of the rows, as numbers among all classes."""
        old = None if self.old is None else self.old[kept]
        return Part(self.rows[kept], self.targets[kept], self.old_right[kept], self.fresh[kept], self.grown, old)

    def unmet(self) -> tuple[str, ...]:
        """Classes of the model in force of which no row is there: nothing but nearness to the old head keeps them."""
        there = Counter(self.labels)
        return tuple(name for name in self.known if not there[name])


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Rows of one side of a split: targets (n,) among the classes (c,) that `grown` tells of, and what `Material` knows of each."""

    rows: Floats
    targets: NDArray[np.int64]
    old_right: NDArray[np.bool_]
    fresh: NDArray[np.bool_]
    grown: NDArray[np.bool_]
    old: Floats | None = None

    @property
    def classes(self) -> int:
        """How many there are."""
        return len(self.grown)

    def __len__(self) -> int:
        return len(self.rows)


def joined(parts: Sequence[Part]) -> Part:
    """One after the other."""
    old = [part.old for part in parts if part.old is not None]
    columns = zip(*((part.rows, part.targets, part.old_right, part.fresh) for part in parts), strict=True)
    rows, targets, right, fresh = map(np.concatenate, columns)
    return Part(rows, targets, right, fresh, parts[0].grown, np.concatenate(old) if old else None)


@dataclass(frozen=True, slots=True)
class Figures:
    """How a model did on labelled rows. Shares; None where there are no such rows."""

    rows: int
    accuracy: float
    fresh_accuracy: float | None
    """Of the rows that the refresh brought."""
    kept_accuracy: float | None
    """Of the others."""
    negative_flips: float | None
    """Share of all rows that the old model gets right and this one wrong; None without an old model."""

    @classmethod
    def of(cls, part: Part, answers: NDArray[np.int64]) -> Figures:
        """From the answers (n,)."""
        right = answers == part.targets
        broken = float((part.old_right & ~right).mean()) if part.old is not None else None
        return cls(len(part), float(right.mean()), _mean(right[part.fresh]), _mean(right[~part.fresh]), broken)


def _mean(values: NDArray[np.bool_]) -> float | None:
    return float(values.mean()) if len(values) else None


def fresh_rows(ids: Sequence[str], fresh: frozenset[str] | None, right: NDArray[np.bool_] | None) -> NDArray[np.bool_]:
    """(n,) the rows named; where nobody named any, those that the model in force gets wrong."""
    if fresh is not None:
        return np.array([each in fresh for each in ids], np.bool_)
    return np.zeros(len(ids), np.bool_) if right is None else ~right
