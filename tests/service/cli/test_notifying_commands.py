"""`silence`, `maintenance` and `alert test`, beside no running server."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer

from tests.service.cli.conftest import Desk

pytestmark = pytest.mark.long

SECRET = "whsec_" + base64.b64encode(bytes(32)).decode()


def _told(document: dict[str, Any], url: str) -> None:
    """Its monitor tells a webhook, and its team a pager that is not there."""
    document["destinations"] += [
        {"type": "webhook", "name": "hook", "url": url, "secret_env": "HOOK_SECRET"},
        {"type": "pagerduty", "name": "pager", "key_env": "PAGER_KEY", "url": "http://127.0.0.1:9/enqueue"},
    ]
    document["outbound"] = {"allow": ["127.0.0.0/8"]}
    document["teams"] = [{"name": "payments", "routes": [{"to": ["pager"]}]}]
    document["monitors"][0] |= {"notify": ["hook"], "team": "payments"}


@pytest.fixture
def telling(at: Callable[[Path], Desk], referenced: Path, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    monkeypatch.setenv("PAGER_KEY", "k" * 32)
    httpserver.expect_request("/in").respond_with_data("")
    desk = at(referenced)
    desk.configure(lambda document: _told(document, httpserver.url_for("/in")))
    return desk


def test_a_test_through_every_way_says_what_came_of_each(telling: Desk, httpserver: HTTPServer) -> None:
    tried = telling.run("alert", "test", code=1)
    assert "delivered" in tried.stdout
    assert "failed" in tried.stdout
    assert "not covered: alerts by Prometheus rules" in tried.stdout.replace("\n", " ")
    ((request, _),) = httpserver.log
    assert request.get_json()["type"] == "alarm.test"
    found = telling.json("alert", "test", "--destination", "hook")
    assert [(way["destination"], way["state"]) for way in found["ways"]] == [("hook", "delivered")]


def test_what_is_not_there_can_t_be_tried(telling: Desk) -> None:
    assert "no team 'sales'" in telling.run("alert", "test", "--team", "sales", code=2).stderr


def test_a_silence_from_its_beginning_to_its_end(telling: Desk) -> None:
    (made,) = telling.json("silence", "add", "segment=locale=*", "severity=warning", "--hours", "1", "--note", "a new client")["silences"]
    assert made["matchers"] == {"segment": "locale=*", "severity": "warning"}
    assert made["id"] in telling.run("silence", "list").stdout
    assert telling.json("silence", "end", made["id"])["silences"][0]["state"] == "ended"
    assert "no silence holds" in telling.run("silence", "list").stdout
    assert len(telling.json("silence", "list", "--ended")["silences"]) == 1


@pytest.mark.parametrize("arguments", [("monitor",), ("monitor=",), ("monitor=a", "monitor=b"), ("colour=red",), ("monitor=*",)])
def test_a_silence_that_is_none_is_refused(telling: Desk, arguments: tuple[str, ...]) -> None:
    assert telling.run("silence", "add", *arguments, code=2).stderr


def test_a_pause_from_its_beginning_to_its_end(telling: Desk) -> None:
    (paused,) = telling.json("maintenance", "start", "--hours", "2", "--note", "a load test")["monitors"]
    assert paused["note"] == "a load test"
    assert paused["until"]
    assert "maintenance until" in telling.run("status").stdout
    assert paused["monitor"] in telling.run("maintenance", "list").stdout
    assert telling.json("maintenance", "end", "--team", "payments")["monitors"][0]["until"] is None
    assert "no monitor is in a maintenance pause" in telling.run("maintenance", "list").stdout
    assert "in no maintenance pause" in telling.run("maintenance", "end", code=1).stderr
    assert "not both" in telling.run("maintenance", "start", "--monitor", paused["monitor"], "--team", "payments", code=2).stderr
    said = [entry for entry in telling.json("ledger")["entries"] if entry["what"] == "maintenance"]
    assert [entry["says"].split(" [")[0] for entry in said] == [said[0]["says"].split(" [")[0], "ended"]
    assert "(a load test)" in said[0]["says"]


def test_a_pause_of_a_monitor_without_a_reference_waits_for_one(desk: Desk) -> None:
    assert "from its first reference on" in desk.run("maintenance", "start").stdout.replace("\n", " ")
