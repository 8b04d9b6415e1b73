"""What a real Alertmanager makes of what it is sent: it holds what stands, hears of what it missed, and forgets what nobody sends any
more."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial

import numpy as np
import pytest

from service.adapters.alertmanager import AlertmanagerDestination
from service.adapters.sqlite import SqliteStore
from service.alarms import Reason
from service.notifying.pipeline import assembled
from service.notifying.resending import Resending
from service.observe import Silent
from service.outbound import Outgoing
from service.outbox import Outbox
from service.records import AlarmState
from service.settings import AlertmanagerDestination as Declared
from tests.servers.alertmanager_server import AlertmanagerServer
from tests.servers.fixtures import StartAlertmanager
from tests.service.notifying.conftest import Office, opened, settings

pytestmark = pytest.mark.server("prometheus-alertmanager")

CONFIGURATION = {"route": {"receiver": "nobody"}, "receivers": [{"name": "nobody"}]}


class Live(Office):
    """An office by the real clock, whose one receiver is the Alertmanager."""

    address = ""

    def again(self) -> None:
        declared = Declared(type="alertmanager", name="chat", urls=(self.address,), resend_seconds=1.0)
        self.standing = AlertmanagerDestination(declared, Outgoing(["127.0.0.0/8"], timeout=2.0))
        ways = {"chat": self.standing}
        stages = partial(assembled, self.store, lambda: self.settings)
        self.outbox = Outbox(self.store, ways, Silent(), rng=np.random.default_rng(3), stages=stages)
        self.resending = Resending(self.store, lambda: self.settings, ways)

    def until(self, condition: Callable[[], bool], seconds: float = 20.0) -> None:
        """Leads until then."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end
            self.now = time.time()
            self.resending.step(self.now)
            self.outbox.step(self.now)
            time.sleep(0.1)


@pytest.fixture
def server(alertmanager: StartAlertmanager) -> AlertmanagerServer:
    return alertmanager(CONFIGURATION)


@pytest.fixture
def office(server: AlertmanagerServer) -> Iterator[Live]:
    Live.address = server.url
    one = settings(teams=[{"name": "payments"}])
    with closing(SqliteStore(":memory:")) as store:
        live = Live(store, one, now=time.time())
        with closing(live.standing):
            yield live


def held(server: AlertmanagerServer) -> set[tuple[str, str]]:
    return {(alert["labels"]["alertname"], alert["labels"]["segment"]) for alert in server.alerts()}


def test_after_an_outage_it_holds_what_stands_and_what_it_missed_and_forgets_both_in_time(office: Live, server: AlertmanagerServer) -> None:
    server.stop()
    office.decide(opened("a1", time=office.now))
    gone = office.decide(opened("a2", time=office.now))
    office.outbox.step(office.now)
    office.step(gone, AlarmState.RESOLVED, Reason.CALM)
    server.start()
    office.until(lambda: len(held(server)) == 2)
    assert held(server) == {("DriftgateAlarm", "locale=de"), ("DriftgateAlarmMissed", "locale=de")}
    (missed,) = (alert for alert in server.alerts() if alert["labels"]["alertname"] == "DriftgateAlarmMissed")
    assert "missed while down" in missed["annotations"]["description"]

    end = time.monotonic() + 15.0  # nobody leads any more: what stood expires after four sendings
    while ("DriftgateAlarm", "locale=de") in held(server):
        assert time.monotonic() < end
        time.sleep(0.2)


def test_what_is_resolved_is_over_at_once(office: Live, server: AlertmanagerServer) -> None:
    alarm = office.decide(opened("a3", time=office.now))
    office.until(lambda: ("DriftgateAlarm", "locale=de") in held(server))
    office.step(alarm, AlarmState.RESOLVED, Reason.CALM)
    office.until(lambda: ("DriftgateAlarm", "locale=de") not in held(server), seconds=3.0)
