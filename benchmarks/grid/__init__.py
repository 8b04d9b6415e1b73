"""The grid of detection: five sets, every drift that each allows, our detector against all others at equal measured run length."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime

from benchmarks.figures import Figure, Progress, Skipped
from benchmarks.grid import paths, worlds
from benchmarks.grid.tables import Grid
from benchmarks.grid.verdicts import Streams
from benchmarks.results import keep

ALL = (*worlds.SETS, *worlds.SESSIONS)


def run(progress: Progress) -> Sequence[Figure]:
    """Fills the cache with what is missing, then judges all that it holds, installed rivals included.

    GRID_STREAMS (100) and GRID_SETS (all, separated by commas) in the environment make it smaller.
    """
    streams, sets = int(os.environ.get("GRID_STREAMS", "100")), os.environ.get("GRID_SETS", ",".join(ALL)).split(",")
    if unknown := set(sets) - set(ALL):
        raise Skipped(f"GRID_SETS names {', '.join(sorted(unknown))}; there are {', '.join(ALL)}")
    for name in sets:
        worlds.prepare(name, lambda text, name=name: progress(f"{name}: {text}"))  # type: ignore[misc] # mypy infers no lambda with defaults
    paths.compute(sets, streams, progress)
    grid = Grid({name: Streams(paths.kept(name), seed) for seed, name in enumerate(sets)})
    progress("comparing")
    from benchmarks.rivals.tables import section  # noqa: PLC0415 - what is installed builds on the grid; only the document tells of both

    keep("grid in detail", f"{grid.document()}\n{section(sets)}", datetime.now(UTC))
    return grid.figures()
