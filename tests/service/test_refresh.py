"""The refresh cycle: one id per trigger, every step written with what leaves because of it, no step out of order."""

import json
from dataclasses import replace
from typing import Any

import pytest

from service import annotation, refresh
from service.adapters.sqlite.store import SqliteStore
from service.annotation import sending
from service.errors import ConflictError, InputError
from service.records import (
    Alarm,
    AlarmState,
    AnnotationBatch,
    BatchState,
    Candidate,
    CycleState,
    Family,
    Label,
    Measured,
    RefreshCycle,
    RefreshSlot,
    Severity,
)
from service.refresh import Opening
from service.refresh_events import Terms, event
from service.settings import MonitorSettings, RefreshSettings

OPENING = Opening("chat", 2, "alarm-7")
CANDIDATES = [Candidate(f"s{i}", "new content", 0.2, "all", text=f"secret text {i}") for i in range(3)]


def settings(**annotating: Any) -> MonitorSettings:
    document = {"name": "chat", "embedder": {"model": "m.onnx"}, "annotation": annotating, "refresh": {"destination": "jobs"}}
    return MonitorSettings.model_validate(document)


AUTOMATIC = settings(destination="vendor", price=0.1)


def alarm(**changes: Any) -> Alarm:
    fields: dict[str, Any] = {
        "id": "alarm-7",
        "monitor": "chat",
        "segment": "all",
        "family": Family.INPUT,
        "reference_version": 2,
        "kind": "new content",
        "severity": Severity.WARNING,
        "state": AlarmState.OPEN,
        "at_sample": 500,
        "at_sequence": 20,
        "opened": 50.0,
        "window_samples": 160,
        "window_start": 40.0,
        "effect": Measured(0.2, 0.1, 0.3),
        "novel_share": Measured(0.2, 0.1, 0.3),
        "channel": "novelty",
    }
    return Alarm(**{**fields, **changes})


def started(monitor: MonitorSettings = AUTOMATIC) -> tuple[SqliteStore, RefreshCycle]:
    store = SqliteStore(":memory:")
    return store, refresh.start(store, OPENING, CANDIDATES, monitor, now=60.0)


def answer(store: SqliteStore, cycle: RefreshCycle) -> None:
    answers = [("s0", "billing"), ("s1", "billing"), ("s2", None)]
    labels = [Label("chat", cycle.batch, sample, label, 70.0, "ana", unusable=label is None) for sample, label in answers]
    annotation.take_back(store, labels, quota=1.0, now=71.0)


def test_the_same_trigger_opens_one_cycle_with_one_batch_and_one_item() -> None:
    store, cycle = started()
    assert refresh.start(store, OPENING, CANDIDATES[:1], AUTOMATIC, now=99.0) == cycle
    assert [each.id for each in store.find(RefreshCycle)] == [OPENING.cycle]
    batch = store.get(AnnotationBatch, cycle.batch)
    assert (batch.state, batch.version, batch.cycle, len(batch.items)) == (BatchState.SENT, 1, cycle.id, 3)
    assert [item.kind for item in store.outbox()] == ["annotation.batch"]


def test_ids_depend_on_monitor_reference_opener_and_attempt() -> None:
    others = [Opening("mail", 2, "alarm-7"), Opening("chat", 3, "alarm-7"), Opening("chat", 2, "x"), Opening("chat", 2, "alarm-7", 2)]
    assert len({OPENING.cycle, *(other.cycle for other in others)}) == 5
    assert Opening("chat", 2, "alarm-7").cycle == OPENING.cycle


@pytest.mark.parametrize("monitor", [settings(), settings(destination="vendor", approval="operator")])
def test_without_destination_or_approval_the_batch_waits(monitor: MonitorSettings) -> None:
    store, cycle = started(monitor)
    assert store.get(AnnotationBatch, cycle.batch).state is BatchState.PROPOSED
    assert not store.outbox()


def test_a_person_approves_and_the_batch_leaves() -> None:
    store, cycle = started(settings(destination="vendor", approval="operator"))
    batch = sending.approve(store, cycle.batch, AUTOMATIC.annotation, actor="ana", now=65.0)
    assert (batch.state, batch.version) == (BatchState.SENT, 2)
    assert [step.actor for step in batch.history] == ["driftgate", "ana", "driftgate"]
    assert len(store.outbox()) == 1
    with pytest.raises(ConflictError):
        sending.approve(store, cycle.batch, AUTOMATIC.annotation, actor="ana", now=66.0)
    assert len(store.outbox()) == 1


def test_a_batch_that_can_go_nowhere_is_not_approved() -> None:
    store, cycle = started(settings())
    with pytest.raises(ConflictError, match=r"annotation.destination is not set"):
        sending.approve(store, cycle.batch, settings().annotation, actor="ana", now=65.0)
    assert store.get(AnnotationBatch, cycle.batch).state is BatchState.PROPOSED


def test_nothing_to_label_opens_nothing() -> None:
    store = SqliteStore(":memory:")
    with pytest.raises(InputError, match="nothing to label"):
        refresh.start(store, OPENING, [], AUTOMATIC, now=1.0)
    assert not store.find(RefreshCycle)


