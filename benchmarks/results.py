"""`RESULTS.md`: what each benchmark measured last, with its command, date and machine."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks.figures import Figure

RESULTS = Path("benchmarks/RESULTS.md")
_TITLE = "# Results\n\nWritten by the benchmarks themselves; [README.md](README.md) says what each measures and how.\n\n"
_SIZES = re.compile(r"[A-Z_]+_(STREAMS|RUNS|SECONDS|SETS)|RIVALS")
"""Environment variables that make a benchmark smaller."""


def keep(name: str, body: str, now: datetime, *, file: Path = RESULTS) -> None:
    """Puts a benchmark's results in the place of those it gave before, or at the end; sections are second-level headings."""
    old = file.read_text(encoding="utf-8") if file.exists() else _TITLE
    title, *parts = re.split(r"^(?=## )", old, flags=re.MULTILINE)
    sections = {part.splitlines()[0].removeprefix("## "): part for part in parts}
    sections[name] = f"## {name}\n\n{_made(name, now)}\n\n{body.strip()}\n\n"
    file.write_text(title + "".join(sections.values()).rstrip() + "\n", encoding="utf-8")


def figure_table(figures: Sequence[Figure]) -> str:
    """A line per figure, in Markdown."""
    rows = [(f.name, f.value, f.bar, {None: "", True: "holds", False: "**fails**"}[f.holds]) for f in figures]
    return table(("figure", "measured", "bar", ""), rows)


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """In Markdown."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _made(name: str, now: datetime) -> str:
    sizes = "".join(f'{key}="{value}" ' for key, value in sorted(os.environ.items()) if _SIZES.fullmatch(key))
    machine = f"{os.cpu_count()} cores, {_processor()}, Python {platform.python_version()}, numpy {version('numpy')}"
    return f"`{sizes}python -m benchmarks {name.split(maxsplit=1)[0]}`, {now:%Y-%m-%d %H:%M} UTC; {machine}."


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())
