"""What stands in for methods that are being written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.selection import novel
from detectors.selection.base import Known, Pick, Pool, Turn, Why


class NovelChoice:
    """New and in company."""

    def pick(
        self,
        pool: Pool,
        known: Known,
        *,
        budget: int,
        rng: np.random.Generator,
        turn: Turn = Turn(),  # noqa: ARG002, B008 - the protocol's
        progress: Callable[[float], None] = lambda _: None,  # noqa: ARG002 - the protocol's
    ) -> tuple[Pick, ...]:
        offered = novel.Pool(pool.embeddings, np.full(len(pool), 0.99, np.float32), known.reference)
        return tuple(Pick(each.row, Why.PROBE, mass=each.mass) for each in novel.select(offered, budget=budget, rng=rng).picks)


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    junk: NDArray[np.float32]
    contested: NDArray[np.float32]
    influence: NDArray[np.float32]
    nearest: NDArray[np.int64]


class Risk:
    def of(self, parts: Parts) -> NDArray[np.float32]:
        return parts.junk


def assess(pool: Pool, known: Known) -> Parts:
    flat = np.full(len(pool), 0.2, np.float32)
    nearest = np.stack([((known.reference - row) ** 2).sum(1).argsort()[:3] for row in pool.embeddings])
    return Parts(flat, flat, flat, nearest)


def calibrated(_: object) -> Risk:
    return Risk()


@dataclass(frozen=True, slots=True, eq=False)
class FailureRows:
    ids: tuple[str, ...]
    embeddings: NDArray[np.float32]
    labels: tuple[str | None, ...]
    clusters: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.ids)


def failure_rows(*_: object) -> FailureRows:
    return FailureRows((), np.zeros((0, 1), np.float32), (), ())
