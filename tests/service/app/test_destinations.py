"""Destinations follow the configuration: what is new or changed is opened, what is gone is closed, and a mistake changes nothing."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer

from service import annotation
from service.adapters.folder import FolderDestination
from service.adapters.kafka import KafkaEvents
from service.adapters.sqlite import SqliteStore
from service.adapters.webhook import WebhookDestination
from service.app.destinations import Destinations
from service.datasets import DataSets
from service.errors import ConfigurationError
from service.exhibits import Exhibits
from service.links import NO_LINKS, Links
from service.records import AnnotationBatch, BatchState, Candidate
from service.settings import Settings, parse

SECRET = "whsec_" + base64.b64encode(bytes(32)).decode()
LINKS = Links(["a-secret-that-signs-links-in-tests"], "https://drift.example")
HOOK = {"type": "webhook", "name": "hook", "url": "https://hooks.example.org/in", "secret_env": "HOOK_SECRET"}


def declared(*destinations: dict[str, Any], **more: Any) -> Settings:
    return parse({"destinations": list(destinations), **more}, base=Path("/nowhere"))


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK_SECRET", SECRET)


@pytest.fixture
def store() -> Iterator[SqliteStore]:
    with closing(SqliteStore(":memory:")) as store:
        yield store


@pytest.fixture
def exhibits(store: SqliteStore, tmp_path: Path) -> Exhibits:
    return Exhibits(store, DataSets(tmp_path))


def close(destinations: Destinations) -> None:
    destinations.follow(declared())
    assert not destinations


def test_each_type_has_its_class(exhibits: Exhibits) -> None:
    folder = {"type": "folder", "name": "inbox", "path": "inbox"}
    topic = {"type": "kafka", "name": "events", "topic": "driftgate-events"}
    made = Destinations(declared(HOOK, folder, topic, kafka={"brokers": ["broker:9092"]}), LINKS, exhibits)
    assert {name: type(destination) for name, destination in made.items()} == {
        "hook": WebhookDestination,
        "inbox": FolderDestination,
        "events": KafkaEvents,
    }
    close(made)


def test_each_way_of_telling_has_its_class(exhibits: Exhibits, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", "k" * 32)
    monkeypatch.setenv("ADDRESS", "https://hooks.example.org/services/T/B/x")
    alerts = {"type": "alertmanager", "name": "alerts", "urls": ["https://alerts.example.org"]}
    pager = {"type": "pagerduty", "name": "pager", "key_env": "KEY"}
    made = Destinations(declared(alerts, pager, {"type": "slack", "name": "chat", "url_env": "ADDRESS"}), LINKS, exhibits)
    assert [type(destination).__name__ for destination in made.values()] == [
        "AlertmanagerDestination",
        "PagerDutyDestination",
        "SlackDestination",
    ]
    before = dict(made)
    made.follow(declared(alerts, pager, outbound={"allow": ["alerts.example.org"]}))
    assert made["pager"] is not before["pager"], "what may be reached has changed for all of them"
    with pytest.raises(ConfigurationError, match="no integration key in environment variable MISSING"):
        made.follow(declared({**pager, "key_env": "MISSING"}))
    close(made)


def test_only_what_changed_is_opened_anew(exhibits: Exhibits) -> None:
    other = {**HOOK, "name": "other"}
    made = Destinations(declared(HOOK, other), LINKS, exhibits)
    before = dict(made)
    made.follow(declared(HOOK, {**other, "timeout": 5.0}))

    assert made["hook"] is before["hook"]
    assert made["other"] is not before["other"]
    made.follow(declared(other))
    assert set(made) == {"other"}
    close(made)


def test_a_secret_that_is_missing_leaves_all_as_it_was(exhibits: Exhibits) -> None:
    made = Destinations(declared(HOOK), LINKS, exhibits)
    before = dict(made)
    with pytest.raises(ConfigurationError, match="no secret in environment variable MISSING"):
        made.follow(declared({**HOOK, "secret_env": "MISSING"}))
    assert dict(made) == before
    close(made)


@pytest.mark.parametrize(("links", "payload", "has_text"), [(LINKS, "link", False), (LINKS, "inline", True), (NO_LINKS, "link", True)])
def test_batches_go_by_link_where_there_are_links_and_nobody_wants_them_inline(
    httpserver: HTTPServer, store: SqliteStore, exhibits: Exhibits, links: Links, payload: str, has_text: bool
) -> None:
    httpserver.expect_request("/in").respond_with_data("", 204)
    hook = {**HOOK, "url": httpserver.url_for("/in"), "payload": payload}
    made = Destinations(declared(hook, outbound={"allow": [httpserver.host]}), links, exhibits)
    batch = AnnotationBatch("b1", "chat", "c1", 1, BatchState.SENT, (Candidate("m-1", "", 0.1, "all", "words"),), 1.0, version=1)
    store.save(batch)
    made["hook"].deliver(annotation.outgoing(batch, destination="hook", price=None, now=1.0), now=1.0)

    (candidate,) = httpserver.log[0][0].get_json()["data"]["candidates"]
    assert ("text" in candidate, "link" in candidate) == (has_text, not has_text)
    close(made)
