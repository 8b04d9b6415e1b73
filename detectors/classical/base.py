"""What every two-sample test takes and gives, and the pooling that they all begin with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

LEAST_ROWS = 10
"""Of either side; with fewer no test has power worth naming."""

Rows: TypeAlias = NDArray[np.float32]
Detail: TypeAlias = float | str | tuple[float, ...]


@dataclass(frozen=True, slots=True)
class TestResult:
    """What one test says of two samples.

    Attributes
    ----------
    statistic
        In the test's own unit; large where the samples differ.
    p_value
        Probability of a statistic at least as large if both samples came from one distribution and all rows were independent;
        uniform on 0..1 then, so at most α with probability α.
    detail
        `law`: how the p-value was found, permutation or asymptotic. `reference_rows`, `window_rows`: how many were used. Then what
        the test has to add.
    """

    __test__: ClassVar[bool] = False
    """pytest takes classes of such a name for suites."""

    statistic: float
    p_value: float
    detail: Mapping[str, Detail]


class TwoSampleTest(Protocol):
    """Are two samples from one distribution? One look, at rows that are independent of each other."""

    def __call__(self, reference: Rows, window: Rows, *, rng: np.random.Generator) -> TestResult:
        """(n, d) and (m, d) float32. ValueError for other shapes, values that are not finite, or fewer than `LEAST_ROWS` rows."""


@dataclass(frozen=True, slots=True, eq=False)
class Pooled:
    """Both samples in one random order: all that a test learns before it looks at `window` can't know which row is whose.

    rows (N, d) float32, centred at their common mean; window (N,) bool, true for the m rows of the window.
    """

    rows: Rows
    window: NDArray[np.bool_]

    @classmethod
    def draw(cls, reference: Rows, window: Rows, *, most: int, rng: np.random.Generator) -> Self:
        """At most `most` rows of either side, drawn without replacement where there are more."""
        reference, window = check_rows(reference, window)
        chosen = np.concatenate([draw_rows(reference, most, rng=rng), draw_rows(window, most, rng=rng)])
        order = rng.permutation(len(chosen))
        chosen -= chosen.mean(0, dtype=np.float64).astype(np.float32)
        return cls(chosen[order], order >= min(len(reference), most))

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def m(self) -> int:
        """Rows of the window."""
        return int(self.window.sum())

    @property
    def n(self) -> int:
        """Rows of the reference."""
        return len(self) - self.m

    def result(self, statistic: float, p_value: float, *, law: str, **detail: Detail) -> TestResult:
        """The result, with what every test says of itself."""
        return TestResult(statistic, p_value, {"law": law, "reference_rows": self.n, "window_rows": self.m, **detail})


def draw_rows(rows: Rows, most: int, *, rng: np.random.Generator) -> Rows:
    """At most so many of the rows, in their order."""
    if len(rows) <= most:
        return rows
    return rows[np.sort(rng.choice(len(rows), most, replace=False))]


def check_rows(reference: Rows, window: Rows) -> tuple[Rows, Rows]:
    """Both as float32 arrays of one dimension; else ValueError says which side is wrong, and how."""
    reference, window = check_side("reference", reference), check_side("window", window)
    if reference.shape[1] != window.shape[1]:
        raise ValueError(f"window: rows of the reference's {reference.shape[1]} dimensions, of the same embedder; found {window.shape[1]}")
    return reference, window


def check_side(name: str, rows: Rows) -> Rows:
    """One side as a float32 array."""
    rows = np.asarray(rows, np.float32)
    if rows.ndim != 2 or not rows.shape[1]:
        raise ValueError(f"{name}: rows of at least one dimension, (n, d); found shape {rows.shape}")
    if len(rows) < LEAST_ROWS:
        raise ValueError(f"{name}: at least {LEAST_ROWS} rows; found {len(rows)}")
    if not np.isfinite(rows).all():
        raise ValueError(f"{name}: {int((~np.isfinite(rows)).any(1).sum())} rows with values that are not finite; leave them out")
    return rows
