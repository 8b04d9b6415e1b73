"""What a report is made of: sections of sentences, figures, tables and plots, as plain values that any format can be written from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from service.records import Measured


class Standing(StrEnum):
    """What a section found, worst last."""

    FINE = "fine"
    UNKNOWN = "not known"
    WATCH = "watch"
    ACT = "act"


@dataclass(frozen=True, slots=True)
class Picture:
    """A small PNG, shown where a format can; `name` says in words what it is."""

    png: bytes
    name: str


Cell: TypeAlias = str | int | float | Measured | Picture | None
"""Of a table; None where there is nothing to show."""


class Unit(StrEnum):
    """How a number is written."""

    SHARE = "share"
    """0 to 1, shown in percent."""
    COUNT = "count"
    SECONDS = "seconds"
    TIME = "time"
    """Seconds since the epoch."""
    PLAIN = "plain"


@dataclass(frozen=True, slots=True)
class Figure:
    """One number that the section stands for, in the same place for every monitor."""

    name: str
    value: Measured | float
    unit: Unit = Unit.SHARE


@dataclass(frozen=True, slots=True)
class Column:
    """Of a table."""

    name: str
    unit: Unit = Unit.PLAIN


@dataclass(frozen=True, slots=True)
class Table:
    """Rows worst (or first) first; `left_out` says how many more there are."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class Bars:
    """A bar per name, with an interval where there is one."""

    title: str
    values: Mapping[str, Measured | float]
    unit: Unit = Unit.SHARE


@dataclass(frozen=True, slots=True)
class Lines:
    """Points joined in order, by series."""

    title: str
    across: str
    """What the horizontal axis shows."""
    up: str
    series: Mapping[str, tuple[tuple[float, float], ...]]
    diagonal: bool = False
    """Whether the line where both are equal is drawn: calibration is read against it."""


@dataclass(frozen=True, slots=True)
class Matrix:
    """A square of counts, rows by columns: a table of confusion."""

    title: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    down: str = "truth"
    across: str = "answer"


Plot: TypeAlias = Bars | Lines | Matrix


@dataclass(frozen=True, slots=True)
class Missing:
    """What could not be said, why, and what would change that."""

    what: str
    why: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Section:
    """One blind spot, looked into."""

    name: str
    """Stable: `drift`, `coverage`, `freshness`, `annotation_errors`, `data_quality`, `leakage`, `performance`, `failures`."""
    title: str
    standing: Standing
    says: str
    """What was found, in a sentence or two, with its figures."""
    todo: str = ""
    """What to do first, '' where nothing has to be done."""
    urgency: float = 0.0
    """0 (nothing to do) to 1 (now): what monitors are ranked by. About the share of the traffic that goes wrong unseen."""
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()
    plots: tuple[Plot, ...] = ()
    missing: tuple[Missing, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """All sections of one monitor, the same for each."""

    monitor: str
    made: float
    reference_version: int | None
    sections: tuple[Section, ...]
    versions: Mapping[str, str]
    """What it was made from: `train` → `v3, 100,000 rows`."""

    @property
    def urgency(self) -> float:
        """Of the most urgent section."""
        return max((section.urgency for section in self.sections), default=0.0)
