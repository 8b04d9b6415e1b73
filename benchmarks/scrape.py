"""What a scrape costs with 1,000 monitors and 10,000 alarms in the store, beside 3 and 10: the first of whoever begins to lead, which reads
all, and the later ones, median of `SCRAPES` (15), while a hundred monitors were decided in between."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Sequence
from contextlib import ExitStack, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory

from prometheus_client import CollectorRegistry

from benchmarks.console import LARGE, SMALL, configuration, fill, learn
from benchmarks.figures import Figure, Progress
from service.app import metering
from service.app.installation import CONTROLLER
from service.app.roles import Assembly
from service.leading import Leading
from service.metrics import Metrics, exposition

SCRAPES = int(os.environ.get("SCRAPES", "15"))
DECIDED = 100


def run(progress: Progress) -> Sequence[Figure]:
    """Small against large, with the cost of a series."""
    small, large = (measured(*size, progress) for size in (SMALL, LARGE))
    figures = []
    for name, first, later, series in (("3 monitors, 10 alarms", *small), ("1,000 monitors, 10,000 alarms", *large)):
        cost = f"{1e6 * later / series:.1f} µs a series"
        figures.append(Figure(f"scrape: {name}", f"first {1e3 * first:.0f} ms, later {1e3 * later:.0f} ms, {series:,} series, {cost}"))
    times, more = large[1] / small[1], large[2] / small[2]
    told = f"{times:.0f} × the time for {more:.0f} × the series: {times / more:.2f} × each"
    return [*figures, Figure("scrape: large over small", told)]


def measured(monitors: int, alarms: int, progress: Progress) -> tuple[float, float, int]:
    """Seconds of the first scrape, of a later one, and how many series it shows."""
    with TemporaryDirectory() as folder, ExitStack() as stack:
        progress(f"filling a store with {monitors:,} monitors and {alarms:,} alarms")
        metrics = Metrics(CollectorRegistry(), [], version="benchmark")
        assembly = Assembly(configuration(Path(folder), monitors), None, stack, lambda _: nullcontext(), metrics)
        learn(assembly)
        installation = assembly.installation
        fill(installation.store, monitors, alarms)
        declared = installation.look()
        metering.watch(metrics, declared)
        leading = Leading(installation.store, CONTROLLER, "benchmark", 3_600.0)
        leading.step()
        metering.of_installation(metrics, installation, leading, dict)
        progress("scraping")
        first, text = _scraped(metrics)
        later = []
        for _ in range(SCRAPES):
            for name in list(declared)[:DECIDED]:
                metrics.decided(name, seconds=0.001)
            later.append(_scraped(metrics)[0])
        return first, statistics.median(later), sum(not line.startswith(b"#") for line in text.splitlines())


def _scraped(metrics: Metrics) -> tuple[float, bytes]:
    began = time.perf_counter()
    text, _ = exposition(metrics.registry, "")
    return time.perf_counter() - began, text
