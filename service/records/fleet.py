"""What is known of all streams of an installation side by side."""

from __future__ import annotations

from dataclasses import dataclass

from service.records.alarms import Measured, Regime


@dataclass(frozen=True, slots=True)
class FleetStream:
    """One monitor × segment, as its last decision left it.

    log10_e : base-10 logarithm of its evidence against a drift within the tolerance, over the samples that a patience brings; None
    until something is known of the stream and its traffic.
    """

    monitor: str
    segment: str
    regime: Regime
    samples: int
    log10_e: float | None
    stands: bool
    effect: Measured
    alarm: str | None
    dependent: bool
    """Neighbours depend on each other in its reference: the evidence holds about, not exactly."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """Streams by evidence, most first. Those `outside` the budget (advisory and shadow) are compared with none.

    Among those that stand together the share of false ones is expected to be at most `error` for each `patience_days` watched.
    """

    error: float
    patience_days: float
    streams: tuple[FleetStream, ...]
    outside: tuple[FleetStream, ...]
