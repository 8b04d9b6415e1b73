"""What the model fails on, and what is like it, over HTTP: the real application over a model of texts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.testclient import TestClient

from service.adapters.sqlite import SqliteStore
from service.api import create_app
from service.api.context import Service
from service.datasets import DataSets
from service.failures.listing import Failures
from service.ports import Embedder
from service.records import AnnotationBatch
from service.reference import References
from service.settings import MonitorSettings
from service.similar.mining import Mining
from tests.service.failures.conftest import answered
from tests.service.text_site import Installed, Site

pytestmark = pytest.mark.long

ANA = {"actor": "ana", "note": "a customer complained"}


@dataclass
class Desk:
    client: TestClient
    texts: Site
    service: Service

    def post(self, path: str, body: Any) -> Any:
        return self.client.post(f"/v1/monitors/chat/{path}", json=body)


@pytest.fixture
def desk(site: Any, taught: tuple[MonitorSettings, Path], embedder: Embedder) -> Iterator[Desk]:
    settings, folder = taught
    with closing(SqliteStore(":memory:")) as store:
        texts = Site(settings, store, References(folder / "references"), DataSets(folder), embedder)
        installed = Installed(texts)
        failures = Failures(store, texts.references, texts.data_sets, installed)
        similar = Mining(store, texts.references, texts.data_sets, failures, installed, sends=installed)
        declaring = SimpleNamespace(declared={"chat": SimpleNamespace(settings=settings)})
        service = replace(site.service, store=store, failures=failures, similar=similar, declaring=declaring)
        yield Desk(TestClient(create_app(service), base_url="http://127.0.0.1:8080", raise_server_exceptions=False), texts, service)


def test_a_sample_is_marked_listed_and_taken_back(desk: Desk) -> None:
    desk.texts.keep([answered("event/7", "my money please", "parcel"), answered("m2", "the courier", "parcel")])
    made = desk.post("failures", {**ANA, "sample": "event/7", "label": "refund"})
    assert (made.status_code, made.json()["state"], made.json()["label"]) == (201, "marked", "refund")
    assert made.json() == desk.post("failures", {**ANA, "sample": "event/7", "label": "refund"}).json()
    found = desk.client.get("/v1/monitors/chat/failures", params={"samples": 1}).json()
    (cluster,) = found["clusters"]
    assert (cluster["label"], cluster["answer"], cluster["distinct"], cluster["marked"]) == ("refund", "parcel", 1, 1)
    assert [(each["id"], each["marked_by"], each["note"]) for each in cluster["failures"]] == [("event/7", "ana", ANA["note"])]
    assert {each["cause"] for each in cluster["evidence"]} == {"corruption", "label error", "coverage gap", "shift", "ambiguity"}
    gone = desk.client.delete("/v1/monitors/chat/failures/event/7", params={"actor": "ana"})
    assert (gone.status_code, gone.json()["state"]) == (200, "unmarked")
    assert desk.client.get("/v1/monitors/chat/failures").json()["clusters"] == []


def test_a_sample_that_is_not_kept_comes_in_the_body(desk: Desk) -> None:
    body = {**ANA, "sample": {"id": "g1", "text": "the courier is still about"}, "label": "weather"}
    assert desk.post("failures", body).json()["sample"] == "g1"
    (cluster,) = desk.client.get("/v1/monitors/chat/failures").json()["clusters"]
    assert (cluster["failures"][0]["text"], cluster["answer"]) == ("the courier is still about", "parcel")


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ({**ANA, "sample": "nope"}, 404, "send it along"),
        ({**ANA, "sample": "m1", "label": "refnd"}, 400, "allowed: refund, parcel, weather"),
        ({**ANA, "sample": "m1", "label": "parcel"}, 400, "is what the model answered"),
        ({**ANA, "sample": {"text": "my money"}}, 400, "the sample has no id"),
        ({**ANA, "sample": {"id": "g1", "text": " "}}, 400, "empty"),
        ({"sample": "m1"}, 422, "actor"),
        ({**ANA, "sample": "m1", "lable": "refund"}, 422, "lable"),
    ],
)
def test_what_can_not_be_marked_says_what_to_do(desk: Desk, body: Any, status: int, says: str) -> None:
    desk.texts.keep([answered("m1", "my money please", "parcel")])
    answer = desk.post("failures", body)
    assert answer.status_code == status
    assert says in answer.text


def test_what_is_like_a_failure_cluster_is_found_and_sent(desk: Desk) -> None:
    desk.texts.keep(
        [
            answered("f1", "my money please", "parcel"),
            *(answered(f"s{i}", f"money {text}", "parcel") for i, text in enumerate(("is", "and a", "for it"))),
        ]
    )
    desk.texts.keep([answered("other", "a storm today", "weather")])
    desk.post("failures", {**ANA, "sample": "f1", "label": "refund"})
    (cluster,) = desk.client.get("/v1/monitors/chat/failures").json()["clusters"]
    body = {"failure": cluster["id"], "predicted": "parcel", "limit": 2, "send": True, "actor": "ana"}
    found = desk.post("similar", body).json()
    assert found["searched"] == 3
    assert len(found["matches"]) == 2
    assert {match["near"] for match in found["matches"]} == {"f1"}
    assert found["cycle"]["state"] == "annotating"
    batch = desk.texts.store.get(AnnotationBatch, found["cycle"]["batch"])
    assert {item.id for item in batch.items} == {match["id"] for match in found["matches"]}
    assert all(item.failure == cluster["id"] and "asked for by ana" in item.reason for item in batch.items)
    again = desk.post("similar", {**body, "send": False}).json()
    assert all(match["asked"] for match in again["matches"])


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ({}, 400, "name one thing to be near to"),
        ({"sample": "s0", "set": "golden"}, 400, "found 2"),
        ({"sample": "nope"}, 404, "no sample 'nope'"),
        ({"failure": "zz"}, 404, "no failure cluster 'zz'; there are: none"),
        ({"set": "gold"}, 400, "write ROLE or ROLE:VERSION"),
        ({"set": "golden:9"}, 404, "no golden set version 9; there: 1"),
        ({"sample": "s0", "confidence": [0.9, 0.1]}, 400, "lowest and highest, between 0 and 1"),
        ({"sample": "s0", "segment": "locale"}, 400, "write tag=value"),
        ({"sample": "s0", "since": "2026-03-01T12:00:00Z", "until": "2026-03-01T12:00:00Z"}, 400, "since must lie before until"),
        ({"sample": "s0", "limit": 0}, 422, "limit"),
        ({"sample": "s0", "send": True}, 422, "say who sends"),
        ({"sample": "s0", "send": True, "actor": "ana", "predicted": "weather"}, 409, "none is without a label"),
    ],
)
def test_what_can_not_be_searched_says_what_to_do(desk: Desk, body: Any, status: int, says: str) -> None:
    desk.texts.keep([answered("s0", "my money please", "parcel")])
    answer = desk.post("similar", body)
    assert answer.status_code == status
    assert says in answer.text


def test_what_reads_everything_kept_is_answered_one_at_a_time(desk: Desk) -> None:
    desk.texts.keep([answered("s0", "my money please", "parcel")])
    with desk.service.alone():
        refused = [
            desk.post("similar", {"sample": "s0"}),
            desk.client.get("/v1/monitors/chat/failures"),
            desk.client.get("/v1/monitors/chat/candidates"),
            desk.post("refresh", ANA),
        ]
    assert [(answer.status_code, answer.headers["Retry-After"]) for answer in refused] == [(429, "5")] * 4
    assert desk.post("similar", {"sample": "s0"}).status_code == 200
