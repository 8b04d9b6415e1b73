"""The chart's own cases, by helm-unittest, and what Helm says of values that are no use."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from deploy.chart.schema import SET_BY_CHART
from tests.cluster.chart.options import ROLES
from tests.cluster.chart.rendering import CHART, merged, refused
from tests.servers.cluster_programs import program

SERVE: dict[str, Any] = {"existingSecret": "driftgate"}
SHARED = merged(*(options[0] for options in ROLES.values()))


@pytest.mark.server("helm-unittest")
def test_cases_of_the_chart() -> None:
    suites = list((CHART / "tests").glob("*_test.yaml"))
    done = subprocess.run(
        [str(program("helm-unittest")), str(CHART), "--file", "tests/*_test.yaml"], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout
    assert f"Test Suites: {len(suites)} passed, {len(suites)} total" in done.stdout


@pytest.mark.server("helm")
@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({}, "existingSecret is required"),
        ({**SERVE, "monitors": []}, "at '': additional properties 'monitors' not allowed"),
        ({**SERVE, "networkPolcy": {"enabled": True}}, "at '': additional properties 'networkPolcy' not allowed"),
        ({**SERVE, "worker": {"keda": {"enable": True}}}, "at '/worker/keda': additional properties 'enable' not allowed"),
        ({**SERVE, "config": {"budgett": {}}}, "at '/config': additional properties 'budgett' not allowed"),
        ({**SERVE, "config": {"monitors": [{"name": "Chat"}]}}, "at '/config/monitors/0/name': 'Chat' does not match pattern"),
        (
            {**SERVE, "config": {"destinations": [{"name": "hook", "type": "webhook"}]}},
            "at '/config/destinations/0': missing property 'url'",
        ),
        (
            {**SERVE, "config": {"destinations": [{"name": "hook", "type": "webhok"}]}},
            "at '/config/destinations/0/type': value must be one of",
        ),
        ({**SERVE, "config": {"kafka": {"brokers": "kafka:9092"}}}, "at '/config/kafka/brokers': got string, want array"),
        ({**SERVE, "config": {"blobs": {"cap_bytes": "10GB"}}}, "at '/config/blobs/cap_bytes': got string, want integer"),
        ({**SERVE, "mode": "role"}, "at '/mode': value must be one of 'serve', 'roles'"),
        ({**SERVE, "persistence": {"size": "10 GB"}}, "at '/persistence/size': '10 GB' does not match pattern"),
        ({**SERVE, "service": {"port": 0}}, "at '/service/port': minimum: got 0, want 1"),
        ({**SERVE, "worker": {"podDisruptionBudget": {"maxUnavailable": 0}}}, "at '/worker/podDisruptionBudget/maxUnavailable'"),
        ({**SERVE, "serviceAccount": {"create": False}}, "serviceAccount.name is required"),
        ({**SERVE, "jobTemplates": {"train": {"apiVersion": "v1", "kind": "Pod", "spec": {}}}}, "at '/jobTemplates/train"),
        ({**SERVE, "mode": "roles"}, "mode roles needs config.kafka"),
        (merged(SHARED, {"persistence": {"accessModes": ["ReadWriteOnce"]}}), "persistence.accessModes must hold ReadWriteMany"),
        (merged(SHARED, {"config": {"redis": {"urll": "redis://redis"}}}), "at '/config/redis': additional properties 'urll' not allowed"),
        (
            merged(SHARED, {"config": {"redis": {"url": "redis://user:word@redis"}}}),
            "at '/config/redis/url': 'redis://user:word@redis' does",
        ),
        (merged(SHARED, {"config": {"redis": {"url": "redis://redis?password=word"}}}), "at '/config/redis/url': 'redis://redis?password"),
        (
            {**SERVE, "config": {"destinations": [{"name": "hook", "type": "webhook", "url": "https://ana:word@hooks.example.com"}]}},
            "at '/config/destinations/0/url': 'https://ana",
        ),
    ],
    ids=str,
)
def test_values_that_are_no_use_are_refused_in_plain_words(values: Any, says: str) -> None:
    assert says in refused(values)


@pytest.mark.server("helm")
def test_what_the_chart_sets_is_refused() -> None:
    for field in SET_BY_CHART["Settings"]:
        assert f"config.{field}: the chart sets it" in refused({**SERVE, "config": {field: "x"}})
    for field in SET_BY_CHART["ServerSettings"]:
        assert f"config.server.{field}: the chart sets it" in refused({**SERVE, "config": {"server": {field: "x"}}})
    for field in SET_BY_CHART["KafkaSettings"]:
        assert f"config.kafka.{field}: the chart sets it" in refused(merged(SHARED, {"config": {"kafka": {field: "worker-1"}}}))