def test_the_request_names_data_sets_and_counts_but_no_text() -> None:
    store, cycle = started()
    with pytest.raises(ConflictError, match="0 of 3 answered"):
        refresh.request_training(store, cycle.id, [], AUTOMATIC.refresh, now=70.0)
    answer(store, cycle)
    cited = [{"role": "train", "version": 4, "rows": 900}]
    training = refresh.request_training(store, cycle.id, cited, AUTOMATIC.refresh, now=80.0, terms=Terms(left_out=1))
    assert training.state is CycleState.TRAINING
    assert refresh.request_training(store, cycle.id, [], AUTOMATIC.refresh, now=99.0) == training
    (item,) = [item for item in store.outbox() if item.kind == "refresh.requested"]
    assert (item.destination, item.payload["type"], item.payload["id"]) == ("jobs", "io.driftgate.refresh.requested", cycle.id)
    content = item.payload["data"]
    assert (content["labels"], content["unusable"], content["left_out"], content["data_sets"]) == ({"billing": 2}, 1, 1, cited)
    assert training.history[-1].note.startswith("1 of them are not trained on")
    assert "secret text" not in json.dumps(item.payload)
    (again,) = event(training, "refresh.requested", training.requested or {}, ["jobs"], now=80.0)
    assert (again.id, again.payload) == (item.id, item.payload)


def test_without_anybody_to_ask_training_is_done_by_hand() -> None:
    store, cycle = started()
    answer(store, cycle)
    refresh.request_training(store, cycle.id, [], RefreshSettings.model_validate({}), now=80.0)
    assert all(item.kind != "refresh.requested" for item in store.outbox())


def test_an_ended_cycle_can_not_be_cancelled() -> None:
    store, cycle = started()
    refresh.cancel(store, cycle.id, actor="ana", now=92.0)
    with pytest.raises(ConflictError, match="it has ended"):
        refresh.cancel(store, cycle.id, actor="ana", now=93.0)


def test_cancelling_ends_the_batch_too() -> None:
    store, cycle = started()
    assert refresh.cancel(store, cycle.id, actor="ana", now=70.0, note="wrong week").state is CycleState.CANCELLED
    assert store.get(AnnotationBatch, cycle.batch).state is BatchState.CANCELLED
    assert store.get(RefreshCycle, cycle.id).history[-1].note == "wrong week"


def test_an_alarm_opens_a_cycle_on_the_whole_stream_when_none_runs() -> None:
    allowed = RefreshSettings.model_validate({})
    running = refresh.opened(OPENING, now=1.0)
    assert refresh.wanted(alarm(), allowed, [], now=2.0)
    assert not refresh.wanted(alarm(), allowed, [running], now=2.0)
    assert not refresh.wanted(alarm(segment="locale=de"), allowed, [], now=2.0)
    assert not refresh.wanted(alarm(family=Family.CONCEPT), allowed, [], now=2.0)
    assert not refresh.wanted(alarm(state=AlarmState.RESOLVED), allowed, [], now=2.0)
    assert not refresh.wanted(alarm(), RefreshSettings.model_validate({"automatic": False}), [], now=2.0)


def test_a_request_goes_to_each_destination_once_and_says_the_same() -> None:
    assert RefreshSettings.model_validate({"destination": "jobs"}).destinations == ("jobs",)
    several = RefreshSettings.model_validate({"destination": ["jobs", "topic", "jobs"]})
    store, cycle = started()
    answer(store, cycle)
    refresh.request_training(store, cycle.id, [], several, now=80.0, terms=Terms(rows_url="https://d/x", rows_until=90.0, deadline=100.0))
    items = [item for item in store.outbox() if item.kind == "refresh.requested"]
    assert sorted(item.destination for item in items) == ["jobs", "topic"]
    assert len({item.id for item in items}) == 2
    assert items[0].payload == items[1].payload
    assert items[0].payload["data"]["data"] == {"url": "https://d/x", "until": "1970-01-01T00:01:30Z"}
    assert items[0].payload["data"]["deadline"] == "1970-01-01T00:01:40Z"
    assert items[0].payload["data"]["return"] is None


def test_after_a_cycle_alarms_wait_for_a_while_and_people_do_not() -> None:
    store, cycle = started()
    over = refresh.cancel(store, cycle.id, actor="ana", now=1_000.0)
    resting = RefreshSettings.model_validate({"cool_down_hours": 2})
    other = replace(alarm(), id="another")
    assert not refresh.wanted(other, resting, [over], now=8_199.0)
    assert refresh.wanted(other, resting, [over], now=8_200.0)
    assert refresh.start(store, replace(OPENING, opened_by="ana"), CANDIDATES, AUTOMATIC, now=1_001.0).state is CycleState.ANNOTATING


def test_one_cycle_is_open_at_a_time_whoever_is_faster() -> None:
    store, cycle = started()
    other = replace(OPENING, opened_by="request")
    with pytest.raises(ConflictError, match=f"refresh cycle {cycle.id} is annotating, and only one is open at a time"):
        refresh.start(store, other, CANDIDATES, AUTOMATIC, now=2.0)
    refresh.cancel(store, cycle.id, actor="ana", now=3.0)
    slower = refresh.taken(store, "chat", by="slower", now=4.0)
    refresh.start(store, other, CANDIDATES, AUTOMATIC, now=4.0)
    with pytest.raises(ConflictError, match="refresh slot chat: version 2 is stored"):
        store.save(slower)
    assert store.get(RefreshSlot, "chat").cycle == other.cycle
