"""How a metric is declared: everything that a scrape, its documentation and those who ask for it need to know, said once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Flag, StrEnum, auto
from itertools import product

PREFIX = "driftgate_"
MONITOR = "monitor"


class Kind(StrEnum):
    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Role(Flag):
    """Which processes show a metric."""

    WORKER = auto()
    CONTROLLER = auto()
    API = auto()
    ALL = WORKER | CONTROLLER | API
    LEADER = auto()
    """The controller that leads, alone: what belongs to the installation is told once."""


@dataclass(frozen=True, slots=True)
class Declaration:
    """One metric. `name` as Prometheus shows it, but for the suffixes of a histogram."""

    name: str
    kind: Kind
    meaning: str
    role: Role
    labels: tuple[str, ...] = ()
    known: tuple[tuple[str, ...], ...] = ()
    """Values of the labels besides `monitor` that are there from the start, at 0: what rises from nothing is seen to rise."""
    when: str = ""
    """The condition under which it is there."""
    buckets: tuple[float, ...] = ()
    read: bool = False
    """Asked for at each scrape, rather than counted as it happens."""

    @property
    def unit(self) -> str:
        """As its name says; '' for what is counted."""
        bare = self.name.removesuffix("_total")
        return next((unit for unit in ("timestamp_seconds", "seconds", "bytes", "ratio") if bare.endswith(f"_{unit}")), "")

    @property
    def shown(self) -> tuple[str, ...]:
        """The names of its samples."""
        parts = ("_bucket", "_sum", "_count") if self.kind is Kind.HISTOGRAM else ("",)
        return tuple(self.name + part for part in parts)

    @property
    def begins(self) -> bool:
        """Whether all of its series are known from the start."""
        return bool(self.known) or not set(self.labels) - {MONITOR}

    def first(self, monitors: Iterable[str]) -> Iterable[tuple[str, ...]]:
        """The label values that are there from the start."""
        if not self.begins:
            return
        others = self.known or ((),)
        if MONITOR not in self.labels:
            yield from others
            return
        at = self.labels.index(MONITOR)
        for monitor, values in product(monitors, others):
            yield (*values[:at], monitor, *values[at:])


Known = Mapping[str, Sequence[str]] | Sequence[tuple[str, ...]]
"""Values by label, of which every combination occurs; or the combinations."""


def counter(  # noqa: PLR0913 - options by keyword
    name: str, meaning: str, role: Role, *, labels: Sequence[str] = (), known: Known = (), when: str = "", read: bool = False
) -> Declaration:
    """What only rises while a process runs."""
    return Declaration(f"{PREFIX}{name}_total", Kind.COUNTER, meaning, role, tuple(labels), _combined(labels, known), when, read=read)


def gauge(name: str, meaning: str, role: Role, *, labels: Sequence[str] = (), known: Known = (), when: str = "") -> Declaration:
    """What rises and falls."""
    return Declaration(PREFIX + name, Kind.GAUGE, meaning, role, tuple(labels), _combined(labels, known), when, read=True)


def identity(name: str, meaning: str, role: Role, *, labels: Sequence[str], when: str = "") -> Declaration:
    """Always 1: what it says stands in its labels."""
    return Declaration(f"{PREFIX}{name}_info", Kind.GAUGE, f"Always 1; {meaning}", role, tuple(labels), (), when, read=True)


def histogram(  # noqa: PLR0913 - options by keyword
    name: str, meaning: str, role: Role, *, buckets: Sequence[float], labels: Sequence[str] = (), known: Known = (), when: str = ""
) -> Declaration:
    """How something is distributed."""
    return Declaration(PREFIX + name, Kind.HISTOGRAM, meaning, role, tuple(labels), _combined(labels, known), when, tuple(buckets))


def _combined(labels: Sequence[str], known: Known) -> tuple[tuple[str, ...], ...]:
    if not isinstance(known, Mapping):
        return tuple(known)
    others = [label for label in labels if label != MONITOR]
    if known and set(known) != set(others):
        raise ValueError(f"known values of {sorted(known)}; the labels are {others}")
    return tuple(product(*(known[label] for label in others))) if known else ()
