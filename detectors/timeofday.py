"""Time of day and of the week: what the reference expects of traffic whose mix follows the clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

DAY = 86_400.0
_HARMONICS = 3
_LEAST_DAYS, _LEAST_WEEKS = 3, 2
_POINTS = 24
"""Points of time that stand for a pane's span."""
_COVERED = 12
"""A day is covered when its times fall into so many of its 24 hours; what lies between is interpolated by the harmonics."""


@dataclass(frozen=True, slots=True)
class Clock:
    """A time basis b(t) in R^P: the constant, cosine and sine of each harmonic of the day, and the same once more on weekends.

    Times are Unix seconds, days and weekends those of UTC. Without harmonics P is 1 and time says nothing.
    """

    harmonics: int = 0
    weekend: bool = False

    @property
    def size(self) -> int:
        """P, at most 14."""
        return (1 + 2 * self.harmonics) * (1 + self.weekend)

    @property
    def name(self) -> str:
        """What it follows: `none`, `hour of day` or `weekday and weekend`."""
        if not self.harmonics:
            return "none"
        return "weekday and weekend" if self.weekend else "hour of day"

    @classmethod
    def covering(cls, times: NDArray[np.float64] | None) -> Self:
        """The richest basis that (n,) times can teach: of the day from 3 whole days on, of the week from 2 whole weeks on."""
        if times is None or float(np.ptp(times)) < (_LEAST_DAYS - 0.25) * DAY:
            return cls()
        hours = np.bincount((times % DAY // 3600).astype(np.int64), minlength=24)
        days = np.unique(times // DAY).astype(np.int64)
        if (hours > 0).sum() < _COVERED or len(days) < _LEAST_DAYS:
            return cls()
        free = (days + 3) % 7 >= 5
        weeks = float(np.ptp(times)) >= (7 * _LEAST_WEEKS - 0.25) * DAY and free.sum() >= 2 * _LEAST_WEEKS
        return cls(_HARMONICS, bool(weeks and (~free).sum() >= 2 * _LEAST_WEEKS))

    def simpler(self) -> list[Self]:
        """Every basis within this one, the constant first, without those of a weekend but no day."""
        kinds = [type(self)(h, weekend) for h in range(1, self.harmonics + 1) for weekend in ({False, self.weekend})]
        return [type(self)(), *sorted(kinds, key=lambda clock: clock.size)]

    def within(self, richer: Clock) -> NDArray[np.int64]:
        """(P,) where this basis' columns stand in a richer one's."""
        own = np.arange(1 + 2 * self.harmonics)
        return np.concatenate([own, own + 1 + 2 * richer.harmonics]) if self.weekend else own

    def basis(self, times: NDArray[np.float64]) -> NDArray[np.float64]:
        """(..., P) for times of any shape."""
        angle = 2 * np.pi * times[..., None] / DAY * np.arange(1, self.harmonics + 1)
        waves = np.stack([np.cos(angle), np.sin(angle)], axis=-1).reshape(*times.shape, -1)  # a simpler basis is the first columns
        day = np.concatenate([np.ones((*times.shape, 1)), waves], axis=-1)
        if not self.weekend:
            return day
        free = (times // DAY + 3) % 7 >= 5  # 1 January 1970 was a Thursday
        return np.concatenate([day, day * free[..., None]], axis=-1)

    def between(self, first: float, last: float) -> NDArray[np.float64] | None:
        """(P,) mean of the basis over a span; None for one that is no span of time, as a jumping clock gives."""
        if self.size == 1:
            return np.ones(1)
        if not (np.isfinite(first) and np.isfinite(last)) or last < first:
            return None
        return np.asarray(self.basis(first + (last - first) * (np.arange(_POINTS) + 0.5) / _POINTS).mean(0))


@dataclass(frozen=True, slots=True, eq=False)
class Products:
    """What a regression on the basis needs of the rows: gram (P, P) of the basis, and its products (P, C) with C columns."""

    gram: NDArray[np.float64]
    columns: NDArray[np.float64]

    @classmethod
    def of(cls, basis: NDArray[np.float64], columns: NDArray[np.float32]) -> Self:
        """From (n, P) and (n, C)."""
        return cls(basis.T @ basis, (basis.T.astype(np.float32) @ columns).astype(np.float64))

    def __add__(self, other: Products) -> Products:
        return Products(self.gram + other.gram, self.columns + other.columns)

    def at(self, columns: NDArray[np.int64]) -> Products:
        """Of some of the basis' columns."""
        return Products(self.gram[np.ix_(columns, columns)], self.columns[columns])

    def solved(self) -> NDArray[np.float64]:
        """(P, C) least-squares coefficients."""
        return np.linalg.pinv(self.gram, hermitian=True) @ self.columns

    @property
    def explained(self) -> float:
        """Sum of squares that the basis explains of the columns."""
        return float((self.columns * self.solved()).sum())


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """Mean features and scalars as a linear function of the time basis, and how well they are known.

    A window whose mean basis is b̄ is compared with b̄ᵀ C; the variance that the estimate of C adds is b̄ᵀ E b̄ times a row's own, which
    is 1 / n for a constant learned from n rows.

    References
    ----------
    Draper and Smith, "Applied Regression Analysis", 3rd edition, Wiley 1998 (variance of a fitted mean).
    """

    clock: Clock
    coefficients: NDArray[np.float64]
    """(P, D + S): features relative to the reference's mean feature, in the spectrum's basis, and scalars."""
    error: NDArray[np.float64]
    """(2, P, P) for the features and for the scalars, which may come from fewer rows."""

    @classmethod
    def learn(cls, clock: Clock, features: Products, scalars: Products, *, prior: NDArray[np.float64] | None = None) -> Self:
        """From the products of the basis with features and with scalars.

        prior : (P, D + S) coefficients that the products' columns were freed of. One row's worth of evidence holds the shape of the day
        to it, so that hours never seen are known to be unknown.
        """
        hold = np.diag((np.arange(clock.size) > 0).astype(np.float64))
        errors = [np.linalg.inv(part.gram + hold) for part in (features, scalars)]
        own = np.hstack([error @ part.columns for error, part in zip(errors, (features, scalars), strict=True)])
        return cls(clock, own if prior is None else prior + own, np.stack(errors))

    def unknown(self, basis: NDArray[np.float64]) -> NDArray[np.float64]:
        """(..., P) → (2, ...) b̄ᵀ E b̄, the variance of what is expected in units of a row's."""
        return np.asarray(np.einsum("...p,kpq,...q->k...", basis, self.error, basis))

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """All that `from_arrays` needs."""
        clock = np.array([self.clock.harmonics, self.clock.weekend], np.int64)
        return {"clock": clock, "coefficients": self.coefficients, "error": self.error}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> Self:
        """Restores what `to_arrays` gave."""
        harmonics, weekend = (int(v) for v in np.asarray(arrays["clock"], np.int64))
        return cls(Clock(harmonics, bool(weekend)), np.asarray(arrays["coefficients"], np.float64), np.asarray(arrays["error"], np.float64))


def choose(clock: Clock, products: Products, *, trace: float, square: float) -> Clock:
    """The basis within `clock` that explains most beyond noise; the constant where nothing stands out.

    products : of the whole basis with whitened features.
    trace, square : tr Σ and tr Σ² of a row's whitened covariance, long-run where rows depend on each other; a column of pure noise
    explains tr Σ ± (2 tr Σ²)^½.
    """
    best, most = Clock(), 0.0
    rest = products.at(np.zeros(1, np.int64)).explained
    for simple in clock.simpler()[1:]:
        extra = simple.size - 1
        noise = extra * trace + 4 * float(np.sqrt(2 * extra * square))
        beyond = products.at(simple.within(clock)).explained - rest - noise
        if beyond > most:
            best, most = simple, beyond
    return best
