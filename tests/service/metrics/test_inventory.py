"""Every metric is declared once and as Prometheus' conventions have it, and nothing is shown that is not declared."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from service.alarms import Reason
from service.metrics import Metrics, exposition, inventory
from service.metrics.declared import Declaration, Kind, Role, counter
from service.metrics.monitors import told

LABELS = frozenset(
    {
        *(
            "monitor",
            "segment",
            "family",
            "team",
            "kind",
            "stage",
            "state",
            "severity",
            "outcome",
            "reason",
            "purpose",
            "trigger",
            "finding",
        ),
        *("place", "quota"),
        *("operation", "topic", "destination", "route", "status", "loop", "label", "version", "fingerprint", "model_version"),
        *("reference_version", "url", "path"),
    }
)
"""What series are told apart by. None is an id, nor grows with the traffic."""

MEASURED = {"estimate": 0.1, "low": 0.0, "high": 0.2}


@pytest.mark.parametrize("metric", inventory.EVERY.values(), ids=lambda metric: metric.name)
def test_names_are_as_prometheus_has_them(metric: Declaration) -> None:
    assert metric.name.startswith("driftgate_")
    assert metric.name.endswith("_total") is (metric.kind is Kind.COUNTER)
    assert not metric.name.endswith(("_count", "_sum", "_bucket", "_milliseconds", "_percent"))
    assert not {"microseconds", "minutes", "hours", "days", "kilobytes"} & set(metric.name.split("_"))
    assert metric.meaning.endswith(".")
    assert set(metric.labels) <= LABELS
    assert bool(metric.buckets) is (metric.kind is Kind.HISTOGRAM)
    assert list(metric.buckets) == sorted(metric.buckets)
    assert all(len(values) == len(set(metric.labels) - {"monitor"}) for values in metric.known)
    assert metric.role is not Role(0)


def test_what_a_scrape_shows_is_declared(registry: CollectorRegistry, metrics: Metrics) -> None:
    everything(metrics)
    families = list(text_string_to_metric_families(exposition(registry, "")[0].decode()))
    shown = {family.name + ("_total" if family.type == "counter" else ""): family for family in families}
    assert shown.keys() == inventory.EVERY.keys()
    for name, family in shown.items():
        metric = inventory.EVERY[name]
        assert (family.type, family.documentation) == (metric.kind.value, metric.meaning)
        assert all(sample.labels.keys() - {"le"} == set(metric.labels) for sample in family.samples)


def test_a_busy_monitor_has_fewer_than_a_hundred_series(metrics: Metrics, values: Callable[[], Mapping[tuple[str, ...], float]]) -> None:
    """At default settings: one stream, answers and labels, a cycle under way, everything that can be told."""
    everything(metrics)
    assert len([key for key in values() if "chat" in key]) < 100


def test_known_values_are_of_the_labels_there_are() -> None:
    with pytest.raises(ValueError, match="known values of"):
        counter("x", "X.", Role.ALL, labels=("monitor", "reason"), known={"state": ("a",)})


def test_reasons_of_alarms_that_are_known_exist() -> None:
    names = {reason.name.lower() for reason in Reason}
    assert {reason for _, reason in inventory.ALARM_STEPS.known} <= names


def everything(metrics: Metrics) -> None:
    """All that can be told of `chat`, and of the installation."""
    metrics.watch(["chat"])
    metrics.requested("/metrics", 200, 0.1)
    metrics.embedder("chat", "f" * 20)
    metrics.silent("chat", 1.0)
    metrics._last_panes["chat"] = 1.0
    status: Mapping[str, Any] = {
        "last_time": 1.0, "feed": {"lost_share": 0.1, "blind": False}, "truth": {"error_rate": MEASURED},
        "streams": [
            {
                "segment": "all", "family": "input", "regime": "active", "traffic_per_second": 1.0, "run_length": 10.0, "evidence": 1.0,
                "threshold": 2.0, "effect": MEASURED, "novel_share": MEASURED, "accuracy": {"window": MEASURED},
            }
        ],
    }  # fmt: skip
    points = list(told("chat", status, now=0.0, per_second=1.0))
    metrics.reads(lambda: points, *{each for each, _, _ in points})
    told_of = {each for each, _, _ in points} | {inventory.BUILD, inventory.STARTED, inventory.EMBEDDER, inventory.LAST_PANE}
    for metric in inventory.EVERY.values():
        if metric.read and metric not in told_of | {inventory.SILENT, inventory.SERIES, inventory.SERIES_LEFT_OUT}:
            metrics.shows(metric, lambda metric=metric: _some(metric))  # type: ignore[misc]  # a default in a lambda


def _some(metric: Declaration) -> Mapping[tuple[str, ...], float]:
    """As many series as a monitor can have at once: one cycle is open, one batch is out. One of what is of no monitor."""
    states: Mapping[str, Sequence[str]] = {
        inventory.CYCLES.name: ("promoted", "rejected", "cancelled", "reverted", "annotating"),
        inventory.BATCHES.name: ("closed", "cancelled", "sent"),
    }
    if metric.name in states:
        return {("chat", state): 1.0 for state in states[metric.name]}
    return {tuple("chat" if label == "monitor" else "x" for label in metric.labels): 1.0} if not metric.known else {}
