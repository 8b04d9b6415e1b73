"""What was read is changed only as it was read, and not sent again while it is the same."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from service.api.openapi import operations
from service.records import Alarm
from tests.service.api.conftest import Site

ACT = {"actor": "ana"}


@pytest.fixture
def alarmed(site: Site, make_alarm: Callable[..., Alarm]) -> Site:
    site.store.save(make_alarm("a1"))
    return site


def test_a_change_of_what_was_read_is_made(alarmed: Site) -> None:
    tag = alarmed.client.get("/v1/alarms/a1").headers["etag"]
    changed = alarmed.client.post("/v1/alarms/a1/acknowledge", json=ACT, headers={"If-Match": tag})
    assert (changed.status_code, changed.headers["etag"]) == (200, '"2"')
    assert alarmed.client.get("/v1/alarms/a1").headers["etag"] == '"2"'


@pytest.mark.parametrize("condition", ['"7"', 'W/"0"', '"7", "8"', "nonsense", ""])
def test_a_change_of_something_else_is_refused(alarmed: Site, condition: str) -> None:
    answer = alarmed.client.post("/v1/alarms/a1/acknowledge", json=ACT, headers={"If-Match": condition})
    assert (answer.status_code, answer.json()["error"]) == (412, "precondition")
    assert alarmed.store.get(Alarm, "a1").version == 1


@pytest.mark.parametrize("condition", ['"1"', 'W/"1"', '"7", "1"', "*"])
def test_a_condition_may_be_said_in_several_ways(alarmed: Site, condition: str) -> None:
    assert alarmed.client.post("/v1/alarms/a1/acknowledge", json=ACT, headers={"If-Match": condition}).status_code == 200


def test_batches_and_cycles_are_changed_under_conditions_too(site: Site) -> None:
    cycle = site.client.post("/v1/monitors/support/refresh", json=ACT)
    assert cycle.headers["etag"] == f'"{cycle.json()["version"]}"'
    batch = site.client.get(f"/v1/batches/{cycle.json()['batch']}")
    for path in (f"/v1/batches/{batch.json()['id']}/approve", f"/v1/refresh/{cycle.json()['id']}/cancel"):
        assert site.client.post(path, json=ACT, headers={"If-Match": '"99"'}).status_code == 412
        assert site.client.post("/v1/batches/none/approve", json=ACT, headers={"If-Match": '"1"'}).status_code == 404
    assert site.client.post(f"/v1/batches/{batch.json()['id']}/approve", json=ACT, headers={"If-Match": batch.headers["etag"]}).is_success


@pytest.mark.parametrize("path", ["/v1/alarms/a1", "/v1/alarms", "/v1/monitors", "/v1/monitors/support/declaration", "/v1/fleet"])
def test_what_did_not_change_is_not_sent_again(alarmed: Site, path: str) -> None:
    first = alarmed.client.get(path)
    assert first.headers["etag"]
    for known in (first.headers["etag"], f'"other", {first.headers["etag"]}', "*"):
        again = alarmed.client.get(path, headers={"If-None-Match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
    assert alarmed.client.get(path, headers={"If-None-Match": '"other"'}).json() == first.json()


def test_what_changed_is_sent(alarmed: Site) -> None:
    tags = [alarmed.client.get(path).headers["etag"] for path in ("/v1/alarms/a1", "/v1/alarms")]
    alarmed.client.post("/v1/alarms/a1/acknowledge", json=ACT)
    for path, tag in zip(("/v1/alarms/a1", "/v1/alarms"), tags, strict=True):
        answer = alarmed.client.get(path, headers={"If-None-Match": tag})
        assert answer.status_code == 200
        assert answer.headers["etag"] != tag


def test_refusals_carry_no_tag(site: Site) -> None:
    assert "etag" not in site.client.get("/v1/alarms/none", headers={"If-None-Match": "*"}).headers


def test_the_document_says_what_is_changed_under_a_condition(site: Site) -> None:
    document = site.client.get("/openapi.json").json()
    under = {path for method, path, operation in operations(document) if "412" in operation["responses"] and method != "GET"}
    assert {"/v1/alarms/{id}/verdict", "/v1/batches/{id}", "/v1/refresh/{id}/promote", "/v1/refresh/{id}/model"} <= under
