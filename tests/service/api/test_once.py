"""A change that is sent twice with the same key is made once, and answered alike."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from service.api.once import GIVEN_UP, MOST_BYTES, MOST_KEYS, takes_key
from service.api.openapi import ONCE, operations
from service.privacy.requests import DAY
from service.records import Alarm, KeyedAnswer, RefreshCycle
from tests.service.api.conftest import NOW, MakeSite, Site

ACT = {"actor": "ana", "note": "seen"}
KEY = {"Idempotency-Key": "7f9c2ba4"}


class Clock:
    """Moves when it is told to."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def alarmed(site: Site, make_alarm: Callable[..., Alarm]) -> Site:
    site.store.save(make_alarm("a1"), make_alarm("a2"))
    return site


def act(site: Site, path: str = "/v1/alarms/a1/acknowledge", body: Any = ACT, **headers: str) -> Any:
    return site.client.post(path, json=body, headers=KEY | headers)


def test_the_same_key_gets_the_first_answer_and_changes_nothing(alarmed: Site) -> None:
    first, again = act(alarmed), act(alarmed)
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.json() == again.json()
    assert again.headers["idempotency-replayed"] == "true"
    assert again.headers["etag"] == first.headers["etag"] == '"2"'
    assert "idempotency-replayed" not in first.headers
    assert alarmed.store.get(Alarm, "a1").version == 2


def test_a_created_thing_is_made_once(site: Site) -> None:
    first, again = act(site, "/v1/monitors/support/refresh"), act(site, "/v1/monitors/support/refresh")
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json()["id"] == again.json()["id"]
    assert len(site.store.find(RefreshCycle)) == 1


@pytest.mark.parametrize("other", [{"path": "/v1/alarms/a2/acknowledge"}, {"body": {"actor": "bob"}}, {"path": "/v1/alarms/a1/resolve"}])
def test_a_key_stands_for_one_request(alarmed: Site, other: dict[str, Any]) -> None:
    act(alarmed)
    answer = act(alarmed, **other)
    assert (answer.status_code, answer.json()["error"]) == (422, "idempotency")
    assert alarmed.store.get(Alarm, "a2").version == 1


def test_what_failed_may_be_tried_again_under_its_key(alarmed: Site, make_alarm: Callable[..., Alarm]) -> None:
    assert act(alarmed, "/v1/alarms/later/acknowledge").status_code == 404
    assert act(alarmed, body={}).status_code == 422
    alarmed.store.save(make_alarm("later"))
    assert act(alarmed, "/v1/alarms/later/acknowledge").status_code == 200


def test_while_one_is_answered_the_other_waits(alarmed: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    inside, go_on, answers = threading.Event(), threading.Event(), list[Any]()
    real = alarmed.service.actions.acknowledge

    def slow(*given: Any, **named: Any) -> Alarm:
        inside.set()
        assert go_on.wait(10)
        return real(*given, **named)

    monkeypatch.setattr(alarmed.service.actions, "acknowledge", slow)
    thread = threading.Thread(target=lambda: answers.append(act(alarmed)))
    thread.start()
    assert inside.wait(10)
    meanwhile = act(alarmed)
    go_on.set()
    thread.join()

    assert (meanwhile.status_code, meanwhile.json()["error"]) == (409, "idempotency")
    assert meanwhile.headers["retry-after"]
    assert answers[0].status_code == act(alarmed).status_code == 200


def test_a_key_is_free_again_after_a_day_and_not_before_whatever_happened(make_site: MakeSite, make_alarm: Callable[..., Alarm]) -> None:
    clock = Clock()
    site = make_site(clock=clock)
    site.store.save(make_alarm("a1"))
    act(site)
    clock.now += DAY + 1
    assert "idempotency-replayed" not in act(site).headers

    (kept,) = site.store.find(KeyedAnswer)
    site.store.save(replace(kept, status=None, version=kept.version + 1))
    assert act(site).status_code == 409
    clock.now += GIVEN_UP + 1
    answer = act(site)
    assert (answer.status_code, "never answered" in answer.json()["message"]) == (409, True)
    assert "retry-after" not in answer.headers
    clock.now += DAY
    assert act(site).status_code == 200


def test_keys_are_bounded_the_oldest_hours_go_first(make_site: MakeSite) -> None:
    clock = Clock()
    site = make_site(clock=clock)

    def fill(count: int, hour: float) -> None:
        state = f"{hour // 3600:.0f}"
        site.store.save(*(KeyedAnswer(f"{state}-{number}", "r", state, hour, 200) for number in range(count)))

    fill(3, NOW - 2 * DAY)
    fill(MOST_KEYS - 2, NOW - 7_200)
    fill(2, NOW - 3_600)
    act(site, "/v1/monitors/support/refresh")
    assert sorted(site.store.tally(KeyedAnswer).values()) == [1, 2]

    fill(MOST_KEYS, NOW)
    answer = act(site, "/v1/monitors/support/refresh", **{"Idempotency-Key": "another"})
    assert (answer.status_code, answer.json()["error"]) == (429, "backlog_full")


def test_an_answer_too_large_to_be_kept_is_not_made_twice(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.api.once.MOST_BYTES", 10)
    assert MOST_BYTES > 10
    assert act(site, "/v1/monitors/support/refresh").status_code == 201
    assert act(site, "/v1/monitors/support/refresh").status_code == 409
    assert len(site.store.find(RefreshCycle)) == 1


@pytest.mark.parametrize("key", ["", "a b", "x" * 201, "ä"])
def test_a_key_that_can_not_be_one_is_refused(alarmed: Site, key: str) -> None:
    answer = alarmed.client.post("/v1/alarms/a1/acknowledge", json=ACT, headers={b"Idempotency-Key": key.encode("latin-1")})
    assert (answer.status_code, answer.json()["error"]) == (400, "idempotency")
    assert alarmed.store.get(Alarm, "a1").version == 1


def test_a_body_beyond_the_limit_is_refused_under_a_key_too(make_site: MakeSite) -> None:
    site = make_site(max_body_bytes=100)
    answer = site.client.post("/v1/alarms/a1/acknowledge", content=iter([b"x" * 90, b"x" * 90]), headers=KEY)
    assert (answer.status_code, answer.json()["error"]) == (413, "too_large")


def test_the_document_says_where_keys_are_taken(site: Site) -> None:
    document = site.client.get("/openapi.json").json()
    for method, path, operation in operations(document):
        names = {parameter["name"] for parameter in operation.get("parameters", ())}
        assert (ONCE in names) == (method == "POST" and takes_key(path)), path


@pytest.mark.parametrize("path", ["/v1/monitors/support/samples", "/v1/monitors/support/labels", "/v1/cloudevents", "/v1/tokens"])
def test_some_take_none(path: str) -> None:
    assert not takes_key(path)
