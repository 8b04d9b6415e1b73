"""What a benchmark gives: figures, each with its bar where it has one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured value as it is printed; `holds` is None where there is no bar."""

    name: str
    value: str
    bar: str = ""
    holds: bool | None = None


Progress: TypeAlias = Callable[[str], None]
"""Told what is being done now."""

Benchmark: TypeAlias = Callable[[Progress], Sequence[Figure]]


class Skipped(Exception):  # noqa: N818 - not an error: what is needed is not here
    """Says what is missing."""
