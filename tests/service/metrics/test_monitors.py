"""Figures of monitors are those of their last decisions, read again only where something was decided."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from service.adapters.sqlite import SqliteStore
from service.declarations import Declared
from service.metrics import inventory
from service.metrics.monitors import DECLARED, MAX_SEGMENTS, Statuses, told
from service.records import Decision
from service.settings import BudgetSettings, MonitorSettings

BUDGET = BudgetSettings(alarms=1.0, days=10.0)
MEASURED = {"estimate": 0.12, "low": 0.08, "high": 0.17}
NAN = {"estimate": None, "low": None, "high": None}


def stream(segment: str = "all", **changes: Any) -> dict[str, Any]:
    return {
        "segment": segment, "family": "input", "regime": "active", "traffic_per_second": 2.0, "run_length": 1_728_000.0, "evidence": 7.5,
        "threshold": 9.0, "effect": MEASURED, "novel_share": MEASURED, "accuracy": None, **changes,
    }  # fmt: skip


def status(*streams: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    feed = {"lost_share": 0.34, "blind": True}
    return {"reference_version": 1, "last_time": 60.0, "feed": feed, "truth": None, "streams": list(streams or [stream()]), **changes}


def shown(document: Mapping[str, Any], *, now: float = 0.0) -> Mapping[tuple[str, ...], float]:
    points = list(told("chat", document, now=now, per_second=BUDGET.per_second))
    assert {declaration for declaration, _, _ in points} <= set(DECLARED)
    return {(declaration.name.removeprefix("driftgate_"), *labels): value for declaration, labels, value in points}


def test_a_status_is_told_with_its_intervals() -> None:
    found = shown(status(stream(accuracy={"window": {"estimate": 0.91, "low": 0.88, "high": 0.93}}), truth={"error_rate": MEASURED}))
    assert (found["evidence", "chat", "all", "input"], found["evidence_threshold", "chat", "all", "input"]) == (7.5, 9.0)
    assert [found[f"effect{part}_ratio", "chat", "input"] for part in ("", "_low", "_high")] == [0.12, 0.08, 0.17]
    assert [found[f"accuracy_estimate{part}_ratio", "chat"] for part in ("", "_low", "_high")] == [0.91, 0.88, 0.93]
    assert [found[f"error_rate{part}_ratio", "chat"] for part in ("", "_low", "_high")] == [0.12, 0.08, 0.17]
    assert (found["novel_share_ratio", "chat"], found["input_loss_ratio", "chat"], found["monitor_blind", "chat"]) == (0.12, 0.34, 1)
    assert found["last_decision_timestamp_seconds", "chat"] == 60
    assert found["alarm_budget_reserved_ratio", "chat"] == pytest.approx(1.0)  # an alarm in ten days


def test_what_is_not_known_has_no_series() -> None:
    found = shown(status(stream(effect=NAN, novel_share=None, traffic_per_second=None)))
    assert not [key for key in found if key[0].startswith(("effect", "novel", "accuracy", "error", "alarm_budget"))]


@pytest.mark.parametrize(("until", "paused"), [(None, 0), (50.0, 0), (150.0, 1)])
def test_maintenance_is_over_when_its_time_is(until: float | None, paused: int) -> None:
    assert shown(status(maintenance={"until": until}), now=100.0)["maintenance", "chat"] == paused


class Watched:
    """A store of one monitor, and how often it is asked."""

    def __init__(self, store: SqliteStore) -> None:
        self.term = 1
        self.asked: list[str] = []
        self.overflow = 0
        self.declared = {"chat": Declared(MonitorSettings.model_validate({"name": "chat", "embedder": {"model": "m.onnx"}}), "file", 1)}
        self._store = store
        self.statuses = Statuses(
            self, lambda: self.declared, lambda: BUDGET, term=lambda: self.term, clock=lambda: 0.0, overflow=self._left_out  # type: ignore[arg-type]  # the one method that is asked
        )  # fmt: skip

    def _left_out(self, segments: int) -> None:
        self.overflow += segments

    def status(self, monitor: str) -> Mapping[str, Any]:
        self.asked.append(monitor)
        return self._store.status(monitor)

    def decide(self, document: Mapping[str, Any], *, tell: bool = True) -> None:
        before = self._store.decided("chat")[0]
        self._store.decide(Decision("chat", before, before, state=msgspec.json.encode(document)))
        if tell:
            self.statuses.decided("chat")

    def evidence(self) -> Mapping[tuple[str, ...], float]:
        return {labels: value for declaration, labels, value in self.statuses.points() if declaration is inventory.EVIDENCE}


def test_only_what_was_decided_is_read_again(store: SqliteStore) -> None:
    watched = Watched(store)
    assert watched.evidence() == {}
    watched.decide(status())
    assert watched.evidence() == {("chat", "all", "input"): 7.5}
    assert watched.evidence() != {}
    assert len(watched.asked) == 2
    watched.decide(status(stream(evidence=8.0)), tell=False)
    assert watched.evidence() == {("chat", "all", "input"): 7.5}
    watched.term = 2
    assert watched.evidence() == {("chat", "all", "input"): 8.0}, "another has decided meanwhile"
    watched.decide(status(stream(family="output", evidence=1.0)))
    assert watched.evidence() == {("chat", "all", "output"): 1.0}, "the former family's figures are gone"


def test_figures_under_another_reference_are_none_of_today(store: SqliteStore) -> None:
    watched = Watched(store)
    watched.decide(status(reference_version=2))
    assert watched.evidence() == {}
    watched.declared = {}
    assert watched.evidence() == {}


def test_beyond_the_cap_segments_have_no_series(store: SqliteStore) -> None:
    watched = Watched(store)
    segments = [stream(f"locale={n}") for n in range(MAX_SEGMENTS)]
    watched.decide(status(stream(), *segments))
    assert len(watched.evidence()) == MAX_SEGMENTS + 1
    watched.decide(status(stream(), *segments, stream("locale=more")))
    assert watched.evidence().keys() == {("chat", "all", "input")}
    watched.decide(status(stream(), *segments, stream("locale=more")))
    watched.evidence()
    assert watched.overflow == MAX_SEGMENTS + 1
