"""What Prometheus is told: the right figures, under bounded labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from detectors import Summary
from service.adapters.sqlite import SqliteStore
from service.metrics import MAX_REASONS, MAX_SEGMENTS, Bounded, Metrics, StoreFigures, exposition
from service.observe import Observer, Reading, Silent
from service.records import (
    Alarm,
    AlarmState,
    CycleState,
    Family,
    Measured,
    OutboxItem,
    Pane,
    PaneKey,
    Partition,
    RefreshCycle,
    Severity,
)

ALARM = Alarm(
    id="a1", monitor="chat", segment="all", family=Family.INPUT, reference_version=1, kind="new content", severity=Severity.WARNING,
    state=AlarmState.OPEN, at_sample=1, at_sequence=1, opened=5.0, window_samples=1, window_start=0.0, effect=Measured(0.1, 0.0, 0.2),
    novel_share=Measured(0.1, 0.0, 0.2), channel="features", version=1,
)  # fmt: skip

Values = Callable[[], dict[tuple[str, ...], float]]


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> Metrics:
    return Metrics(registry, ["chat", "mail"], version="1.2.3")


@pytest.fixture
def values(registry: CollectorRegistry) -> Values:
    """Scrapes: (name, label values in order of label name) → value."""

    def scrape() -> dict[tuple[str, ...], float]:
        text = exposition(registry, "")[0].decode()
        samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
        return {(s.name.removeprefix("driftgate_"), *(s.labels[name] for name in sorted(s.labels))): s.value for s in samples}

    return scrape


@pytest.fixture
def store() -> Iterator[SqliteStore]:
    opened = SqliteStore(":memory:")
    yield opened
    opened.close()


def pane(monitor: str, *, last_time: float = 0.0) -> Pane:
    key = PaneKey(monitor, "all", 1, Partition("http", "x"), 0)
    return Pane(key, 0, 0.0, last_time, Summary.empty(1, 1, 1))


def test_samples_are_counted_by_monitor(metrics: Metrics, values: Values) -> None:
    metrics.received("chat", 5)
    metrics.samples("chat", 3, 1)
    metrics.samples("chat", 2, 0)
    metrics.rejected("chat", "empty")
    metrics.dead_letter("mail", "not_finite")
    metrics.dead_letter(None, "unrouted")
    metrics.unanswered("mail", "timeout", 4)
    found = values()
    assert found["samples_received_total", "chat"] == 5
    assert found["samples_taken_total", "chat"] == 5
    assert found["samples_duplicate_total", "chat"] == 1
    assert found["samples_rejected_total", "chat", "empty"] == 1
    assert found["dead_letters_total", "mail", "not_finite"] == 1
    assert found["dead_letters_total", "__unknown__", "unrouted"] == 1
    assert found["samples_unanswered_total", "mail", "timeout"] == 4


def test_work_is_timed(metrics: Metrics, values: Values) -> None:
    metrics.embedded("chat", 32, 0.25)
    metrics.committed([pane("chat", last_time=50.0), pane("chat", last_time=60.0), pane("mail", last_time=7.0)], 0.003)
    metrics.decided("chat", time=60.0, seconds=0.004)
    found = values()
    assert (found["samples_embedded_total", "chat"], found["embed_seconds_sum", "chat"]) == (32, 0.25)
    assert (found["panes_closed_total", "chat"], found["panes_closed_total", "mail"]) == (2, 1)
    assert (found["last_pane_timestamp_seconds", "chat"], found["last_pane_timestamp_seconds", "mail"]) == (60, 7)
    assert (found["commit_seconds_count",], found["decision_seconds_count",]) == (1, 1)
    assert found["last_decision_timestamp_seconds", "chat"] == 60


def test_readings_are_shown_with_their_interval(metrics: Metrics, values: Values) -> None:
    reading = Reading(7.5, 9.0, Measured(0.12, 0.08, 0.17), Measured(0.1, 0.05, 0.2), accuracy=Measured(0.91, 0.88, 0.93))
    metrics.decided("chat", time=1.0, seconds=0.1, readings=[reading])
    metrics.decided("chat", time=2.0, seconds=0.1, readings=[replace(reading, evidence=9.5, crossed=True)])
    metrics.decided("chat", time=3.0, seconds=0.1, readings=[replace(reading, evidence=4.0, segment="locale=en")])
    found = values()
    assert (found["evidence", "input", "chat", "all"], found["evidence_threshold", "input", "chat", "all"]) == (9.5, 9.0)
    assert found["evidence", "input", "chat", "locale=en"] == 4.0
    assert [found[f"effect{part}_ratio", "input", "chat"] for part in ("", "_low", "_high")] == [0.12, 0.08, 0.17]
    assert found["novel_share_ratio", "input", "chat"] == 0.1
    assert [found[f"accuracy_estimate{part}_ratio", "chat"] for part in ("", "_low", "_high")] == [0.91, 0.88, 0.93]
    assert found["crossings_total", "chat"] == 1


def test_alarms_and_deliveries_are_counted_by_what_became_of_them(metrics: Metrics, values: Values) -> None:
    metrics.alarm(ALARM)
    metrics.alarm(replace(ALARM, state=AlarmState.RESOLVED))
    metrics.delivery("alarm.opened", "retry")
    found = values()
    assert (found["alarm_steps_total", "chat", "open"], found["alarm_steps_total", "chat", "resolved"]) == (1, 1)
    assert found["deliveries_total", "alarm.opened", "retry"] == 1


def test_a_replaced_embedder_leaves_no_series_behind(metrics: Metrics, values: Values) -> None:
    metrics.embedder("chat", "aaaaaaaaaaaaaaaaaaaa")
    metrics.embedder("chat", "bbbbbbbbbbbbbbbbbbbb")
    found = [key for key in values() if key[0] == "embedder_info"]
    assert found == [("embedder_info", "b" * 12, "chat")]
    assert values()["build_info", "1.2.3"] == 1


def test_labels_are_bounded(metrics: Metrics, values: Values) -> None:
    for n in range(500):
        metrics.rejected(f"nobody-{n}", f"reason {n}")
        metrics.delivery(f"kind {n}", "delivered")
        metrics.decided("chat", time=0.0, seconds=0.0, readings=[Reading(1.0, 2.0, segment=f"customer={n}")])
        metrics.embedded(f"nobody-{n}", 1, 0.0)
    found = values()
    reasons = [key for key in found if key[0] == "samples_rejected_total"]
    assert len(reasons) == MAX_REASONS + 1
    assert {key[1] for key in reasons} == {"__unknown__"}
    assert found["samples_rejected_total", "__unknown__", "__other__"] == 500 - MAX_REASONS
    assert len([key for key in found if key[0] == "evidence"]) == MAX_SEGMENTS
    assert found["label_overflow_total", "segment"] == 500 - MAX_SEGMENTS
    assert len(found) < 300


def test_a_busy_monitor_has_fewer_than_a_hundred_series(
    metrics: Metrics, store: SqliteStore, registry: CollectorRegistry, values: Values
) -> None:
    registry.register(StoreFigures(store, lambda: ["chat", "mail"], clock=lambda: 0.0, backlog=lambda: (0, 0)))
    measured = Measured(0.1, 0.0, 0.2)
    metrics.received("chat", 1)
    metrics.samples("chat", 1, 1)
    for reason in ("json", "payload", "empty", "dimension", "not_finite", "time_future"):
        metrics.rejected("chat", reason)
        metrics.dead_letter("chat", reason)
    metrics.embedded("chat", 1, 0.1)
    metrics.committed([pane("chat")], 0.1)
    metrics.embedder("chat", "f" * 20)
    for state in AlarmState:
        metrics.alarm(replace(ALARM, state=state))
    segments = ["all", *(f"locale={n}" for n in range(200))]
    for family in Family:
        metrics.decided(
            "chat", time=0.0, seconds=0.0, readings=[Reading(1.0, 2.0, measured, measured, s, family, crossed=True) for s in segments]
        )
    assert len([key for key in values() if "chat" in key]) < 100


def test_a_stream_whose_channel_changes_leaves_no_figures_of_the_other_family(metrics: Metrics, values: Values) -> None:
    for family in Family:
        metrics.decided("chat", time=0.0, seconds=0.0, readings=[Reading(1.0, 2.0, Measured(0.3, 0.2, 0.4), None, "all", family)])
    shown = [key for key in values() if "chat" in key and key[0] in {"evidence", "effect_low_ratio"}]
    assert len(shown) == 2
    assert all(list(Family)[-1].value in key for key in shown)


def test_no_created_series_in_any_format(metrics: Metrics, registry: CollectorRegistry) -> None:
    metrics.received("chat", 1)
    for accept in ("", "application/openmetrics-text; version=1.0.0"):
        assert b"_created" not in exposition(registry, accept)[0]
        assert b"driftgate_samples_received_total" in exposition(registry, accept)[0]


def test_every_name_has_the_prefix_and_a_help_text(registry: CollectorRegistry, metrics: Metrics, store: SqliteStore) -> None:
    registry.register(StoreFigures(store, lambda: ["chat"], clock=lambda: 0.0, backlog=lambda: (0, 0)))
    families = list(text_string_to_metric_families(exposition(registry, "")[0].decode()))
    assert len(families) > 25
    assert [family.name for family in families if not family.name.startswith("driftgate_") or not family.documentation] == []


def test_the_store_s_figures_are_read_at_each_scrape(store: SqliteStore, registry: CollectorRegistry, values: Values) -> None:
    registry.register(StoreFigures(store, lambda: ["chat", "mail"], clock=lambda: 100.0, backlog=lambda: (512, 3)))
    before = values()
    assert (before["ingest_backlog_bytes",], before["ingest_backlog_entries",]) == (512, 3)
    assert (before["alarms", "chat", "open"], before["outbox_oldest_age_seconds", "pending"]) == (0, 0)
    cycle = RefreshCycle("c1", "mail", 1, "request", 1, CycleState.TRAINING, 5.0, version=1)
    items = [OutboxItem(f"o{n}", "alarm.opened", "ops", {}, created) for n, created in enumerate((40.0, 70.0, 99.0))]
    store.save(ALARM, replace(ALARM, id="a2", state=AlarmState.ACKNOWLEDGED), cycle, outbox=items)
    store.settle(replace(items[0], state="dead"))
    after = values()
    assert (after["alarms", "chat", "open"], after["alarms", "chat", "acknowledged"], after["alarms", "mail", "open"]) == (1, 1, 0)
    assert (after["refresh_cycles", "mail", "training"], after["refresh_cycles", "mail", "promoted"]) == (1, 0)
    assert (after["outbox_items", "pending"], after["outbox_items", "dead"]) == (2, 1)
    assert (after["outbox_oldest_age_seconds", "pending"], after["outbox_oldest_age_seconds", "dead"]) == (30, 60)


def test_bounded_labels_keep_those_that_came_first() -> None:
    bounded = Bounded(2)
    assert [bounded.label(value) for value in ("a", "b", "c", "a", "c")] == ["a", "b", "__other__", "a", "__other__"]


@pytest.mark.parametrize("observer", [Silent(), Metrics(CollectorRegistry(), ["chat"], version="0")])
def test_observers_take_whatever_the_roles_tell(observer: Observer) -> None:
    closed: Sequence[Pane] = [pane("chat")]
    observer.received("chat", 1)
    observer.rejected("chat", "json")
    observer.samples("chat", 1, 0)
    observer.dead_letter(None, "unrouted")
    observer.embedded("chat", 1, 0.1)
    observer.unanswered("chat", "timeout", 1)
    observer.committed(closed, 0.1)
    observer.decided("chat", time=0.0, seconds=0.1, readings=[Reading(np.float64(1.0), 2.0)])
    observer.alarm(ALARM)
    observer.delivery("alarm.opened", "dead")
