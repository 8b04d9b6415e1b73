"""Alarms that driftgate tells of by itself, to receivers that were down for a while: Alertmanager, a webhook and PagerDuty."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from service.app import Roles, opened, served
from service.app.process import Serving
from service.settings import Settings, parse
from tests.e2e.roles import bodies, build, draw, monitor
from tests.operations.receiver import Receiver, receiving, until
from tests.operations.sooner import ALERTMANAGER, aimed, sooner
from tests.servers.alertmanager_server import AlertmanagerServer
from tests.servers.fixtures import StartAlertmanager

SOON = (0.0, *[1.0] * 120)
"""In the place of the outbox's schedule, which has 5 seconds and then minutes between its attempts."""


@dataclass
class Site:
    """A served installation, and who hears of its alarms."""

    serving: Serving
    client: httpx2.Client
    alertmanager: AlertmanagerServer
    receiver: Receiver
    sent: int = 0

    def drift(self, name: str) -> str:
        """Sends new content alone until an alarm is open; its id."""
        return str(until(lambda: self._moved(name), timeout=90, what=f"an alarm of {name}")[0]["id"])

    def resolve(self, name: str) -> None:
        """A person closes what is open."""
        for alarm in self._open(name):
            assert self.client.post(f"/v1/alarms/{alarm['id']}/resolve", json={"actor": "ann"}).status_code == 200

    def tried(self, alarm: str) -> bool:
        """Whether each destination was asked to take news of it, and did not."""
        items = [item for item in self.serving.installation.store.outbox(limit=1_000) if item.payload.get("alarm") == alarm]
        return {item.destination for item in items if item.attempts} == {"alertmanager", "hook", "pager"}

    def _open(self, name: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.client.get(f"/v1/alarms?monitor={name}&state=open").json()["alarms"]
        return found

    def _moved(self, name: str) -> list[dict[str, Any]]:
        """What is open after some more."""
        self.sent += 1
        rows = bodies(draw(64, self.sent, new=1.0), f"{name}-{self.sent}")
        assert self.client.post(f"/v1/monitors/{name}/samples", json=list(rows)).status_code == 202
        return self._open(name)


def configured(folder: Path, alertmanager: str, receiver: str) -> Settings:
    """Two monitors that tell everybody."""
    told: dict[str, Any] = {"team": "support", "notify": ["alertmanager", "hook", "pager"]}
    return parse(
        {
            "directory": "state",
            "server": {"port": 0},
            "outbound": {"allow": ["127.0.0.0/8"]},
            "teams": [{"name": "support"}],
            "destinations": [
                {"name": "alertmanager", "type": "alertmanager", "urls": [alertmanager], "resend_seconds": 1},
                {"name": "hook", "type": "webhook", "format": "cloudevents", "url": f"{receiver}/hook"},
                {"name": "pager", "type": "pagerduty", "url": f"{receiver}/pager", "key_env": "PAGER_KEY"},
            ],
            "monitors": [monitor("chat", **told), monitor("mail", **told)],
        },
        base=folder,
    )


@pytest.fixture
def site(alertmanager: StartAlertmanager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """Serving."""
    monkeypatch.setattr("service.outbox.SCHEDULE", SOON)
    monkeypatch.setenv("PAGER_KEY", "k" * 32)
    with receiving() as receiver:
        told = alertmanager(aimed(sooner(ALERTMANAGER, 300), receiver.url))
        settings = configured(tmp_path, told.url, receiver.url)
        with opened(settings) as installation:
            build(installation, "chat")
            build(installation, "mail")
        with answering(settings) as (serving, client):
            yield Site(serving, client, told, receiver)


@contextmanager
def answering(settings: Settings) -> Iterator[tuple[Serving, httpx2.Client]]:
    """The installation, all roles in this process."""
    with served(settings, roles=Roles.ALL) as serving, httpx2.Client(base_url=serving.address, timeout=30, trust_env=False) as client:
        thread = threading.Thread(target=serving.run, name="api", daemon=True)
        thread.start()
        yield serving, client
        serving.stop()
        thread.join(30)


@pytest.mark.server("prometheus-alertmanager")
def test_everybody_is_told_what_stands_and_what_was_missed_while_they_were_down(site: Site) -> None:
    site.alertmanager.stop()
    site.receiver.refuses = True
    brief = site.drift("chat")
    until(lambda: site.tried(brief), what="attempts")
    site.resolve("chat")
    lasting = site.drift("mail")
    until(lambda: site.tried(lasting), what="attempts")
    site.receiver.refuses = False
    site.alertmanager.start()

    until(lambda: site.receiver.is_told("/ticket-support", "firing", name="DriftgateAlarm", monitor="mail"), what="what stands")
    until(lambda: site.receiver.is_told("/ticket-support", "firing", name="DriftgateAlarmMissed", monitor="chat"), what="what was missed")
    assert site.receiver.alerts("/ticket-support", name="DriftgateAlarm", monitor="chat") == []

    hooks = until(lambda: found if len(found := site.receiver.told("/hook")) >= 2 else [], what="both at the webhook")
    assert {(event["data"]["alarm"], event["type"].rpartition("driftgate.")[2], event["data"].get("missed", False)) for event in hooks} == {
        (brief, "alarm.resolved", True),
        (lasting, "alarm.opened", False),
    }
    pages = until(lambda: found if len(found := site.receiver.told("/pager")) >= 3 else [], what="both at the pager")
    steps = {(event["dedup_key"], event["event_action"], event.get("payload", {}).get("severity")) for event in pages}
    assert {(brief, "trigger", "info"), (brief, "resolve", None), (lasting, "trigger", "critical")} <= steps
    assert [event["event_action"] for event in pages if event["dedup_key"] == brief] == ["trigger", "resolve"]
