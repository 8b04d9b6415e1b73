"""What the clock makes due: once for each time that has come, whoever looks and however often."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from service import refresh
from service.cycles.due import DAY, Due, Freshness, Known, due
from service.records import RefreshCycle, Trigger
from service.settings import RefreshSettings

KNOWN = Known("chat", reference_version=3, built=20 * DAY, model_version=2, model_since=10 * DAY)


def settings(**options: Any) -> RefreshSettings:
    return RefreshSettings.model_validate(options)


def found(known: Known, days: float, **options: Any) -> list[Due]:
    return list(due(known, settings(**options), days * DAY))


def cycle(created: float, opened_by: str = "somebody") -> RefreshCycle:
    return refresh.opened(refresh.Opening("chat", 3, opened_by), now=created)


def manifest(version: int, created: float, model: str, *, active: bool = False) -> dict[str, Any]:
    return {"version": version, "created": created, "model": model, "active": active}


def test_nothing_is_due_by_default() -> None:
    assert found(replace(KNOWN, freshness=Freshness(0.1, 0.05, 0.2, 1, 0.0)), 10_000.0) == []


def test_a_cadence_counts_from_the_last_cycle_else_from_the_reference() -> None:
    assert found(KNOWN, 26.9, every_days=7) == []
    (first,) = found(KNOWN, 27.0, every_days=7)
    assert (first.trigger, first.since, first.why) == (Trigger.CADENCE, 27 * DAY, "the reference in force is 7 days ago, more than 7")
    assert [each.opened_by for each in found(KNOWN, 29.5, every_days=7)] == [first.opened_by]

    after = replace(KNOWN, cycles=(cycle(21 * DAY), cycle(23 * DAY)))
    assert found(after, 29.9, every_days=7) == []
    (second,) = found(after, 30.0, every_days=7)
    assert second.opened_by != first.opened_by
    assert second.why.startswith("the last refresh cycle is 7 days ago")


def test_a_model_grows_too_old_once_for_each_such_time() -> None:
    assert found(KNOWN, 39.9, max_model_days=30) == []
    (first,) = found(KNOWN, 40.0, max_model_days=30)
    assert (first.trigger, first.since) == (Trigger.AGE, 40 * DAY)
    assert [each.opened_by for each in found(KNOWN, 69.0, max_model_days=30)] == [first.opened_by]
    (second,) = found(KNOWN, 70.0, max_model_days=30)
    assert second.opened_by != first.opened_by


def test_a_test_set_is_stale_only_where_that_is_sure_and_once_for_each_version() -> None:
    unsure = replace(KNOWN, freshness=Freshness(0.7, 0.6, 0.82, 4, 5.0))
    assert found(unsure, 30.0, min_freshness=0.8) == []
    (sure,) = found(replace(KNOWN, freshness=Freshness(0.7, 0.6, 0.79, 4, 5.0)), 30.0, min_freshness=0.8)
    assert (sure.trigger, sure.since) == (Trigger.FRESHNESS, 5.0)
    assert sure.why == "the test set covers 70% of the traffic (60% to 79%), less than 80%"
    (topped_up,) = found(replace(KNOWN, freshness=Freshness(0.7, 0.6, 0.79, 5, 9.0)), 30.0, min_freshness=0.8)
    assert topped_up.opened_by != sure.opened_by
    lately = replace(cycle(5 * DAY), trigger=Trigger.FRESHNESS)
    again = replace(KNOWN, reference_version=4, freshness=Freshness(0.7, 0.6, 0.79, 6, 9.0), cycles=(lately,))
    assert found(again, 34.9, min_freshness=0.8) == []
    assert len(found(again, 35.1, min_freshness=0.8)) == 1


def test_a_model_is_as_old_as_the_first_reference_that_it_served_without_a_break() -> None:
    made = [
        manifest(1, 1.0, ""),
        manifest(2, 2.0, "m/2"),
        manifest(3, 3.0, ""),
        manifest(4, 4.0, "m/4"),
        manifest(5, 5.0, "m/4", active=True),
        manifest(6, 6.0, "m/6"),
    ]
    known = Known.of("chat", made, (), None)
    assert known == Known("chat", reference_version=5, built=5.0, model_version=4, model_since=4.0)
    assert Known.of("chat", made[:4], (), None) is None
