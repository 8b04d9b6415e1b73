"""What a sample costs from decoded arrays to the committed decision, the embedder left out."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from benchmarks.figures import Figure, Progress
from benchmarks.synthetic import DIMENSION, Stream, Topics, decide, roles
from service.worker import BATCH

BATCHES, WARM_UP, ROUNDS = 50, 10, 5
BAR = 50.0
"""Microseconds of one core."""


def run(progress: Progress) -> Sequence[Figure]:
    """The median round of the median batch: worker and controller in turns, SQLite on a file, every commit synced to the disk."""
    rounds = []
    for number in range(ROUNDS):
        progress(f"round {number + 1} of {ROUNDS}")
        rounds.append(_round(number))
    worker, controller, busy, elapsed = np.median(rounds, axis=0)
    return [
        Figure("worker: to committed panes", f"{worker:.1f} µs"),
        Figure("controller: to the committed decision", f"{controller:.1f} µs"),
        Figure(f"both, {DIMENSION} dimensions: one core's time per sample", f"{busy:.1f} µs", f"≤ {BAR:g} µs", bool(busy <= BAR)),
        Figure("both: elapsed per sample, other programs' share included", f"{elapsed:.1f} µs"),
    ]


def _round(seed: int) -> tuple[float, float, float, float]:
    """Microseconds per sample: processor time of the worker, of the controller and of both, and elapsed time of both."""
    source, batches = Stream(Topics(seed), (BATCHES + WARM_UP) * BATCH), []
    with roles(Topics(seed), source) as (worker, controller):
        while not worker.ended:
            source.draw()
            processor, wall = time.process_time(), time.perf_counter()
            worker.step(0.0)
            between = time.process_time()
            decide(controller)
            done = time.process_time()
            batches.append((between - processor, done - between, done - processor, time.perf_counter() - wall))
    first, second, both, elapsed = 1e6 / BATCH * np.median(batches[WARM_UP:], axis=0)
    return float(first), float(second), float(both), float(elapsed)
