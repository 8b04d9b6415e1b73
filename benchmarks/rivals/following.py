"""Rivals followed over the grid's streams within their share of the time, each piece kept as soon as it is there.

A path is followed until it exceeds all that it showed without drift: no threshold with a crossing lies higher, so nothing that
comes later can change a delay.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.figures import Progress
from benchmarks.grid import scenarios
from benchmarks.grid.paths import kept_at, version
from benchmarks.rivals.budget import CELLS_PART, LEAST, NULL_PART, Share
from benchmarks.rivals.conversation import Conversation, RivalError
from benchmarks.rivals.inside.serving import Task
from benchmarks.rivals.pieces import Part, Piece, Pieces


@dataclass(frozen=True, slots=True, eq=False)
class Order:
    """Streams of one trial to be followed for one piece, within so many CPU seconds."""

    trial: scenarios.Trial
    seed: int
    part: Part
    streams: Mapping[str, NDArray[np.float32]]
    seconds: float
    ceiling: float | None = None

    def task(self, pieces: Pieces, rows: Path) -> Task:
        """As it is said to the rival's process."""
        return Task(
            method=pieces.rival.method,
            seed=self.seed,
            shipped=self.part == "shipped" or pieces.rival.shipped == "with",
            rows=str(rows),
            streams=list(self.streams),
            out=str(pieces.file(self.seed, self.part).resolve()),
            version=pieces.version,
            seconds=None if np.isinf(self.seconds) else self.seconds,
            ceiling=self.ceiling,
            cut_after=scenarios.WARM_UP,
            cut_short=self.part != "cells",
        )


class Following:
    """One rival on one set."""

    def __init__(self, pieces: Pieces, conversation: Conversation, share: Share, progress: Progress) -> None:
        self._pieces, self._conversation, self._share, self._progress = pieces, conversation, share, progress

    def follow(self, seeds: Sequence[int]) -> None:
        """Streams without drift, then the cells of those trials, then own thresholds, as far as the share goes."""
        apart = self._pieces.rival.shipped == "apart"
        for seed, seconds in self._within(NULL_PART, seeds):
            self._null(seed, "null", seconds)
        nulls = {seed: piece for seed, piece in self._pieces.all("null") if piece.paths}
        ceiling = max((piece.highest for piece in nulls.values()), default=np.inf)
        for seed, seconds in self._within(CELLS_PART if apart else 1.0, list(nulls)):
            self._cells(seed, ceiling, seconds)
        for seed, seconds in self._within(1.0, seeds if apart else []):
            self._null(seed, "shipped", seconds)
        rival = self._pieces.rival.name
        for seed, kept in self._pieces.complete():
            kept.save(kept_at(self._pieces.set, rival, seed), version(rival))

    def _within(self, part: float, seeds: Sequence[int]) -> Iterator[tuple[int, float]]:
        """Seeds, each with the seconds that it may take."""
        for count, seed in enumerate(seeds):
            left = np.inf if count < LEAST else self._share.left(part)
            if left <= 0:
                return
            self._progress(f"{self._pieces.set}, {self._pieces.rival.name}, stream {seed}: {self._share}")
            yield seed, left

    def _null(self, seed: int, part: Part, seconds: float) -> None:
        piece = self._pieces.get(seed, part)
        if piece is None:
            trial = scenarios.trial(self._pieces.set, seed)
            piece = self._ask(Order(trial, seed, part, {"null": trial.null}, seconds))
        self._share.spent += piece.spent

    def _cells(self, seed: int, ceiling: float, seconds: float) -> None:
        piece = self._pieces.get(seed, "cells")
        if piece is None or (not piece.serves(ceiling) and piece.spent < seconds):  # else the same time would not suffice again
            trial = scenarios.trial(self._pieces.set, seed)
            names = sorted(trial.cells)
            turned = names[seed % len(names) :] + names[: seed % len(names)]
            streams = {name: trial.cells[name] for name in turned}
            piece = self._ask(Order(trial, seed, "cells", streams, seconds, ceiling))
        self._share.spent += piece.spent

    def _ask(self, order: Order) -> Piece:
        """What the rival showed, from the cache it was written to."""
        arrays: dict[str, Any] = {"reference": order.trial.reference, "topics": np.unique(order.trial.topics, return_inverse=True)[1]}
        self._pieces.folder.mkdir(parents=True, exist_ok=True)
        rows = (self._pieces.folder / "rows.npz").resolve()
        np.savez(rows, allow_pickle=False, **arrays, **order.streams)
        try:
            self._conversation.ask(order.task(self._pieces, rows))
        finally:
            rows.unlink()
        piece = self._pieces.get(order.seed, order.part)
        if piece is None:
            raise RivalError("it wrote nothing")
        return piece
