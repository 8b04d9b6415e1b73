"""What deploy/compose.yaml starts, started without containers: the chat drifts, and Alertmanager hears of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.operations.receiver import until
from tests.servers.process import listens
from tests.servers.stack import Stack

pytestmark = [
    pytest.mark.long,
    pytest.mark.server("kafka", "redis-server", "prometheus", "prometheus-alertmanager"),
]

SOONER = {"REFERENCE_ROWS": "1500", "TRAFFIC_RATE": "15", "TRAFFIC_DRIFT_AFTER": "20"}
"""Than a person would want: as an .env file says it."""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("stack"), SOONER, interval="1s") as started:
        yield started
    assert not listens(started.prometheus.port)
    assert not listens(started.redis.port)


@pytest.fixture(scope="module")
def api(stack: Stack) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=stack.api, headers={"authorization": f"Bearer {stack.token}"}, timeout=30) as client:
        yield client


def test_every_process_is_scraped_with_the_token_that_was_made(stack: Stack) -> None:
    stack.prometheus.scraped(timeout=60)
    found = Counter(labels["job"] for labels, value in stack.prometheus.query("up") if value == 1)
    assert found == {"driftgate": 5, "alertmanager": 1}
    assert httpx2.get(f"http://127.0.0.1:{stack.parts['worker'][0].metrics_port}/metrics").status_code == 401


def test_the_doctor_finds_kafka_and_redis_as_they_should_be(stack: Stack) -> None:
    said: dict[str, Any] = json.loads(stack.command("doctor", "--json"))
    levels = Counter((finding["subject"], finding["level"]) for finding in said["findings"])
    assert (levels["kafka", "ok"], levels["redis", "ok"]) == (1, 1)
    assert [finding for finding in said["findings"] if finding["level"] == "fail"] == []


def test_a_second_preparation_finds_everything_there(stack: Stack) -> None:
    said = stack.command(*stack.parts["prepare"][0].arguments)
    assert [line.rpartition(": ")[2] for line in said.splitlines() if ": " in line] == ["are there", "is there", "is there"]


def test_the_drift_of_the_traffic_fires_in_alertmanager(stack: Stack, api: httpx2.Client) -> None:
    def opened() -> list[Any]:
        alarms: list[Any] = api.get("/v1/alarms?monitor=support-chat").json()["alarms"]
        return alarms

    until(opened, timeout=240, what="an alarm")
    fired = stack.alertmanager.holds("DriftgateDrift", timeout=60)
    assert fired["labels"]["monitor"] == "support-chat"
    assert fired["receivers"] == [{"name": "nobody"}]
    sent = stack.prometheus.query('sum(driftgate_samples_taken_total{monitor="support-chat"})')
    assert sent[0][1] > 300
    assert [rule["name"] for rule in stack.prometheus.rules() if rule["health"] == "err"] == []


@pytest.mark.parametrize("asked", [signal.SIGINT, signal.SIGTERM], ids=lambda asked: asked.name)
def test_it_ends_when_asked_and_leaves_nothing(tmp_path: Path, asked: signal.Signals) -> None:
    """Started as by a script in the background, where Ctrl-C is ignored."""
    command = ["sh", "-c", "trap '' INT; exec \"$@\"", "sh", sys.executable, "-m", "tests.servers.stack"]
    with subprocess.Popen(command, env={**os.environ, "TMPDIR": str(tmp_path)}, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert "starting" in running.stdout.readline()
        until(lambda: list(tmp_path.glob("*/*/server.log")))
        running.send_signal(asked)
        assert running.wait(60) == 0
        assert running.stdout.read() == "stopped\n"
    assert list(tmp_path.iterdir()) == []
