"""Lists are read page by page, alike everywhere, and say themselves how to go on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest

from service.records import Alarm, AlarmState, DeadLetter, OutboxItem, Partition, Rejected
from tests.service.api.conftest import NOW, Site


def pages(site: Site, path: str, **query: Any) -> Iterator[dict[str, Any]]:
    """Every page, by the links that the answers carry."""
    answer = site.client.get(path, params=query)
    while True:
        assert answer.status_code == 200, answer.text
        page = answer.json()
        yield page
        assert (page["next"] is not None) == ("next" in answer.links)
        if page["next"] is None:
            return
        assert answer.links["next"]["url"].startswith(path)
        answer = site.client.get(answer.links["next"]["url"])


def ids(site: Site, path: str, key: str, **query: Any) -> list[list[str]]:
    return [[row.get("id", row.get("monitor")) for row in page[key]] for page in pages(site, path, **query)]


def test_alarms_come_page_by_page_narrowed_as_asked(site: Site, make_alarm: Callable[..., Alarm]) -> None:
    site.store.save(*(make_alarm(f"a{number}", opened=NOW + number) for number in range(5)))
    site.store.save(make_alarm("other", monitor="vectors"), replace(make_alarm("a3"), version=2, state=AlarmState.RESOLVED))

    assert ids(site, "/v1/alarms", "alarms", monitor="support", limit=2) == [["a4", "a3"], ["a2", "a1"], ["a0"]]
    assert ids(site, "/v1/alarms", "alarms", state="open", monitor="support", limit=3) == [["a4", "a2", "a1"], ["a0"]]
    assert ids(site, "/v1/alarms", "alarms", limit=6) == [["a4", "a3", "a2", "a1", "other", "a0"]]


def test_pages_stay_while_alarms_are_added_and_change(site: Site, make_alarm: Callable[..., Alarm]) -> None:
    site.store.save(*(make_alarm(f"a{number}", opened=NOW + number) for number in range(4)))
    first = site.client.get("/v1/alarms", params={"limit": 2, "state": "open"}).json()
    site.store.save(make_alarm("new", opened=NOW + 9), replace(make_alarm("a2"), version=2, state=AlarmState.RESOLVED))

    assert ids(site, "/v1/alarms", "alarms", limit=2, state="open", cursor=first["next"]) == [["a1", "a0"]]


def test_items_and_letters_come_page_by_page(site: Site) -> None:
    for number in range(3):
        site.store.save(outbox=[OutboxItem(f"o{number}", "alarm.opened", "hook", {}, created=NOW)])
    letters = [DeadLetter(Partition("http", "t"), number, NOW, Rejected("not_json", "no", b"{", 0, "support")) for number in range(3)]
    site.store.add_dead_letters(letters)

    assert ids(site, "/v1/outbox", "items", limit=2) == [["o2", "o1"], ["o0"]]
    assert ids(site, "/v1/dead-letters", "dead_letters", limit=2, monitor="support") == [
        [letters[2].id, letters[1].id],
        [letters[0].id],
    ]


def test_what_is_at_hand_as_a_whole_comes_page_by_page_too(site: Site) -> None:
    assert ids(site, "/v1/monitors", "monitors", limit=1) == [["support"], ["vectors"]]
    assert ids(site, "/v1/monitors", "monitors") == [["support", "vectors"]]


@pytest.mark.parametrize("path", ["/v1/alarms", "/v1/batches", "/v1/refresh", "/v1/outbox", "/v1/dead-letters", "/v1/monitors"])
def test_a_page_after_nothing_that_is_there_is_refused(site: Site, path: str) -> None:
    answer = site.client.get(path, params={"cursor": "a\r\nX-Evil: 1"})
    assert (answer.status_code, answer.json()["error"]) == (400, "cursor")
    assert "begin again" in answer.json()["message"]


@pytest.mark.parametrize("limit", ["0", "1001", "-1", "x", "1e3"])
def test_pages_have_a_bounded_size(site: Site, limit: str) -> None:
    answer = site.client.get("/v1/alarms", params={"limit": limit})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["where"] == "query.limit"


def test_an_id_that_needs_it_is_quoted_in_the_link(site: Site) -> None:
    odd = 'o"><1>; rel="evil"\r\nSet-Cookie: a=1'
    for name in (odd, "newer"):
        site.store.save(outbox=[OutboxItem(name, "alarm.opened", "hook", {}, created=NOW)])
    site.store.save(outbox=[OutboxItem("newest", "alarm.opened", "hook", {}, created=NOW)])
    answer = site.client.get("/v1/outbox", params={"limit": 2, "cursor": "newest"})
    assert answer.links == {}
    answer = site.client.get("/v1/outbox", params={"limit": 2})
    assert answer.links["next"]["url"].endswith(f"cursor={quote('newer')}")
