"""Which ways a test takes, and what it says of each."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from service.errors import ConfigurationError, NotFoundError
from service.notifying import trial
from service.notifying.trial import Way
from service.settings import Settings
from tests.service.notifying.conftest import Office, settings


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, [Way("chat", ("monitor support",)), Way("pager", ("team payments",))]),
        ({"monitor": "support"}, [Way("chat", ("monitor support",)), Way("pager", ("team payments",))]),
        ({"monitor": "sales"}, [Way("pager", ("team payments",))]),
        ({"team": "payments"}, [Way("chat", ("monitor support",)), Way("pager", ("team payments",))]),
        ({"destination": "pager"}, [Way("pager", ("team payments",))]),
    ],
)
def test_the_ways_that_news_take(asked: dict[str, Any], found: list[Way]) -> None:
    assert list(trial.ways(settings(), **asked)) == found


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"monitor": "suport"}, "no monitor 'suport'"),
        ({"team": "paymnts"}, "no team 'paymnts'; declared: payments"),
        ({"destination": "pagr"}, "no destination 'pagr'; declared: chat, pager"),
    ],
)
def test_what_is_not_declared_is_named(asked: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        trial.ways(settings(), **asked)


def test_a_destination_that_starts_work_is_not_tried() -> None:
    job = {"type": "kubernetes_job", "name": "job", "template": "job.yaml"}
    chosen = settings(destinations=[job], teams=[], monitors=[])
    with pytest.raises(ConfigurationError, match="a test would start work there"):
        trial.ways(chosen, destination="job")
    with pytest.raises(NotFoundError, match="no news leads anywhere"):
        trial.require(trial.ways(Settings()))


def test_each_is_told_what_came_of_it_and_none_is_tried_twice(office: Office) -> None:
    office.pager.down = True
    ways = trial.ways(office.settings)
    items = trial.items(ways, actor="ana", now=office.now)
    office.store.save(outbox=items)
    office.outbox.take(items[1], office.now)
    waiting, failed = trial.awaited(office.store, ways, items, seconds=0.0)
    assert (waiting.destination, waiting.state) == ("chat", "waiting")
    assert (failed.state, failed.says) == ("failed", "receiver: 503")

    office.pager.down = False
    office.run(3_600.0)
    delivered, failed = trial.awaited(office.store, ways, items)
    assert (delivered.state, failed.state) == ("delivered", "failed")
    (told,) = office.chat.taken
    assert told.payload["test"] is True
    assert "nothing has drifted" in told.payload["text"]
    assert office.pager.taken == []


def test_a_test_is_found_behind_what_was_written_since_and_asked_for_seldom(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    ways = trial.ways(office.settings, destination="chat")
    (item,) = items = trial.items(ways, actor="ana", now=office.now)
    office.store.save(outbox=items)
    office.store.settle(replace(item, state="delivered"))
    later = [replace(item, id=f"later {number}") for number in range(1_200)]
    office.store.save(outbox=later)
    assert [each.state for each in trial.awaited(office.store, ways, items, seconds=0.0)] == ["delivered"]

    waits, clock = list[float](), 0.0

    def sleep(seconds: float) -> None:
        nonlocal clock
        waits.append(seconds)
        clock += seconds

    monkeypatch.setattr(trial, "time", SimpleNamespace(monotonic=lambda: clock, sleep=sleep))
    assert [each.state for each in trial.awaited(office.store, ways, later[-1:])] == ["waiting"]
    assert len(waits) < 40
