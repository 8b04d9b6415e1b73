"""Which rows of a reference teach what, and the passes over all of them that need no more memory than a part does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from detectors.dependence import Dependence
from detectors.evenly import evenly
from detectors.spectrum import Spectrum
from detectors.summarizer import Described, Summarizer
from detectors.timeofday import DAY, Clock, Products, Profile, choose

Order: TypeAlias = Literal["iid", "time"]

_CHUNK = 4096
_MOST_FIT, _MOST_CALIBRATION = 10_000, 30_000
MOST_COUNTED = 2 * _MOST_CALIBRATION
"""Rows of a reference that count towards its run length: half of them calibrate."""
_LEAST_VARIED = 20
"""Rows of a half that are not its commonest. By simulation references of 500 rows with fewer alarm at traffic like their own."""
_RUNS = 15
"""Runs of neighbours that calibration rows are thinned to, where there are too many; odd, so that hours of the day take turns."""


def chunks(rows: NDArray[np.float32]) -> Iterator[slice]:
    """Parts of the rows that memory holds easily."""
    return (slice(start, start + _CHUNK) for start in range(0, len(rows), _CHUNK))


def check(reference: NDArray[np.float32], least: int) -> None:
    """ValueError for rows that nothing can be learned from."""
    if reference.ndim != 2 or len(reference) < least:
        raise ValueError(f"a reference has at least {least} rows of one dimension, found shape {reference.shape}")
    for part in chunks(reference):
        wrong = np.flatnonzero(~np.isfinite(reference[part]).all(1))
        if len(wrong):
            raise ValueError(f"the reference has values that are not finite, first in row {part.start + wrong[0]}: mend or remove it")
    if all((reference[part] == reference[0]).all() for part in chunks(reference)):
        raise ValueError("the reference's rows are all the same: nothing could be told from them")


def check_asked(order: str, pane: int) -> None:
    """ValueError for an order or a pane that there is none of."""
    if order not in get_args(Order):
        raise ValueError(f"order is one of {', '.join(map(repr, get_args(Order)))}, found {order!r}")
    if pane < 1:
        raise ValueError(f"pane is a number of samples, at least 1, found {pane}")


def check_varied(part: NDArray[np.float32], name: str) -> None:
    """ValueError for a part of the reference whose rows are nearly all the same: a handful of others tells nothing of how often such
    come."""
    counts = Counter(row.tobytes() for row in part)
    others = len(part) - counts.most_common(1)[0][1]
    if others < _LEAST_VARIED:
        raise ValueError(
            f"the {name} part of the reference, {len(part)} rows, has {others} that differ from its commonest row; {_LEAST_VARIED} are "
            "needed: add rows that vary as traffic does"
        )


def check_times(times: NDArray[np.float64], rows: int, order: Order) -> None:
    """ValueError for times that are not one finite number of seconds for each row, or that fall where rows stand in order of time."""
    if times.shape != (rows,) or not np.isfinite(times).all():
        raise ValueError(f"times are a finite number of seconds for each of the reference's {rows} rows, found shape {times.shape}")
    falls = np.flatnonzero(np.diff(times) < 0)
    if order == "time" and len(falls):
        raise ValueError(f'order="time" takes rows in order of time: row {falls[0] + 1} is earlier than the one before it, sort them')


def split(n: int, order: Order, times: NDArray[np.float64] | None, rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Disjoint fit and calibration rows, capped: at random, or alternate stretches of the timeline, all of it covered.

    Stretches are eighths, or days from noon to noon of the first where times are given, so that both parts see every hour. Calibration
    rows in order of time stay neighbours, in runs.
    """
    if order == "iid":
        mixed = rng.permutation(n)
        return mixed[: n // 2][:_MOST_FIT], mixed[n // 2 :][:_MOST_CALIBRATION]
    turn = np.arange(n) * 8 // n if times is None else ((times - times[0]) / DAY + 0.5).astype(np.int64)
    fit, calibration = np.flatnonzero(turn % 2 == 0), np.flatnonzero(turn % 2)
    spread = evenly(len(fit), _MOST_FIT)
    if len(calibration) > _MOST_CALIBRATION:
        run = _MOST_CALIBRATION // _RUNS
        starts = np.linspace(0, len(calibration) - run, _RUNS).astype(np.int64)
        calibration = calibration[(starts[:, None] + np.arange(run)).ravel()]
    return fit[spread], calibration


def regress(
    summarizer: Summarizer, rows: NDArray[np.float32], clock: Clock, times: NDArray[np.float64], progress: Callable[[float], None]
) -> Products:
    """Products of the time basis with the random features of all rows."""
    total = Products(np.zeros((clock.size, clock.size)), np.zeros((clock.size, summarizer.features)))
    for part in chunks(rows):
        total += Products.of(clock.basis(times[part]), summarizer.random_features(rows[part]))
        progress(min(part.stop / len(rows), 1.0))
    return total


@dataclass(frozen=True, slots=True, eq=False)
class Residuals:
    """What the profile leaves of the calibration rows, and how it depends on itself."""

    profile: Profile
    rows: NDArray[np.float32]
    """(n, D + S) features in the spectrum's basis and scalars."""
    dependence: Dependence

    @classmethod
    def of(
        cls,
        whole: Products,
        described: Described,
        spectrum: Spectrum,
        *,
        clock: tuple[Clock, NDArray[np.float64]],
        order: Order,
    ) -> Residuals:
        """From all rows' products, the calibration rows, and the clock with their basis.

        The profile is that part of the clock that stands out of noise; the rows' own regression is taken off them, not the profile,
        which they had a share in.
        """
        richest, basis = clock
        mean, width = whole.columns[0] / whole.gram[0, 0], spectrum.basis.shape[0]
        turned = Products(whole.gram, (whole.columns - np.outer(whole.gram[:, 0], mean)) @ spectrum.basis)
        rows = np.hstack([(described.features - mean.astype(np.float32)) @ spectrum.basis, described.scalars])
        rest = _freed(rows, basis)
        root = np.sqrt(spectrum.weights[0])
        white = rest[:, :width] * root
        channels = len(spectrum.weights) + rows.shape[1] - width
        dependence = Dependence.measure(rest, spectrum.weights) if order == "time" else Dependence.none(channels)
        if richest.size > 1:
            noise = dependence.whitened * (white.T @ white) / len(white)
            test = Products(turned.gram, turned.columns * root)
            chosen = choose(richest, test, trace=float(np.trace(noise)), square=float(np.square(noise).sum()))
            at = chosen.within(richest)
            turned, basis, richest = turned.at(at), basis[:, at], chosen
            rest = _freed(rows, basis)
        return cls(Profile.learn(richest, turned, Products.of(basis, rows[:, width:])), rest, dependence)


def _freed(rows: NDArray[np.float32], basis: NDArray[np.float64]) -> NDArray[np.float32]:
    """The rows without what their own regression on the basis explains."""
    return rows - (basis @ Products.of(basis, rows).solved()).astype(np.float32)


def centred(summarizer: Summarizer, whole: Products) -> Summarizer:
    """The summarizer with sums centred at the mean feature of all rows."""
    return replace(summarizer, mean=(whole.columns[0] / whole.gram[0, 0]).astype(np.float32))
