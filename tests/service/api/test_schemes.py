"""Label schemes and the further acts on batches, by API."""

from __future__ import annotations

from typing import Any

import pytest

from service.api.context import Service
from service.records import LabelScheme

pytestmark = pytest.mark.long

ACT = {"actor": "ana", "note": "known campaign"}
SCHEME = "/v1/monitors/support/scheme"


def body(*names: str, **more: Any) -> dict[str, Any]:
    return {"classes": [{"name": name} for name in names], "actor": "ana", **more}


@pytest.fixture
def batch(site: Any) -> str:
    return str(site.client.post("/v1/monitors/support/refresh", json=ACT).json()["batch"])


def test_a_scheme_is_written_version_by_version(site: Any) -> None:
    empty = site.client.get(SCHEME)
    assert (empty.json()["number"], empty.json()["classes"], empty.headers["ETag"]) == (1, [], '"1"')
    written = site.client.put(SCHEME, json=body("refund", "other", guideline="all of it"), headers={"If-Match": '"1"'})
    assert (written.status_code, written.json()["number"], written.json()["actor"], written.headers["ETag"]) == (200, 2, "ana", '"2"')
    assert site.client.put(SCHEME, json=body("refund", "other", guideline="all of it")).json()["number"] == 2, "nothing is new"
    renamed = site.client.put(SCHEME, json=body("money back", "other", renamed={"refund": "money back"})).json()
    assert (renamed["number"], renamed["renamed"]) == (3, [["refund", "money back"]])
    assert [each["number"] for each in site.client.get(f"{SCHEME}/versions").json()["versions"]] == [3, 2, 1]
    assert site.client.get(SCHEME, params={"number": 2}).json() == written.json()


@pytest.mark.parametrize(
    ("form", "headers", "status", "why"),
    [
        (body("a"), {"If-Match": '"7"'}, 409, "version 1 of its label scheme is in force"),
        (body("a"), {"If-Match": "newest"}, 400, "is no version"),
        (body("a", "A"), {}, 400, "every word has one meaning"),
        (body("unusable"), {}, 400, "is an answer of its own"),
        (body(), {}, 422, "classes"),
        ({"classes": [{"name": "a", "alias": ["x"]}], "actor": "ana"}, {}, 422, "alias"),
        ({"classes": [{"name": "a"}]}, {}, 422, "actor"),
    ],
)
def test_what_can_not_be_a_scheme_changes_nothing(site: Any, form: dict[str, Any], headers: dict[str, str], status: int, why: str) -> None:
    refused = site.client.put(SCHEME, json=form, headers=headers)
    assert (refused.status_code, why in refused.text) == (status, True)
    service: Service = site.service
    assert not service.store.find(LabelScheme)


def test_schemes_of_nobody_and_versions_that_are_none(site: Any) -> None:
    assert site.client.get("/v1/monitors/nobody/scheme").status_code == 404
    assert "it has none yet" in site.client.get(SCHEME, params={"number": 3}).json()["message"]


def test_a_batch_s_manifest_and_answers(site: Any, batch: str) -> None:
    found = site.client.get(f"/v1/batches/{batch}/manifest").json()
    assert (found["intact"], [item["id"] for item in found["manifest"]["items"]]) == (True, ["m-1", "m-2"])
    answers = site.client.get(f"/v1/batches/{batch}/answers").json()
    assert answers["waits"] == "annotation.approval is operator: a person approves every batch"
    assert (answers["labels"], answers["price"], answers["answers"], answers["annotators"]) == (2, None, [], [])
    line = site.client.get(f"/v1/batches/{batch}").json()
    assert (line["scheme"], line["deadline"], line["manifest"], line["items"][0]["blind"]) == (1, None, found["checksum"], True)


def test_priorities_are_set_and_batches_cancelled(site: Any, batch: str) -> None:
    assert site.client.patch(f"/v1/batches/{batch}", json={"actor": "ana", "priority": 9}).json()["priority"] == 9
    assert site.client.patch(f"/v1/batches/{batch}", json={"actor": "ana", "priority": 12}).status_code == 422
    assert site.client.patch(f"/v1/batches/{batch}", json={"actor": "ana", "priority": 2.5}).status_code == 400
    assert site.client.patch(f"/v1/batches/{batch}", json={"actor": "ana", "priority": 1, "item": "m-1"}).status_code == 409, "blind"
    assert site.client.patch(f"/v1/batches/{batch}", json={"actor": "ana", "priority": 1, "item": "m-9"}).status_code == 404
    site.client.post(f"/v1/batches/{batch}/approve", json=ACT)
    cancelled = site.client.post(f"/v1/batches/{batch}/cancel", json=ACT).json()
    assert (cancelled["state"], cancelled["destination"], cancelled["history"][-1]["note"]) == ("cancelled", "annotators", "known campaign")
    kinds = {item["kind"] for item in site.client.get("/v1/outbox").json()["items"]}
    assert kinds == {"annotation.batch", "annotation.cancelled"}
    assert site.client.post(f"/v1/batches/{batch}/cancel", json=ACT).status_code == 409
