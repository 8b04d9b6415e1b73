"""By which words annotators answer."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SchemeClass:
    """A class that may be answered: its name is the model's, its aliases are words that annotators use for it."""

    name: str
    aliases: tuple[str, ...] = ()
    guideline: str = ""


@dataclass(frozen=True, slots=True)
class LabelScheme:
    """One version of a monitor's classes, with how to tell them apart. It never changes: a change is the next version."""

    id: str
    monitor: str
    number: int
    classes: tuple[SchemeClass, ...]
    created: float
    state: str = "kept"
    guideline: str = ""
    """For the whole task."""
    renamed: tuple[tuple[str, str], ...] = ()
    """(former name, name): every rename and merge so far, so that labels of earlier versions keep their meaning."""
    actor: str = ""
    note: str = ""
    version: int = 1
