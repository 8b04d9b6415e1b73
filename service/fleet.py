"""All streams of an installation side by side: whose evidence stands together, whenever it is looked at. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from detectors.fleet import e_benjamini_hochberg
from service.budget import DAY
from service.records import Measured, Regime
from service.records.fleet import Fleet, FleetStream
from service.settings import BudgetSettings

_MOST = 300.0
"""Largest logarithm whose number is finite."""


_SHOWN = frozenset({"segment", "regime", "samples", "e_log10", "traffic_per_second", "effect", "alarm"})
"""What a stream's status must hold: one that another version wrote is not shown before its monitor has decided anew."""


def compare(statuses: Mapping[str, Mapping[str, Any]], budget: BudgetSettings) -> Fleet:
    """From each monitor's status. The patience is the budget's days; a stream of which too little is known counts, and never stands."""
    found = [stream for monitor, status in statuses.items() for stream in _streams(monitor, status, budget.days)]
    found.sort(key=_evidence, reverse=True)
    inside = [stream for stream in found if stream.regime is Regime.ACTIVE]
    outside = tuple(stream for stream in found if stream.regime is not Regime.ACTIVE)
    e_values = np.array([10.0 ** min(_evidence(stream), _MOST) for stream in inside])
    stands = e_benjamini_hochberg(e_values, budget.error_over_patience)
    together = tuple(replace(stream, stands=bool(stand)) for stream, stand in zip(inside, stands, strict=True))
    return Fleet(budget.error_over_patience, budget.days, together, outside)


def _evidence(stream: FleetStream) -> float:
    return -np.inf if stream.log10_e is None else stream.log10_e


def _streams(monitor: str, status: Mapping[str, Any], days: float) -> Iterator[FleetStream]:
    for stream in status.get("streams", ()):
        if not stream.keys() >= _SHOWN:
            continue
        effect = stream["effect"]
        yield FleetStream(
            monitor=monitor,
            segment=stream["segment"],
            regime=Regime(stream["regime"]),
            samples=stream["samples"],
            log10_e=_over_patience(stream, days),
            stands=False,
            effect=Measured(effect["estimate"], effect["low"], effect["high"]),
            alarm=stream["alarm"],
            dependent=status.get("inflation", 1.0) > 1,
        )


def _over_patience(stream: Mapping[str, Any], days: float) -> float | None:
    """Evidence in samples, over those that so many days bring at the stream's own traffic."""
    rate, evidence = stream["traffic_per_second"], stream["e_log10"]
    return None if not rate or evidence is None else float(evidence - np.log10(max(rate * days * DAY, 1.0)))
