"""What a team may take."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from service.access.quotas import LabelMoney, Meter, PayloadRoom, require_room, uses
from service.adapters.sqlite import SqliteStore
from service.annotation.pricing import waits_for
from service.errors import BacklogFullError, ConfigurationError, ConflictError
from service.ports import Store
from service.records import AnnotationBatch, BatchState, Candidate, Step
from service.settings import AnnotationSettings, MonitorSettings, Settings, parse

NOW = 1_000_000.0 * 10


def settings(quotas: dict[str, Any], *monitors: str) -> Settings:
    declared = [{"name": name, "team": "payments", "embedder": {"model": "m.onnx", "input": "none", "dimension": 3}} for name in monitors]
    return parse({"teams": [{"name": "payments", "quotas": quotas}], "monitors": declared}, base=Path("/nowhere"))


def test_a_file_declares_no_more_monitors_than_the_team_may_have() -> None:
    assert len(settings({"monitors": 2}, "a", "b").monitors) == 2
    with pytest.raises(ConfigurationError, match=r"team payments: 3 monitors are declared and quotas\.monitors allows 2: a, b, c"):
        settings({"monitors": 2}, "a", "b", "c")


def test_nor_does_the_api() -> None:
    known, more = settings({"monitors": 2}, "a", "b"), settings({}, "c")
    with pytest.raises(ConflictError, match=r"may have 2 monitors.*raise the quota"):
        require_room(known, more.monitors[0])
    require_room(known, known.monitors[1])
    require_room(settings({"monitors": 2}, "a"), more.monitors[0])
    require_room(known, more.monitors[0].model_copy(update={"team": None}))


def test_samples_of_a_team_are_metered_over_all_its_monitors() -> None:
    meter = Meter(lambda: FOUND)
    meter.take({"a": 60}, 0.0)
    meter.take({"b": 40}, 0.0)
    with pytest.raises(BacklogFullError, match="team payments may send 10 samples a second") as caught:
        meter.take({"a": 1}, 0.0)
    assert caught.value.retry_after == pytest.approx(0.1)
    meter.take({"loose": 10_000}, 0.0)
    meter.take({"a": 10}, 1.0)
    assert meter.rate("payments", 1.0) == pytest.approx(10.0)


FOUND = settings({"samples_per_second": 10}, "a", "b")


def batch(id: str, state: BatchState, count: int, created: float) -> AnnotationBatch:
    items = tuple(Candidate(f"{id}-{number}", "", 0.0, "all") for number in range(count))
    return AnnotationBatch(id, "a", "", 1, state, items, created, 0, (Step(state, "made", created),), 1)


def test_labels_cost_no_more_than_the_team_has_left(store: SqliteStore) -> None:
    found = settings({"label_cost": 10.0}, "a", "b")
    paying = found.model_copy(update={"monitors": tuple(map(priced, found.monitors))})
    store.save(batch("old", BatchState.SENT, 12, NOW - 31 * 86_400.0), batch("sent", BatchState.SENT, 12, NOW - 86_400.0))
    store.save(batch("dear", BatchState.PROPOSED, 9, NOW), batch("cheap", BatchState.PROPOSED, 8, NOW))
    money = LabelMoney(store, lambda: paying, clock=lambda: NOW)
    money.require(store.get(AnnotationBatch, "cheap"))
    with pytest.raises(ConflictError, match=r"costs 4\.50, and team payments has 4\.00 left.*label_cost"):
        money.require(store.get(AnnotationBatch, "dear"))
    assert money.within(paying.monitors[1]).annotation.automatic_cost == 4.0
    assert waits_for(store.get(AnnotationBatch, "dear"), sent_to(money.within(paying.monitors[0]).annotation)) != ""
    assert waits_for(store.get(AnnotationBatch, "cheap"), sent_to(money.within(paying.monitors[0]).annotation)) == ""
    loose = paying.monitors[0].model_copy(update={"team": None})
    assert money.within(loose) is loose
    used = {use.quota: (use.used, use.limit) for use in uses(paying, paying.teams[0], store, 3.0, now=NOW)}
    assert used == {
        "monitors": (2, None),
        "samples_per_second": (3.0, None),
        "blob_bytes": (0, None),
        "label_cost": (6.0, 10.0),
    }


def priced(monitor: MonitorSettings) -> MonitorSettings:
    return monitor.model_copy(update={"annotation": monitor.annotation.model_copy(update={"price": 0.5})})


def sent_to(annotation: AnnotationSettings) -> AnnotationSettings:
    return annotation.model_copy(update={"destination": "annotators"})


class Kept:
    """A store of payloads."""

    def __init__(self) -> None:
        self.held = {"a": 600, "b": 300}
        self.asked = 0

    def pool_bytes(self, monitor: str) -> int:
        self.asked += 1
        return self.held[monitor]


def test_payloads_of_a_team_have_so_much_room() -> None:
    kept, now = Kept(), [NOW]
    found = settings({"blob_bytes": 1_000}, "a", "b")
    room = PayloadRoom(cast("Store", kept), lambda: found, clock=lambda: now[0])
    assert [room.takes("a", 10) for _ in range(5)] == [True] * 5
    assert kept.asked == 2
    kept.held = {"a": 700, "b": 300}
    assert room.takes("b", 10)
    now[0] += 60
    assert not room.takes("b", 10)
    assert not room.takes("a", 5)
    assert room.takes("loose", 5)
    assert room.left_out == 15


def test_a_quota_that_changes_holds_at_once() -> None:
    now = [FOUND]
    meter = Meter(lambda: now[0])
    meter.take({"a": 100}, 0.0)
    now[0] = settings({"samples_per_second": 1_000}, "a", "b")
    meter.take({"a": 100}, 0.0)
    now[0] = settings({}, "a", "b")
    meter.take({"a": 100_000}, 0.0)
    assert meter.rate("payments", 0.0) >= 0
