"""What the shipped Alertmanager's configuration makes of alerts: grouped, inhibited, and to whom they go."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.operations.receiver import Receiver, receiving, until
from tests.operations.sooner import ALERTMANAGER, DEPLOY, aimed, sooner
from tests.servers.alertmanager_server import AlertmanagerServer
from tests.servers.fixtures import StartAlertmanager

pytestmark = pytest.mark.server("prometheus-alertmanager")


def alert(name: str, severity: str, **labels: str) -> dict[str, Any]:
    """As Prometheus sends it."""
    return {
        "labels": {"alertname": name, "severity": severity, **labels},
        "annotations": {
            "summary": f"{name} of {labels.get('monitor', 'all')}",
            "runbook_url": f"https://driftgate.example/runbooks/{name}.md",
            "console_url": f"https://driftgate.example.com/console/monitors/{labels.get('monitor')}",
        },
    }


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as here:
        yield here


@pytest.fixture(scope="module")
def server(alertmanager: StartAlertmanager, receiver: Receiver) -> AlertmanagerServer:
    """With everything that these tests are about, posted at once: what comes of one does not touch the other's labels."""
    started = alertmanager(aimed(sooner(ALERTMANAGER, 60), receiver.url))
    many = [alert("DriftgateDriftCritical", "page", monitor=f"m{n}", team="sales") for n in range(12)]
    blind = [alert("DriftgateBlind", "page", monitor="dark", team="sales")]
    drifts = [alert("DriftgateDrift", "ticket", monitor=name, team="sales", level="warning") for name in ("dark", "bright")]
    direct = [alert("DriftgateAlarm", "critical", monitor="sent", family=family, segment="all") for family in ("feed", "input")]
    started.post([*many, *blind, *drifts, *direct, alert("DriftgateWatchdog", "none")])
    return started


@pytest.mark.usefixtures("server")
def test_one_change_upstream_that_moves_many_monitors_is_one_page(receiver: Receiver) -> None:
    until(lambda: receiver.alerts("/page", name="DriftgateDriftCritical"), what="a page")
    messages = [each for each in receiver.told("/page") if each["groupLabels"]["alertname"] == "DriftgateDriftCritical"]
    assert [len(each["alerts"]) for each in messages] == [12]
    events = until(
        lambda: [e for e in receiver.told("/page/pagerduty") if e["payload"]["class"] == "DriftgateDriftCritical"], what="an event"
    )
    (event,) = events
    assert (event["event_action"], event["payload"]["severity"], event["payload"]["group"]) == ("trigger", "critical", "sales")
    assert event["payload"]["summary"].startswith("DriftgateDriftCritical: 12 of 12 (m")
    assert event["client_url"].startswith("https://driftgate.example.com/console/monitors/m")
    assert event["links"] == [{"text": "runbook", "href": "https://driftgate.example/runbooks/DriftgateDriftCritical.md"}]


@pytest.mark.usefixtures("server")
def test_a_blind_monitor_tells_of_no_drift_and_another_does(receiver: Receiver) -> None:
    until(lambda: receiver.is_told("/ticket", "firing", name="DriftgateDrift", monitor="bright"), what="a ticket")
    until(lambda: receiver.is_told("/page", "firing", name="DriftgateBlind", monitor="dark"), what="a page")
    assert receiver.alerts("/ticket", name="DriftgateDrift", monitor="dark") == []


@pytest.mark.usefixtures("server")
def test_what_driftgate_sends_itself_is_inhibited_alike(receiver: Receiver) -> None:
    until(lambda: receiver.is_told("/page", "firing", name="DriftgateAlarm", family="feed"), what="a page")
    assert receiver.alerts("/ticket", name="DriftgateAlarm") == []


@pytest.mark.usefixtures("server")
def test_the_watchdog_goes_to_its_own_receiver_again_and_again(receiver: Receiver) -> None:
    until(lambda: len(receiver.alerts("/dead-man", name="DriftgateWatchdog")) > 1, what="two signs of life")
    assert {each["labels"]["alertname"] for each in receiver.alerts("/dead-man")} == {"DriftgateWatchdog"}


def test_without_a_process_everything_else_is_a_consequence(server: AlertmanagerServer, receiver: Receiver) -> None:
    server.post([alert("DriftgateDown", "page"), alert("DriftgateOutboxStuck", "ticket", kind="alarm.opened")])
    until(lambda: receiver.is_told("/page", "firing", name="DriftgateDown"), what="a page")
    late = server.holds("DriftgateOutboxStuck")
    assert (late["status"]["state"], len(late["status"]["inhibitedBy"])) == ("suppressed", 1)
    assert receiver.alerts("/ticket", name="DriftgateOutboxStuck") == []


def test_silences_of_the_pages_are_taken(server: AlertmanagerServer) -> None:
    pages = sorted((DEPLOY.parent / "docs/runbooks").glob("*.md"))
    commands = [line for page in pages for line in re.findall(r"`(amtool silence add [^`]+)`", page.read_text(encoding="utf-8"))]
    assert len(commands) > 20
    for command in commands:
        added = subprocess.run(
            [*shlex.split(command), f"--alertmanager.url={server.url}", "--author=ann"],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert added.returncode == 0, command + added.stderr
