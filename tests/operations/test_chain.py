"""The whole way of an alert: samples that drift → driftgate's metrics → Prometheus → a rule → Alertmanager → who is told, and back."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.app import opened
from service.settings import load
from tests.e2e.roles import Role, bodies, build, draw, monitor
from tests.operations.receiver import Receiver, receiving, until
from tests.operations.sooner import ALERTMANAGER, aimed, rules, sooner
from tests.servers.alertmanager_server import AlertmanagerServer
from tests.servers.fixtures import StartAlertmanager, StartPrometheus
from tests.servers.prometheus_server import PrometheusServer

pytestmark = [pytest.mark.server("prometheus"), pytest.mark.server("prometheus-alertmanager")]

TIMES = Path(__file__).parents[2] / ".cache/alert_chain.json"
"""Seconds that each step took, kept to look at."""
SHORTER = 300.0
"""Half an hour's drift pages after 6 seconds."""


@dataclass
class Chain:
    """The real programs, started, and who is told at the end."""

    driftgate: Role
    prometheus: PrometheusServer
    alertmanager: AlertmanagerServer
    receiver: Receiver
    sent: int = 0
    took: dict[str, float] = field(default_factory=dict)

    def drift(self, name: str) -> None:
        """Sends new content alone until an alarm is critical."""
        until(lambda: self._send(name) and self._critical(name), timeout=90, what=f"an alarm of {name}")

    def resolve(self, name: str) -> None:
        """A person closes what is open."""
        for alarm in self._open(name):
            answer = self.driftgate.client.post(f"/v1/alarms/{alarm['id']}/resolve", json={"actor": "ann"})
            assert answer.status_code == 200, answer.text

    def clocked(self, what: str, look: Callable[[], object], since: float) -> None:
        """Waits for it, and notes how long it took."""
        until(look, what=what)
        self.took[what] = round(time.monotonic() - since, 1)

    def told(self, path: str, status: str, name: str, **labels: str) -> Callable[[], object]:
        """Whether a webhook was."""
        return lambda: self.receiver.is_told(path, status, name=name, **labels)

    def paged(self, path: str, action: str) -> Callable[[], list[Any]]:
        """Whether the pager was."""
        return lambda: [each for each in self.receiver.told(f"{path}/pagerduty") if each["event_action"] == action]

    def fires(self, name: str, **labels: str) -> bool:
        """In Prometheus."""
        wanted = {"alertname": name, **labels}.items()
        return any(wanted <= each["labels"].items() and each["state"] == "firing" for each in self.prometheus.alerts())

    def _critical(self, name: str) -> bool:
        return any(alarm["severity"] == "critical" for alarm in self._open(name))

    def _open(self, name: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.driftgate.get(f"/v1/alarms?monitor={name}&state=open")["alarms"]
        return found

    def _send(self, name: str) -> bool:
        self.sent += 1
        rows = bodies(draw(64, self.sent, new=1.0), f"{name}-{self.sent}")
        return self.driftgate.client.post(f"/v1/monitors/{name}/samples", json=list(rows)).status_code == 202


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory, prometheus: StartPrometheus, alertmanager: StartAlertmanager) -> Iterator[Chain]:
    """Two monitors, of which one has a team, with the shipped rules and routes."""
    folder = tmp_path_factory.mktemp("chain")
    monitors = [monitor("chat", team="support"), monitor("mail")]
    document = {"directory": "state", "server": {"port": 0}, "teams": [{"name": "support"}], "monitors": monitors}
    (folder / "driftgate.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    with opened(load(folder / "driftgate.yaml")) as installation:
        build(installation, "chat")
        build(installation, "mail")
    with receiving() as receiver:
        role = Role("serve", folder, 0)
        told = alertmanager(aimed(sooner(ALERTMANAGER, SHORTER), receiver.url))
        targets = {"driftgate": [role.client.base_url.netloc.decode()], "alertmanager": [told.address]}
        scraper = prometheus(targets=targets, rules=rules(folder, SHORTER), alertmanagers=[told.address])
        scraper.scraped()
        yield Chain(role, scraper, told, receiver)
        scraper.stop()
        role.end()


def test_drift_is_told_from_the_sample_to_the_pager_and_so_is_its_end(chain: Chain) -> None:
    support = {"monitor": "chat", "team": "support"}
    since = time.monotonic()
    chain.drift("chat")
    chain.took["alarm"] = round(time.monotonic() - since, 1)
    chain.clocked("ticket", chain.told("/ticket-support", "firing", "DriftgateDrift", level="critical", **support), since)
    chain.clocked("page", chain.told("/page-support", "firing", "DriftgateDriftCritical", **support), since)
    chain.clocked("incident", chain.paged("/page-support", "trigger"), since)
    (told, *_) = chain.receiver.alerts("/page-support", name="DriftgateDriftCritical")
    assert "its traffic as a whole as far as if" in told["annotations"]["description"]

    over = time.monotonic()
    chain.resolve("chat")
    chain.clocked("ticket resolved", chain.told("/ticket-support", "resolved", "DriftgateDrift", **support), over)
    chain.clocked("page resolved", chain.told("/page-support", "resolved", "DriftgateDriftCritical", **support), over)
    chain.clocked("incident resolved", chain.paged("/page-support", "resolve"), over)
    TIMES.parent.mkdir(exist_ok=True)
    TIMES.write_text(json.dumps({"waits are shorter by": SHORTER, "seconds": chain.took}, indent=1), encoding="utf-8")


def test_what_was_over_before_alertmanager_was_back_is_told_as_missed_and_what_stands_as_it_is(chain: Chain) -> None:
    chain.alertmanager.stop()
    until(lambda: chain.prometheus.query('up{job="alertmanager"} == 0'), what="Prometheus to see it gone")
    before = len(chain.receiver.arrived)
    chain.drift("chat")
    until(lambda: chain.fires("DriftgateDriftCritical", monitor="chat"), what="a page that nobody gets")
    chain.resolve("chat")
    chain.drift("mail")
    until(lambda: chain.fires("DriftgateDriftCritical", monitor="mail"), what="a page that stands")
    until(lambda: not chain.fires("DriftgateDriftCritical", monitor="chat"), what="its end")
    assert len(chain.receiver.arrived) == before

    chain.alertmanager.start()
    until(chain.told("/page", "firing", "DriftgateDriftCritical", monitor="mail"), what="the page that stands")
    until(chain.paged("/page", "trigger"), what="its incident")
    missed = {"missed": "DriftgateDriftCritical", "was": "page", "monitor": "chat", "team": "support"}
    until(chain.told("/page-missed", "firing", "DriftgateMissed", **missed), what="the page that was missed")
    event = until(chain.paged("/page-missed", "trigger"), what="its incident")[0]
    assert event["payload"]["severity"] == "info"
    assert event["payload"]["summary"].startswith("missed while Alertmanager was down: DriftgateDriftCritical of chat")
    ticket = {"missed": "DriftgateDrift", "was": "ticket", "monitor": "chat"}
    until(chain.told("/ticket-support", "firing", "DriftgateMissed", **ticket), what="the ticket that was missed")
    late = [alert for _, _, message in chain.receiver.arrived[before:] if "alerts" in message for alert in message["alerts"]]
    firing = {(alert["labels"]["alertname"], alert["labels"].get("monitor")) for alert in late if alert["status"] == "firing"}
    assert ("DriftgateDriftCritical", "chat") not in firing


def test_a_pause_ends_the_page_of_its_monitor(chain: Chain) -> None:
    assert chain.fires("DriftgateDriftCritical", monitor="mail")
    pause = {"actor": "ann", "until": (datetime.now(UTC) + timedelta(hours=1)).isoformat()}
    assert chain.driftgate.client.post("/v1/monitors/mail/maintenance", json=pause).status_code == 200
    until(chain.told("/page", "resolved", "DriftgateDriftCritical", monitor="mail"), what="the end of the page")


def test_every_rule_can_be_evaluated_over_what_driftgate_shows(chain: Chain) -> None:
    found = chain.prometheus.rules()
    assert len(found) > 30
    assert [(rule["name"], rule["lastError"]) for rule in found if rule["health"] != "ok"] == []
    assert [note for alert in chain.prometheus.alerts() for note in alert["annotations"].values() if "<error" in note] == []
    recorded = [rule["name"] for rule in found if rule["type"] == "recording"]
    assert [name for name in recorded if not chain.prometheus.query(f"max_over_time({name}[10m])")] == []
    assert chain.prometheus.query('driftgate:monitor_team:last_seen{monitor="chat", team="support"}')
    assert chain.prometheus.query("driftgate:alarms_opened:increase6h >= 2")
