"""Everything about a monitor's refresh at a glance: where its cycle is, what may still be spent, and what waits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from service import annotation, refresh
from service.cycles.due import Due, Freshness
from service.cycles.standing import Standing, standings
from service.ports import Store
from service.records import Alarm, AlarmState, AnnotationBatch, RefreshCycle
from service.selecting.asking import batches_of
from service.selecting.spending import Purse, candidates_purse, is_top_up, purses, top_up_purse
from service.settings import MonitorSettings

_CYCLES, _ALARMS = 10_000, 1_000


@dataclass(frozen=True, slots=True)
class Summary:
    """Of one monitor, at a moment."""

    monitor: str
    now: float
    standing: Standing | None
    """Of the open cycle; None between two."""
    last: RefreshCycle | None
    """That ended last."""
    rests_until: float
    """Until when only a person opens a cycle; 0 where nothing keeps one from opening."""
    alarms: tuple[str, ...]
    """Ids of those that would open a cycle if there were none, or none just over."""
    due: tuple[Due, ...]
    purses: tuple[Purse, ...]
    top_up: AnnotationBatch | None
    """Golden rows that are being labelled."""
    freshness: Freshness | None = None
    """Of the test set, where it was measured."""

    @property
    def stuck(self) -> bool:
        """Whether its cycle has waited for longer than it may."""
        return self.standing is not None and self.standing.stuck(self.now)

    @property
    def figures(self) -> dict[str, Any]:
        """As screens and the API show it: times in seconds."""
        standing, last, top_up = self.standing, self.last, self.top_up
        return {
            "monitor": self.monitor,
            "now": self.now,
            "open": standing and _shown(standing, self.now),
            "last": last and {"cycle": last.id, "state": last.state, "since": last.entered},
            "rests_until": self.rests_until or None,
            "alarms": list(self.alarms),
            "freshness": _known(self.freshness),
            "due": [{"trigger": due.trigger, "since": due.since, "why": due.why} for due in self.due],
            "budgets": [
                {"name": each.name, "setting": each.setting, "limit": each.limit, "spent": each.spent, "labels_left": each.labels}
                for each in self.purses
            ],
            "golden_rows": top_up and {"batch": top_up.id, "state": top_up.state, "asked": len(top_up.items), "answered": top_up.returned},
        }


def _known(freshness: Freshness | None) -> dict[str, float] | None:
    """None of one that could not be told."""
    if freshness is None or not math.isfinite(freshness.share):
        return None
    return {"share": freshness.share, "low": freshness.low, "high": freshness.high}


def _shown(standing: Standing, now: float) -> dict[str, Any]:
    cycle = standing.cycle
    return {
        "cycle": cycle.id,
        "state": cycle.state,
        "trigger": cycle.trigger,
        "created": cycle.created,
        "batch": cycle.batch,
        "waits_for": standing.awaited,
        "said": standing.said,
        "since": standing.since,
        "limit": standing.limit,
        "stuck": standing.stuck(now),
        "todo": standing.todo,
    }


def summary(store: Store, settings: MonitorSettings, *, now: float, due: Sequence[Due] = (), freshness: Freshness | None = None) -> Summary:
    """As the store has it. `due`: what the clock would open."""
    monitor = settings.name
    cycles = store.find(RefreshCycle, monitor=monitor, limit=_CYCLES)
    ended = [cycle for cycle in cycles if cycle.state in refresh.ENDED]
    standing = next(iter(standings(store, monitor, settings)), None)
    batches = batches_of(store, monitor)
    name = standing.cycle.id if standing is not None else ""
    rests = refresh.rests_until(settings.refresh, cycles)
    return Summary(
        monitor,
        now,
        standing,
        max(ended, key=lambda cycle: cycle.entered, default=None),
        rests if standing is None and rests > now else 0.0,
        _waiting(store, settings, ended, rests),
        tuple(due),
        (candidates_purse(settings, batches, name), *purses(settings, batches, name, now=now), top_up_purse(settings, batches, now=now)),
        next((batch for batch in batches if is_top_up(batch) and batch.state not in annotation.ENDED), None),
        freshness,
    )


def _waiting(store: Store, settings: MonitorSettings, ended: Sequence[RefreshCycle], later: float) -> tuple[str, ...]:
    alarms = store.find(Alarm, monitor=settings.name, states=[AlarmState.OPEN, AlarmState.ACKNOWLEDGED], limit=_ALARMS)
    return tuple(alarm.id for alarm in alarms if not alarm.quiet and refresh.wanted(alarm, settings.refresh, ended, now=later))
