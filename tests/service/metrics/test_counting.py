"""What happens is counted, under bounded labels, from 0 on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry

from detectors import Summary
from service.alarms import Reason
from service.label_checks.events import CHECKED
from service.metrics import Metrics, Role, inventory
from service.metrics.bounded import MAX_VALUES
from service.metrics.counting import Clocked
from service.observe import Observer, Silent
from service.records import Alarm, AlarmState, Event, Pane, PaneKey, Partition, Record, Step

Values = Callable[[], Mapping[tuple[str, ...], float]]
LOG = Partition("http", "x")


def pane(monitor: str, *, last_time: float = 0.0) -> Pane:
    return Pane(PaneKey(monitor, "all", 1, LOG, 0), 0, 0.0, last_time, Summary.empty(1, 1, 1))


def test_samples_are_counted_by_monitor(metrics: Metrics, values: Values) -> None:
    metrics.received("chat", 5)
    metrics.samples("chat", 3, 1)
    metrics.samples("chat", 2, 0)
    metrics.rejected("chat", "empty")
    metrics.dead_letter("mail", "not_finite")
    metrics.dead_letter(None, "unrouted")
    metrics.unanswered("mail", "timeout", 4)
    metrics.labels("chat", {"taken": 2, "unknown": 1}, [90.0, 1e6])
    found = values()
    assert found["samples_received_total", "chat"] == 5
    assert found["samples_taken_total", "chat"] == 5
    assert found["samples_duplicate_total", "chat"] == 1
    assert found["samples_rejected_total", "chat", "empty"] == 1
    assert found["dead_letters_total", "mail", "not_finite"] == 1
    assert found["dead_letters_total", "__unknown__", "unrouted"] == 1
    assert found["samples_unanswered_total", "mail", "timeout"] == 4
    assert (found["labels_total", "chat", "taken"], found["labels_total", "chat", "outdated"]) == (2, 0)
    assert (found["label_delay_seconds_bucket", "3600.0", "chat"], found["label_delay_seconds_count", "chat"]) == (1, 2)


def test_work_is_timed_stage_by_stage(metrics: Metrics, values: Values) -> None:
    times = iter((1.0, 1.25, 2.0, 2.5))
    metrics.decoding = Clocked(lambda: next(times))
    decode = metrics.decoding(len)
    assert (decode("ab"), decode("abc")) == (2, 3)
    metrics.batch([Record(LOG, 0, 40.0, ()), Record(LOG, 1, 50.0, ())])
    metrics.embedded("chat", 32, 0.25)
    metrics.embedding_failed("mail")
    metrics.stage("fold", 0.5)
    metrics.committed([pane("chat", last_time=50.0), pane("chat", last_time=60.0), pane("mail", last_time=7.0)], 0.003)
    metrics.decided("chat", seconds=0.004, crossings=2)
    metrics.delivery("alarm.opened", "retry", 0.1)
    found = values()
    assert (found["batch_records_count",], found["batch_records_sum",], metrics.reached) == (1, 2, {LOG: 50.0})
    assert (found["samples_embedded_total", "chat"], found["embed_seconds_total", "chat"]) == (32, 0.25)
    assert (found["embed_errors_total", "mail"], found["embed_errors_total", "chat"]) == (1, 0)
    assert (found["panes_closed_total", "chat"], found["panes_closed_total", "mail"]) == (2, 1)
    assert (found["last_pane_timestamp_seconds", "chat"], found["last_pane_timestamp_seconds", "mail"]) == (60, 7)
    assert {stage: found["stage_seconds_sum", stage] for stage in inventory.STAGES} == {
        "decode": 0.75, "embed": 0, "fold": 0.5, "commit": 0.003, "decide": 0.004, "deliver": 0.1,
    }  # fmt: skip
    assert (found["crossings_total", "chat"], found["deliveries_total", "alarm.opened", "retry"]) == (2, 1)


def test_steps_of_alarms_are_counted_by_state_and_reason(metrics: Metrics, values: Values, alarm: Alarm) -> None:
    told: list[str] = []
    metrics.steps.append(lambda step: told.append(step.id))
    metrics.alarm(alarm)
    metrics.alarm(replace(alarm, state=AlarmState.RESOLVED, history=(Step("resolved", Reason.FALSE_ALARM, 6.0),)))
    found = values()
    assert found["alarm_steps_total", "chat", "drift", "open"] == 1
    assert found["alarm_steps_total", "chat", "false_alarm", "resolved"] == 1
    assert found["alarm_steps_total", "chat", "calm", "resolved"] == 0
    assert told == ["a1", "a1"]


def test_what_the_label_checks_found_is_counted(metrics: Metrics, values: Values) -> None:
    body = {
        "answers": 40, "wrong": 3.5, "asked_again": 6, "gold": {"right": 9, "wrong": 1},
        "outcomes": {"probe": {"usable": 30, "refused": 2}, "expand": {"harmful": 1}},
    }  # fmt: skip
    metrics.recorded(Event("e1", "chat", CHECKED, 0.0, "driftgate", body=body))
    metrics.recorded(Event("e2", "chat", "settings", 0.0, "driftgate"))
    found = values()
    assert [found[f"answers_{what}_total", "chat"] for what in ("checked", "doubtful", "asked_again")] == [40, 3.5, 6]
    assert (found["gold_answers_total", "chat", "right"], found["gold_answers_total", "chat", "wrong"]) == (9, 1)
    assert (found["candidates_total", "chat", "usable"], found["candidates_total", "chat", "rejected"]) == (30, 0)
    assert found["candidates_by_purpose_total", "harmful", "expand"] == 1
    assert found["candidates_by_purpose_total", "rejected", "audit"] == 0


def test_requests_are_counted_by_route_and_class_of_status(metrics: Metrics, values: Values) -> None:
    metrics.serves(["/v1/monitors/{monitor}", "/healthz"])
    metrics.requested("/v1/monitors/{monitor}", 200, 0.3)
    metrics.requested("/v1/monitors/{monitor}", 404, 0.001)
    metrics.requested("", 404, 0.001)
    found = values()
    assert found["http_requests_total", "/v1/monitors/{monitor}", "2xx"] == 1
    assert found["http_requests_total", "/v1/monitors/{monitor}", "4xx"] == 1
    assert found["http_requests_total", "/healthz", "5xx"] == 0
    assert found["http_requests_total", "__unknown__", "4xx"] == 1
    assert found["http_request_seconds_count", "/v1/monitors/{monitor}"] == 2


def test_a_replaced_embedder_leaves_no_series_behind(metrics: Metrics, values: Values) -> None:
    metrics.embedder("chat", "aaaaaaaaaaaaaaaaaaaa")
    metrics.embedder("chat", "bbbbbbbbbbbbbbbbbbbb")
    assert [key for key in values() if key[0] == "embedder_info"] == [("embedder_info", "b" * 12, "chat")]
    assert values()["build_info", "1.2.3"] == 1


def test_labels_are_bounded(metrics: Metrics, values: Values) -> None:
    before = len(values())
    for n in range(500):
        metrics.rejected(f"nobody-{n}", f"reason {n}")
        metrics.delivery(f"kind {n}", "delivered")
        metrics.embedded(f"nobody-{n}", 1, 0.0)
        metrics.requested(f"/path/{n}", 200, 0.0)
    found = values()
    reasons = [key for key in found if key[:2] == ("samples_rejected_total", "__unknown__")]
    assert len(reasons) == MAX_VALUES + 1
    assert found["samples_rejected_total", "__unknown__", "__other__"] == 500 - MAX_VALUES
    assert found["label_overflow_total", "reason"] == 500 - MAX_VALUES
    assert len(found) < before + 2_200


def test_series_end_with_their_monitor_and_begin_with_it(metrics: Metrics, values: Values) -> None:
    metrics.received("mail", 5)
    metrics.embedder("mail", "a" * 20)
    metrics.committed([pane("mail")], 0.1)
    metrics.silent("mail", 3.0)
    metrics.watch(["chat", "new"], joining=["new"])
    found = values()
    assert not [key for key in found if "mail" in key]
    assert found["samples_received_total", "new"] == 0
    assert found["samples_unanswered_total", "new", "timeout"] == 0
    assert ("samples_unanswered_total", "chat", "timeout") not in found
    metrics.watch(["chat", "new"], joining=["chat"])
    assert values()["samples_unanswered_total", "chat", "full"] == 0


@pytest.mark.parametrize(("role", "has"), [(Role.API, "received"), (Role.WORKER, "taken"), (Role.ALL, "taken")])
def test_a_process_shows_its_roles_metrics_alone(registry: CollectorRegistry, values: Values, role: Role, has: str) -> None:
    metrics = Metrics(registry, ["chat"], version="1", role=role)
    metrics.received("chat", 1)
    metrics.samples("chat", 1, 0)
    metrics.silent("chat", 1.0)
    metrics.shows(inventory.LEADS, lambda: {(): 1.0})
    found = values()
    assert found[f"samples_{has}_total", "chat"] == 1
    assert (("samples_received_total", "chat") in found) is (Role.API in role)
    assert (("leader",) in found) is (("monitor_silent_seconds", "chat") in found) is (role is Role.ALL)


@pytest.mark.parametrize("observer", [Silent(), Metrics(CollectorRegistry(), ["chat"], version="0")])
def test_observers_take_whatever_the_roles_tell(observer: Observer, alarm: Alarm) -> None:
    observer.received("chat", 1)
    observer.rejected("chat", "json")
    observer.batch([Record(LOG, 0, 40.0, ())])
    observer.stage("embed", 0.1)
    observer.samples("chat", 1, 0)
    observer.dead_letter(None, "unrouted")
    observer.embedded("chat", 1, 0.1)
    observer.embedding_failed("chat")
    observer.unanswered("chat", "timeout", 1)
    observer.committed([pane("chat")], 0.1)
    observer.decided("chat", seconds=0.1)
    observer.alarm(alarm)
    observer.silent("chat", 1.0)
    observer.labels("chat", {"taken": 1}, [1.0])
    observer.delivery("alarm.opened", "dead")
    observer.stored("read", 0.1, failed=True)
    observer.recorded(Event("e", "chat", "settings", 0.0, "driftgate"))
