"""What rivals have shown so far, piece by piece on disk."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path as FilePath
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from benchmarks.grid import scenarios
from benchmarks.grid.methods import Path, Shipped
from benchmarks.grid.paths import Cost, Kept
from benchmarks.rivals import environments
from benchmarks.rivals.roster import Rival

Part: TypeAlias = Literal["shipped", "null", "cells"]


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """What a rival showed on one trial: as shipped, without drift, or in the cells."""

    arrays: Mapping[str, NDArray[Any]]
    """Of the types that `inside.serving` wrote."""

    @property
    def spent(self) -> float:
        """CPU seconds, with the fit."""
        return float(self.arrays["cost"][3])

    @property
    def cost(self) -> Cost:
        row_seconds, fit_seconds, state, *_ = self.arrays["cost"].tolist()
        return Cost(row_seconds, fit_seconds, int(state))

    @property
    def held_bytes(self) -> int:
        """All arrays that the fitted detector holds, the reference among them."""
        return int(self.arrays["cost"][4])

    @property
    def paths(self) -> dict[str, Path]:
        """By stream, those that time sufficed for."""
        streams = [name for name in self.arrays["asked"].tolist() if f"rows:{name}" in self.arrays]
        return {name: Path(self.arrays[f"rows:{name}"], self.arrays[f"statistic:{name}"]) for name in sorted(streams)}

    @property
    def highest(self) -> float:
        """The largest statistic of all."""
        return max((float(path.statistic.max()) for path in self.paths.values() if len(path.statistic)), default=-np.inf)

    def shipped(self, run_length: float) -> Shipped:
        """Samples and alarms without drift."""
        return Shipped(int(self.paths["null"].rows_seen[-1]), len(self.arrays["alarms:null"]), run_length)

    def serves(self, ceiling: float) -> bool:
        """Whether every path is there and goes on to its end, or beyond the ceiling, which may have risen since."""
        whole = len(self.paths) == len(self.arrays["asked"])
        return whole and all(float(value) > ceiling for name, value in self.arrays.items() if name.startswith("cut:"))


@dataclass(frozen=True)
class Pieces:
    """Of one rival on one set."""

    set: str
    rival: Rival

    @property
    def folder(self) -> FilePath:
        return environments.FOLDER / "found" / self.set / self.rival.name

    @cached_property
    def version(self) -> str:
        """Of what the pieces depend on: the trials, the installed packages, and what is written inside."""
        inside = environments.HERE / "inside"
        files = [inside / "serving.py", inside / "batches.py", environments.HERE / f"{self.rival.module.replace('.', '/')}.py"]
        code = [ast.unparse(ast.parse(file.read_text(encoding="utf-8"))) for file in files]
        digest = hashlib.sha256("\n".join([environments.requirements(self.rival.environment).read_text(), *code]).encode())
        return f"{scenarios.VERSION} {digest.hexdigest()[:12]}"

    def file(self, seed: int, part: Part) -> FilePath:
        """Where a piece is."""
        return self.folder / f"{seed}-{part}.npz"

    def get(self, seed: int, part: Part) -> Piece | None:
        """None if there is none, or one of another version."""
        if not self.file(seed, part).exists():
            return None
        with np.load(self.file(seed, part), allow_pickle=False) as arrays:
            if str(arrays["version"]) != self.version:
                return None
            return Piece({name: arrays[name] for name in arrays.files})

    def all(self, part: Part) -> Iterator[tuple[int, Piece]]:
        """Those there are, with their seeds."""
        for seed in sorted(int(file.stem.split("-")[0]) for file in self.folder.glob(f"*-{part}.npz")):
            piece = self.get(seed, part)
            if piece is not None:
                yield seed, piece

    def shipped(self) -> dict[int, Piece]:
        """Streams that tell how often it alarms with its own thresholds."""
        if self.rival.shipped == "none":
            return {}
        pieces = self.all("shipped" if self.rival.shipped == "apart" else "null")
        return {seed: piece for seed, piece in pieces if piece.paths}

    def complete(self) -> Iterator[tuple[int, Kept]]:
        """Trials with every path, as the grid keeps them. What a fit costs is what it costs as shipped, where that was seen."""
        nulls = {seed: piece for seed, piece in self.all("null") if piece.paths}
        own, ceiling = self.shipped(), max((piece.highest for piece in nulls.values()), default=np.inf)
        fit_seconds = float(np.mean([piece.cost.fit_seconds for piece in (own or nulls).values()])) if nulls else np.nan
        for seed, cells in self.all("cells"):
            if seed in nulls and cells.serves(ceiling):
                null, run = nulls[seed], own.get(seed)
                cost = Cost(null.cost.row_seconds, fit_seconds, null.cost.state_bytes)
                yield seed, Kept({**null.paths, **cells.paths}, cost, run.shipped(self.rival.run_length) if run else None)

    @property
    def reason(self) -> FilePath:
        """Where it is written why it did not run."""
        return self.folder / "failed.txt"
