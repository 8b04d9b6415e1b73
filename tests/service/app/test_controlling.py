"""What the controller of a process does only while it leads, and that another one can go on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from service.app import Installation, opened
from service.app.controlling import Controlling
from service.app.installation import CONTROLLER
from service.health import Heartbeats
from service.inbox import Inbox
from service.leading import Leading
from service.metrics import Metrics, Role
from service.report.reporting import Reporting
from service.settings import parse


class Counted(Inbox):
    """Says how often it was looked into."""

    looks = 0

    def step(self, now: float) -> int:
        self.looks += 1
        return super().step(now)


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    monitor = {"name": "chat", "embedder": {"input": "none", "dimension": 3}}
    with opened(parse({"directory": "state", "monitors": [monitor]}, base=tmp_path)) as installation:
        yield installation


@pytest.fixture
def inbox(installation: Installation) -> Counted:
    def take(*_given: object, **_options: object) -> None:
        raise AssertionError("nothing was delivered")

    return Counted(installation.store, take)  # type: ignore[arg-type]  # it is never asked


@pytest.fixture
def controlling(installation: Installation, inbox: Inbox) -> Controlling:
    metrics = Metrics(CollectorRegistry(), ["chat"], version="0", role=Role.CONTROLLER)
    return Controlling(installation, metrics, Heartbeats(), Reporting(installation.material, installation.reports), inbox)


def other(installation: Installation) -> Leading:
    """Of another process."""
    return Leading(installation.store, CONTROLLER, "another", 60.0)


def test_a_standby_waits_and_goes_on_when_the_other_lets_go(installation: Installation, controlling: Controlling, inbox: Counted) -> None:
    first, loops = other(installation), controlling.loops()
    first.step()
    for step in loops.values():
        step()
    assert (inbox.looks, controlling.notes()["leader"]) == (0, "no, standing by")
    first.release()
    controlling.close()  # so that it asks again at once
    for step in loops.values():
        step()
    assert (inbox.looks, controlling.notes()["leader"]) == (1, "yes")


def test_whoever_ends_hands_the_lead_on_at_once(installation: Installation, controlling: Controlling) -> None:
    second, loops = other(installation), controlling.loops()
    loops["lease"]()
    second.step()
    assert second.fence() is None
    controlling.close()
    other_again = other(installation)
    other_again.step()
    assert other_again.fence() is not None


def test_the_lease_comes_first_and_what_goes_out_last(controlling: Controlling) -> None:
    names = list(controlling.loops())
    assert (names[:2], names[-2:]) == (["lease", "controller"], ["outbox", "resending"])
