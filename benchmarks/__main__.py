"""`python -m benchmarks [NAME …]`: prints every figure with its bar, keeps them in `benchmarks/RESULTS.md`, and ends
with 1 if one does not hold."""

from __future__ import annotations

import argparse
import logging
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import import_module
from typing import Self

import structlog
from rich.console import Console
from rich.table import Table

from benchmarks.figures import Benchmark, Figure, Skipped
from benchmarks.results import figure_table, keep

NAMES = (
    "pipeline",
    "memory",
    "throughput",
    "load",
    "many_monitors",
    "console",
    "scrape",
    "soak",
    "sizing",
    "embedder",
    "clinc150",
    "fashion_mnist",
    "commits",
    "null_traffic",
    "intervals",
    "many_streams",
    "rivals",
    "grid",
    "kinds",
    "blind_spots.explanation",
    "blind_spots.annotation_errors",
    "blind_spots.coverage",
    "blind_spots.concept",
    "blind_spots.slices",
    "blind_spots.leakage",
    "blind_spots.one_sample",
    "blind_spots.cost",
    "selection.gain",
    "selection.cost",
    "selection.risk",
    "selection.failures",
    "selection.switch",
    "selection.dcd_protocol",
    "selection.label_checks",
    "outcome",
)

_WIDTH = 150
"""Columns of a table that goes into a file."""

_QUIET_SECONDS = 15.0
"""How often progress is told where it can't be overwritten."""


def main() -> int:
    """Runs the named benchmarks, or all of them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; all of them by default")
    names = parser.parse_args().names or NAMES
    unknown = set(names) - set(NAMES)
    if unknown:
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    if len(names) > 1:  # each in a process of its own: memory that one has freed would hide what the next one takes
        codes = [subprocess.run([sys.executable, "-m", "benchmarks", name], check=False).returncode for name in names]
        return 1 if any(codes) else 0
    one_thread()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    out = Console(width=None if sys.stdout.isatty() else _WIDTH)
    return 0 if ran(names[0], out, Console(stderr=True)) else 1


def one_thread() -> None:
    """Before numpy is imported, so that a core's time is a core's time; processes that are started inherit it."""
    for library in ("OMP", "OPENBLAS", "MKL", "NUMEXPR"):
        os.environ[f"{library}_NUM_THREADS"] = "1"


def ran(name: str, out: Console, err: Console) -> bool:
    """Prints a benchmark's table; whether its bars hold. One that can't be run here is no failure."""
    benchmark: Benchmark = import_module(f"benchmarks.{name}").run
    started = time.perf_counter()
    try:
        with Told(name, err) as told:
            figures = benchmark(told)
    except Skipped as reason:
        out.print(f"{name}: skipped, {reason}\n", highlight=False)
        return True
    keep(name, figure_table(figures), datetime.now(UTC))
    out.print(table(f"{name}, {time.perf_counter() - started:.0f} s", figures), "")
    return all(figure.holds is not False for figure in figures)


def table(title: str, figures: Sequence[Figure]) -> Table:
    """A line per figure."""
    lines = Table("figure", "measured", "bar", "", title=title, title_justify="left", title_style="bold", highlight=False)
    for figure in figures:
        lines.add_row(figure.name, figure.value, figure.bar, {None: "", True: "holds", False: "[red]FAILS[/]"}[figure.holds])
    return lines


class Told:
    """Progress: one line that changes, or in a log a line now and then."""

    def __init__(self, name: str, console: Console) -> None:
        self._name, self._console = name, console
        self._status = console.status(name)
        self._last = time.monotonic()

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._status.stop()

    def __call__(self, text: str) -> None:
        if self._console.is_terminal:
            self._status.update(f"{self._name}: {text}")
        elif time.monotonic() - self._last > _QUIET_SECONDS:
            self._last = time.monotonic()
            self._console.print(f"{self._name}: {text}", highlight=False)


if __name__ == "__main__":
    sys.exit(main())
