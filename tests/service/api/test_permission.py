"""Who is let in: every route but the probes asks for the token off loopback, and only for it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook

from service.access import Access
from service.records import AnnotationBatch
from service.signatures import Secret

TOKEN = "correct-horse-battery"
JSON = {"content-type": "application/json"}
OPEN = {"/healthz", "/readyz", "/v1/links/{token}", "/v1/annotations/label-studio/{destination}"}


@pytest.fixture
def guarded(make_site: Any) -> Any:
    """Off loopback, with a token."""
    return make_site(access=Access(loopback=False, token=TOKEN))


def test_every_operation_but_the_probes_asks_for_the_token(guarded: Any) -> None:
    operations = [(m, path) for path, methods in guarded.client.app.openapi()["paths"].items() for m in methods]
    refused = {path for method, path in operations if guarded.client.request(method, path, content=b"{}").status_code == 401}
    assert {path for _, path in operations} - refused == OPEN


@pytest.mark.parametrize("path", ["/docs", "/openapi.json", "/metrics", "/nowhere", "/healthz/", "/readyz/../metrics"])
def test_other_paths_ask_for_the_token_too(guarded: Any, path: str) -> None:
    answer = guarded.client.get(path)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["error"] == "token"


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer wrong-horse-battery", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer ü"])
def test_a_wrong_token_is_refused(guarded: Any, authorization: str) -> None:
    assert guarded.client.get("/v1/monitors", headers={"authorization": authorization.encode()}).status_code == 401


@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
def test_the_token_as_bearer(guarded: Any, scheme: str) -> None:
    assert guarded.client.get("/metrics", headers={"authorization": f"{scheme} {TOKEN}"}).status_code == 200


def test_the_token_in_the_path_opens_events_only(guarded: Any) -> None:
    event = {"ce-specversion": "1.0", "ce-id": "1", "ce-type": "x", "ce-source": "s"}
    statuses = {
        path: guarded.client.post(path, json={}, headers=event).status_code
        for path in (f"/v1/cloudevents/{TOKEN}", "/v1/cloudevents/wrong", f"/v1/monitors/{TOKEN}/samples", f"/v1/cloudevents/{TOKEN}/x")
    }
    assert list(statuses.values()) == [202, 401, 401, 401]


def test_a_refused_request_is_not_read(guarded: Any) -> None:
    assert guarded.client.post("/v1/monitors/support/samples", json={"text": "hello"}).status_code == 401
    assert guarded.logged() == []


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8080", "[::1]:8080", "driftgate.localhost"])
def test_on_loopback_everything_is_open_under_local_names(site: Any, host: str) -> None:
    assert site.client.get("/v1/monitors", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:8080", "[::1", "169.254.1.1"])
def test_on_loopback_other_names_are_refused(site: Any, host: str) -> None:
    """A web page whose name was pointed at this machine must not reach the API."""
    answer = site.client.get("/v1/monitors", headers={"host": host})
    assert (answer.status_code, answer.json()["error"]) == (403, "host")


# --- labels: signed or not at all


def asked(site: Any) -> str:
    """A batch that annotators have: its id."""
    batch = site.service.actions.open_refresh("support", actor="ana", note="", now=site.service.clock()).batch
    site.service.actions.approve_batch(batch, actor="ana", note="", now=site.service.clock())
    return str(batch)


def delivery(batch: str) -> str:
    labels = [{"id": "m-1", "label": "refund", "annotator": "ana"}, {"id": "m-2", "unusable": True}, {"id": "m-9", "label": "refund"}]
    return json.dumps({"type": "annotation.returned", "timestamp": "2026-03-01T11:59:00Z", "data": {"batch": batch, "labels": labels}})


def signed(secret: str, body: str, *, now: float, id: str = "msg_1") -> dict[str, str]:
    moment = datetime.fromtimestamp(now, UTC)
    signature = Webhook(secret).sign(id, moment, body)
    return {
        **JSON,
        "webhook-id": id,
        "webhook-timestamp": str(int(now)),
        "webhook-signature": signature,
    }


def test_signed_labels_need_no_token(make_site: Any, webhook_secret: str) -> None:
    site = make_site(access=Access(loopback=False, token=TOKEN, webhook_secrets=(Secret.parse(webhook_secret),)))
    now, batch = site.service.clock(), asked(site)
    body = delivery(batch)
    first = site.client.post("/v1/annotations", content=body, headers=signed(webhook_secret, body, now=now))
    again = site.client.post("/v1/annotations", content=body, headers=signed(webhook_secret, body, now=now + 5))
    for answer in (first, again):
        assert (answer.status_code, answer.json()) == (202, {"delivery": "msg_1", "state": "pending"})
    assert site.service.inbox.step(now) == 1
    told = site.client.get("/v1/annotations/msg_1", headers={"authorization": f"Bearer {TOKEN}"}).json()
    assert (told["state"], told["count"], told["changed"], told["unknown"]) == ("taken", 3, 2, ["m-9"])
    assert (site.store.get(AnnotationBatch, batch).state, site.store.get(AnnotationBatch, batch).returned) == ("closed", 2)
    assert {(label.sample, label.label, label.unusable) for label in site.store.labels("support", batch=batch)} == {
        ("m-1", "refund", False),
        ("m-2", None, True),
    }


@pytest.mark.parametrize("fault", ["body", "id", "stale", "unsigned", "other secret"])
def test_labels_with_a_wrong_signature_are_refused(make_site: Any, webhook_secret: str, fault: str) -> None:
    site = make_site(access=Access(loopback=False, token=TOKEN, webhook_secrets=(Secret.parse(webhook_secret),)))
    body = delivery(asked(site))
    now = site.service.clock() - (600 if fault == "stale" else 0)
    headers = signed("whsec_" + "B" * 40 if fault == "other secret" else webhook_secret, body, now=now)
    if fault == "unsigned":
        del headers["webhook-signature"]
    if fault == "id":
        headers["webhook-id"] = "msg_2"
    answer = site.client.post("/v1/annotations", content=body + " " if fault == "body" else body, headers=headers)
    assert answer.status_code == 401
    assert site.store.labels("support") == []


@pytest.mark.parametrize("body", ["{broken", "[]", "{}"])
def test_an_unsigned_body_is_refused_unread(make_site: Any, webhook_secret: str, body: str) -> None:
    site = make_site(access=Access(loopback=False, token=TOKEN, webhook_secrets=(Secret.parse(webhook_secret),)))
    assert site.client.post("/v1/annotations", content=body, headers=JSON).status_code == 401
    answer = site.client.post("/v1/annotations", content=body, headers=signed(webhook_secret, body, now=site.service.clock()))
    assert (answer.status_code, answer.json()["error"]) == (422, "invalid")
    assert answer.json()["message"].startswith("body")


def test_labels_have_a_smaller_limit_than_samples(site: Any) -> None:
    body = " " * 2_000_001
    assert site.client.post("/v1/annotations", content=body, headers=JSON).status_code == 413
    assert site.client.post("/v1/cloudevents", content=body, headers=JSON).status_code != 413


def test_labels_are_json(site: Any) -> None:
    """A page in a browser can send plain text across origins without being asked."""
    answer = site.client.post("/v1/annotations", content=delivery(asked(site)), headers={"content-type": "text/plain"})
    assert (answer.status_code, site.store.labels("support")) == (415, [])


def test_off_loopback_unsigned_labels_are_refused_with_the_remedy(guarded: Any) -> None:
    answer = guarded.client.post("/v1/annotations", content=delivery(asked(guarded)), headers={**JSON, "authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 403
    assert "DRIFTGATE__WEBHOOK_SECRET" in answer.json()["message"]


def test_on_loopback_labels_need_no_signature(site: Any) -> None:
    assert site.client.post("/v1/annotations", content=delivery(asked(site)), headers=JSON).json()["state"] == "pending"


@pytest.mark.parametrize(
    ("change", "status", "said"),
    [
        ({"type": "annotation.deleted"}, 422, "body.type"),
        ({"timestamp": "2026-03-01T11:59:00"}, 422, "body.timestamp"),
        ({"data": {"batch": "b", "labels": []}}, 422, "body.data.labels"),
        ({"data": {"batch": "b", "labels": [{"id": "m-1"}]}}, 422, "give a label, or unusable"),
        ({"data": {"batch": "b", "labels": [{"id": "m-1", "label": "refund", "unusable": True}]}}, 422, "give a label, or unusable"),
        ({"data": {"batch": "b", "labels": [{"id": "m-1", "label": "refund"}]}}, 404, "'b'"),
    ],
)
def test_unusable_deliveries_say_why(site: Any, change: dict[str, Any], status: int, said: str) -> None:
    answer = site.client.post("/v1/annotations", json={**json.loads(delivery("b")), **change})
    assert answer.status_code == status
    assert said in answer.json()["message"]


def test_labels_for_a_batch_that_was_not_sent_are_a_conflict(site: Any) -> None:
    batch = site.service.actions.open_refresh("support", actor="ana", note="", now=0.0).batch
    assert site.client.post("/v1/annotations", content=delivery(batch), headers=JSON).status_code == 409
