"""The budget reaches every monitor's log, once for each reason."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import msgspec
import pytest

from service.adapters.sqlite import SqliteStore
from service.allotment import Allotment
from service.budget import DAY, Allocation, Due
from service.records import Decision
from service.settings import Settings

NOW = 1_000_000.0


def installation(**changes: Any) -> Settings:
    def monitor(name: str, **detection: Any) -> dict[str, Any]:
        return {"name": name, "embedder": {"input": "none", "dimension": 2}, "detection": detection}

    monitors = [monitor("chat"), monitor("search"), monitor("own", run_length=5_000)]
    return Settings.model_validate({"monitors": monitors, "budget": {"alarms": 2, "days": 10}, **changes})


@pytest.fixture
def store() -> Iterator[SqliteStore]:
    with closing(SqliteStore(":memory:")) as store:
        yield store


class Monitor:
    """Decides as a controller would, as far as the allotment looks."""

    def __init__(self, store: SqliteStore, name: str, *, supported: float = 1e9) -> None:
        self._store, self._name, self._supported = store, name, supported

    def decide(self, rates: dict[str, float], *, seconds: float = DAY) -> None:
        decided, _, _ = self._store.decided(self._name)
        events = self._store.events(self._name)
        given = Allocation.of(events[-1]) if events else None
        document = {
            "streams": [{"segment": segment, "traffic_per_second": rate} for segment, rate in rates.items()],
            "traffic_seconds": seconds,
            "supported_run_length": self._supported,
            "allocation": given and {"time": given.time, **given.body()},
        }
        self._store.decide(Decision(self._name, decided, len(events), state=msgspec.json.encode(document)))


def test_the_budget_goes_into_every_log_once_traffic_is_known(store: SqliteStore) -> None:
    chat, search, own = (Monitor(store, name) for name in ("chat", "search", "own"))
    allotment = Allotment(store, installation)
    chat.decide({"all": 1.0, "locale=de": 0.5}, seconds=3_600.0)
    own.decide({"all": 1.0})
    assert allotment.step(now=NOW) == 0

    chat.decide({"all": 1.0, "locale=de": 0.5})
    search.decide({"all": 0.5})
    assert allotment.step(now=NOW + 30) == 0, "it looks once a minute"
    assert allotment.step(now=NOW + 60) == 2
    (told,), (other,) = (store.events(name) for name in ("chat", "search"))
    assert (told.kind, told.body["reason"], told.body["round"]) == ("allocation", Due.FIRST, other.body["round"])
    assert sum(told.body["shares"].values()) + sum(other.body["shares"].values()) == pytest.approx(1.0)
    assert told.body["run_lengths"] == pytest.approx({"all": 2.0 * 5 * DAY, "locale=de": 2.0 * 5 * DAY})
    assert store.events("own") == []


def test_it_is_shared_anew_when_traffic_has_doubled_and_a_day_has_passed(store: SqliteStore) -> None:
    chat, search = Monitor(store, "chat"), Monitor(store, "search")
    allotment = Allotment(store, installation)
    chat.decide({"all": 1.0})
    search.decide({"all": 1.0})
    assert allotment.step(now=NOW) == 2
    chat.decide({"all": 2.5})
    search.decide({"all": 1.0})
    assert allotment.step(now=NOW + DAY / 2) == 0
    assert allotment.step(now=NOW + DAY) == 2
    assert [event.body["reason"] for event in store.events("search")] == [Due.FIRST, Due.TRAFFIC]
    assert store.events("search")[1].body["run_lengths"]["all"] == pytest.approx(3.5 * 5 * DAY)


def test_two_who_allocate_at_once_write_it_once(store: SqliteStore) -> None:
    Monitor(store, "chat").decide({"all": 1.0})
    assert [Allotment(store, installation).step(now=NOW + at) for at in (0, 1)] == [1, 1]
    assert len(store.events("chat")) == 1


def test_another_budget_is_shared_the_next_day(store: SqliteStore) -> None:
    chat = Monitor(store, "chat")
    chat.decide({"all": 1.0})
    Allotment(store, installation).step(now=NOW)
    chat.decide({"all": 1.0})
    richer = Allotment(store, lambda: installation(budget={"alarms": 4, "days": 10}))
    assert [richer.step(now=NOW + DAY - 60), richer.step(now=NOW + DAY)] == [0, 1]
    assert store.events("chat")[1].body["reason"] == Due.BUDGET


def test_a_monitor_that_becomes_known_soon_after_gets_its_share_at_once(store: SqliteStore) -> None:
    chat, search = Monitor(store, "chat"), Monitor(store, "search")
    allotment = Allotment(store, installation)
    chat.decide({"all": 1.0})
    assert allotment.step(now=NOW) == 1
    chat.decide({"all": 1.0})
    search.decide({"all": 1.0})
    assert allotment.step(now=NOW + 60) == 2
    assert store.events("search")[0].body["reason"] == Due.STREAMS
    chat.decide({"all": 1.0})
    assert allotment.step(now=NOW + 120) == 0, "search has not taken it up yet"
