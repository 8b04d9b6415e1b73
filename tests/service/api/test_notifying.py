"""Silences, maintenance and tests of alerts over HTTP."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from service.api.silences import within
from service.errors import InputError
from service.notifying import trial
from service.notifying.trial import Outcome
from service.observe import Silent
from service.outbox import Outbox
from service.records import Silence
from tests.service.api.conftest import NOW, SETTINGS, MakeSite, Site
from tests.service.notifying.conftest import Receiver, settings

ANA = {"actor": "ana", "note": "a new client"}


def ends(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(NOW + seconds))


def test_a_silence_is_made_listed_and_ended(site: Site) -> None:
    body = {**ANA, "matchers": {"monitor": "vectors", "segment": "locale=*"}, "ends": ends(3_600)}
    made = site.client.post("/v1/silences", json=body)
    assert made.status_code == 201, made.text
    silence = made.json()
    assert (silence["matchers"], silence["state"], silence["actor"]) == ({"monitor": "vectors", "segment": "locale=*"}, "active", "ana")
    assert [each["id"] for each in site.client.get("/v1/silences?state=active").json()["silences"]] == [silence["id"]]

    over = site.client.post(f"/v1/silences/{silence['id']}/end", json={"actor": "ben"})
    assert (over.json()["state"], over.json()["ended_by"]) == ("ended", "ben")
    assert site.client.post(f"/v1/silences/{silence['id']}/end", json={"actor": "ben"}).status_code == 409
    assert site.client.post("/v1/silences/none/end", json={"actor": "ben"}).status_code == 404


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"matchers": {}}, "name at least one"),
        ({"matchers": {"monitor": "*", "segment": "**"}}, "name at least one"),
        ({"matchers": {"colour": "red"}}, "colour"),
        ({"matchers": {"monitor": "x" * 301}}, "300"),
        ({"ends": ends(-1)}, "in the future"),
        ({"ends": ends(400 * 86_400)}, "within a year"),
        ({"starts": ends(7_200)}, "after it begins"),
    ],
)
def test_a_silence_that_is_none_is_refused(site: Site, change: dict[str, object], says: str) -> None:
    body = {**ANA, "matchers": {"monitor": "vectors"}, "ends": ends(3_600), **change}
    answer = site.client.post("/v1/silences", json=body)
    assert answer.status_code in {400, 422}
    assert says in answer.text
    assert site.store.find(Silence) == []


def test_a_role_over_some_monitors_silences_no_others(site: Site) -> None:
    few = SimpleNamespace(declared={"vectors": None})
    limited = replace(site.service, declaring=few, whole=site.service)
    within(limited, {"monitor": "vectors", "segment": "all"})
    for matchers in ({"monitor": "v*"}, {"segment": "all"}, {"monitor": "other"}):
        with pytest.raises(InputError, match="names one of them: vectors"):
            within(limited, matchers)
    within(site.service, {"segment": "all"})


def test_a_monitor_is_paused_and_the_pause_is_an_event_of_its_log(site: Site) -> None:
    answer = site.client.post("/v1/monitors/vectors/maintenance", json={**ANA, "until": ends(7_200)})
    assert answer.status_code == 200, answer.text
    (event,) = site.store.events("vectors")
    assert (event.kind, event.actor, event.body) == ("maintenance", "ana", {"until": NOW + 7_200, "note": "a new client"})
    assert site.client.post("/v1/monitors/vectors/maintenance", json={**ANA, "until": ends(-5)}).status_code == 400
    assert site.client.post("/v1/monitors/none/maintenance", json={**ANA, "until": ends(5)}).status_code == 404
    assert site.client.post("/v1/teams/none/maintenance", json={**ANA, "until": ends(5)}).status_code == 404
    assert site.client.get("/v1/maintenance").json()["monitors"] == []


@contextmanager
def leading(site: Site, **ways: Receiver) -> Iterator[None]:
    """A controller that sends."""
    outbox, stop = Outbox(site.store, ways, Silent(), rng=np.random.default_rng(3)), threading.Event()

    def run() -> None:
        while not stop.is_set():
            if not outbox.step(NOW + 1):
                stop.wait(0.02)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@pytest.mark.long
def test_a_test_goes_by_whoever_sends_all_news(make_site: MakeSite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial.awaited, "__kwdefaults__", {"seconds": 3.0})
    site, chat = make_site(), Receiver()
    site.client.app.state.service = replace(site.service, settings=settings)  # type: ignore[attr-defined]  # it is a FastAPI
    with leading(site, chat=chat, pager=Receiver(down=True)):
        answer = site.client.post("/v1/alerts/test", json={"actor": "ana"}).json()
    assert {way["destination"]: (way["state"], way["says"]) for way in answer["ways"]} == {
        "chat": ("delivered", ""),
        "pager": ("failed", "receiver: 503"),
    }
    assert chat.told == ["test"]
    assert any("Prometheus" in what for what in answer["not_covered"])
    (waiting,) = site.client.post("/v1/alerts/test", json={"actor": "ben", "destination": "chat"}).json()["ways"]
    assert waiting["state"] == "waiting"
    assert "is a controller running" in waiting["says"]


def test_one_test_at_a_time_keeps_a_thread(make_site: MakeSite, monkeypatch: pytest.MonkeyPatch) -> None:
    site, answers = make_site(), list[int]()
    site.client.app.state.service = replace(site.service, settings=settings)  # type: ignore[attr-defined]  # it is a FastAPI

    def meanwhile(*_: object) -> list[Outcome]:
        answers.append(site.client.post("/v1/alerts/test", json={"actor": "ben"}).status_code)
        return []

    monkeypatch.setattr(trial, "awaited", meanwhile)
    for _ in range(2):
        assert site.client.post("/v1/alerts/test", json={"actor": "ana"}).status_code == 200
    assert answers == [429, 429]


def test_nothing_to_test_is_said(site: Site) -> None:
    assert SETTINGS.teams == ()
    assert site.client.post("/v1/alerts/test", json={"actor": "ana"}).status_code == 404


def test_destinations_come_from_the_configuration_alone(site: Site) -> None:
    """No way over HTTP to name where something is sent, or what may be reached."""
    document = site.client.get("/openapi.json").json()
    takes = [
        (path, schema)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if method in {"post", "put", "patch"}
        for schema in [str(operation.get("requestBody", {}))]
    ]
    names = {
        name for name, schema in document["components"]["schemas"].items() if {"url", "urls", "allow"} & set(schema.get("properties", ()))
    }
    assert not [path for path, schema in takes if any(f"/{name}'" in schema for name in names)]
    for path in ("/v1/destinations", "/v1/outbound", "/v1/settings"):
        assert path not in document["paths"]
