"""What there is to say about an alarm: facts and ids, thin enough for any receiver, and no payload's text."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from service.alarms import of_drift
from service.budget import DAY
from service.notifying import wording
from service.ports import Store
from service.records import Alarm, Regime
from service.settings import BudgetSettings

_EXEMPLARS, _CLUSTERS, _TERMS = 3, 3, 8
_COUNTED = 1_000
"""Alarms that the used share of the budget is counted over, at most."""


def facts(kind: str, alarm: Alarm, *, team: str = "", budget: dict[str, Any] | None = None) -> dict[str, Any]:
    """What a destination is told of an alarm's step; exemplars are named by their ids."""
    told: dict[str, Any] = {
        "alarm": alarm.id,
        "monitor": alarm.monitor,
        "segment": alarm.segment,
        "team": team,
        "family": alarm.family.value,
        "kind": alarm.kind,
        "severity": alarm.severity.value,
        "state": alarm.state.value,
        "opened": alarm.opened,
        "since": alarm.window_start if alarm.onset is None else alarm.onset.time,
        "window_samples": alarm.window_samples,
        "effect": asdict(alarm.effect),
        "novel_share": asdict(alarm.novel_share),
        "accuracy": None if alarm.accuracy is None else asdict(alarm.accuracy),
        "reference_version": alarm.reference_version,
        "reason": alarm.history[-1].reason,
        "by": alarm.history[-1].actor,
        "note": alarm.history[-1].note,
        "exemplars": [exemplar.id for exemplar in alarm.exemplars[:_EXEMPLARS]],
        "clusters": [
            {"cluster": each.cluster, "reference_share": each.reference_share, "window_share": each.window_share}
            for each in alarm.clusters[:_CLUSTERS]
        ],
        "terms": [term.term for term in alarm.terms[:_TERMS]],
        "budget": budget,
    }
    return {**told, "text": wording.text(kind, told), "todo": f"`driftgate explain {alarm.id}`"}


def budget_used(store: Store, budget: BudgetSettings, opening: Iterable[Alarm], *, now: float) -> dict[str, Any]:
    """Alarms that count against the budget of the whole installation, of the last of its periods, beside those that are accepted; those
    that are just opening included."""
    since = now - budget.days * DAY
    recent = {alarm.id: alarm for alarm in (*store.find(Alarm, limit=_COUNTED), *opening)}
    count = sum(alarm.opened > since and alarm.regime is Regime.ACTIVE for alarm in of_drift(recent.values()))
    return {"alarms": count, "accepted": budget.alarms, "days": budget.days}
