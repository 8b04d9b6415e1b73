"""Whether memory stays flat over a long stream."""

from __future__ import annotations

import os
import resource
from collections.abc import Sequence
from pathlib import Path

from benchmarks.figures import Figure, Progress
from benchmarks.synthetic import DIMENSION, Stream, Topics, decide, roles

SAMPLES, EARLY = 1_000_000, 100_000
BAR = 1.05
"""Resident memory at the end of the stream over that at its first tenth."""


def run(progress: Progress) -> Sequence[Figure]:
    """Worker and controller over vectors; the largest reading up to 100,000 samples against the last tenth's largest."""
    source, taken, early, late = Stream(Topics(0), SAMPLES), 0, 0, 0
    with roles(Topics(0), source) as (worker, controller):
        while not worker.ended:
            source.draw()
            taken += worker.step(0.0)
            decide(controller)
            if taken <= EARLY:
                early = max(early, resident_bytes())
            elif taken > SAMPLES - EARLY:
                late = max(late, resident_bytes())
            progress(f"{taken:,} of {SAMPLES:,} vectors")
    ratio = late / early
    return [
        Figure(f"resident after {EARLY:,} vectors of {DIMENSION}", f"{early / 2**20:.0f} MB"),
        Figure(f"resident after {taken:,}", f"{late / 2**20:.0f} MB"),
        Figure("ratio", f"{ratio:.3f}", f"≤ {BAR}", ratio <= BAR),
    ]


def resident_bytes() -> int:
    """This process's, now; the peak where /proc is missing."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
