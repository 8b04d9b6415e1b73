"""When a refresh is due though no alarm stands: a quiet model grows stale too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from service.records import RefreshCycle, Trigger, stable_id
from service.settings import PERIOD_DAYS, RefreshSettings

DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Due:
    """A trigger whose time has come; `opened_by` follows from what it is due for, so that a second look opens nothing more."""

    trigger: Trigger
    opened_by: str
    why: str
    since: float


@dataclass(frozen=True, slots=True)
class Freshness:
    """Which share of the traffic a test set covers, with an interval."""

    share: float
    low: float
    high: float
    golden: int
    """Version of the golden set, 0 without one."""
    looked: float


@dataclass(frozen=True, slots=True)
class Known:
    """What a look at a monitor's clock goes by."""

    monitor: str
    reference_version: int
    built: float
    """When the reference in force was made."""
    model_version: int
    """The first reference version of the model in force."""
    model_since: float
    cycles: Sequence[RefreshCycle] = ()
    freshness: Freshness | None = None

    @classmethod
    def of(
        cls, monitor: str, versions: Sequence[Mapping[str, Any]], cycles: Sequence[RefreshCycle], freshness: Freshness | None
    ) -> Known | None:
        """None without a reference in force. versions : every reference version's manifest, oldest first."""
        upto = [made for made in versions if made["version"] <= next((v["version"] for v in versions if v["active"]), 0)]
        if not upto:
            return None
        same = upto[-1]
        for made in reversed(upto):
            if made["model"] != same["model"]:
                break
            same = made
        return cls(monitor, upto[-1]["version"], upto[-1]["created"], same["version"], same["created"], cycles, freshness)


def due(known: Known, settings: RefreshSettings, now: float) -> Iterator[Due]:
    """What is due now, the most telling first."""
    yield from _stale(known, settings, now)
    yield from _old(known, settings, now)
    yield from _long_ago(known, settings, now)


def _stale(known: Known, settings: RefreshSettings, now: float) -> Iterator[Due]:
    """Once for each golden version under a reference, and at most once in a period: a promotion changes both, and the test set may be as
    stale after it as before."""
    found, least = known.freshness, settings.min_freshness
    lately = any(cycle.trigger is Trigger.FRESHNESS and cycle.created > now - DAY * PERIOD_DAYS for cycle in known.cycles)
    if found is not None and least is not None and found.high < least and not lately:
        opened_by = stable_id(Trigger.FRESHNESS, known.monitor, known.reference_version, found.golden)
        why = f"the test set covers {found.share:.0%} of the traffic ({found.low:.0%} to {found.high:.0%}), less than {least:.0%}"
        yield Due(Trigger.FRESHNESS, opened_by, why, found.looked)


def _old(known: Known, settings: RefreshSettings, now: float) -> Iterator[Due]:
    """Once for each time that the model has grown so old."""
    most = settings.max_model_days
    times = 0 if most is None else int((now - known.model_since) / (DAY * most))
    if most is not None and times >= 1:
        opened_by = stable_id(Trigger.AGE, known.monitor, known.model_version, times)
        why = f"the model in force is {(now - known.model_since) / DAY:.3g} days old, more than {most:g}"
        yield Due(Trigger.AGE, opened_by, why, known.model_since + times * DAY * most)


def _long_ago(known: Known, settings: RefreshSettings, now: float) -> Iterator[Due]:
    """Once after each cycle, else after the reference in force."""
    every = settings.every_days
    if every is None:
        return
    last = max(known.cycles, key=lambda cycle: cycle.created, default=None)
    since, after = (known.built, known.reference_version) if last is None else (last.created, last.id)
    if now >= since + DAY * every:
        opened_by = stable_id(Trigger.CADENCE, known.monitor, after)
        what = "the last refresh cycle" if last is not None else "the reference in force"
        yield Due(Trigger.CADENCE, opened_by, f"{what} is {(now - since) / DAY:.3g} days ago, more than {every:g}", since + DAY * every)
