"""`POST /v1/cloudevents`: what KServe's logger sends is taken, and what is unusable still gets 202, as a dead letter."""

from __future__ import annotations

import json
from typing import Any

import pytest

from service.records import Rejected, Request, Response

KIND = "org.kubeflow.serving.inference."


def headers(half: str = "request", **changes: str) -> dict[str, str]:
    found = {"specversion": "1.0", "id": "e-1", "type": KIND + half, "source": "http://logger", "inferenceservicename": "support"}
    return {"content-type": "application/json", **{f"ce-{name}": value for name, value in {**found, **changes}.items()}}


def test_request_and_response_in_binary_mode(site: Any) -> None:
    asked = site.client.post("/v1/cloudevents", json={"instances": ["hello", "refund?"]}, headers=headers())
    told = site.client.post("/v1/cloudevents", json={"predictions": ["greeting", "refund"]}, headers=headers("response"))
    assert (asked.status_code, told.status_code) == (202, 202)
    assert asked.json()["results"] == [{"index": 0, "id": "e-1", "status": "accepted", "reason": None, "message": None}]
    request, response = site.logged()
    assert isinstance(request, Request)
    assert isinstance(response, Response)
    assert [sample.payload for sample in request.samples] == ["hello", "refund?"]
    assert [output.label for output in response.outputs] == ["greeting", "refund"]


def structured(**changes: Any) -> dict[str, Any]:
    event = {"specversion": "1.0", "id": "e-2", "type": KIND + "request", "source": "s", "inferenceservicename": "support"}
    return {**event, "data": {"instances": ["hello"]}, **changes}


def test_structured_mode_and_batch(site: Any) -> None:
    one = site.client.post("/v1/cloudevents", content=json.dumps(structured()), headers={"content-type": "application/cloudevents+json"})
    many = site.client.post(
        "/v1/cloudevents",
        content=json.dumps([structured(id="e-3"), {"id": "no event"}, structured(id="e-4", inferenceservicename="other")]),
        headers={"content-type": "application/cloudevents-batch+json"},
    )
    assert (one.status_code, one.json()["accepted"]) == (202, 1)
    assert many.status_code == 202
    assert [r["reason"] for r in many.json()["results"]] == [None, "cloudevent", "unrouted"]
    kinds = [type(item) for item in site.logged()]
    assert kinds == [Request, Request, Rejected, Rejected]


def test_an_event_of_nobody_is_a_dead_letter_and_still_202(site: Any) -> None:
    answer = site.client.post("/v1/cloudevents", json={"instances": ["x"]}, headers=headers(inferenceservicename="other"))
    assert (answer.status_code, answer.json()["rejected"]) == (202, 1)
    [letter] = site.logged()
    assert isinstance(letter, Rejected)
    assert (letter.reason, letter.monitor) == ("unrouted", None)


def test_a_broken_inference_body_is_a_dead_letter_of_its_monitor(site: Any) -> None:
    answer = site.client.post("/v1/cloudevents", content=b"{broken", headers=headers())
    assert answer.status_code == 202
    [letter] = site.logged()
    assert isinstance(letter, Rejected)
    assert (letter.reason, letter.monitor, letter.original) == ("json", "support", b"{broken")


@pytest.mark.parametrize("changed", [{"ce-specversion": "0.1"}, {"ce-id": ""}, {"ce-time": "yesterday"}])
def test_what_is_no_cloudevent_is_refused(site: Any, changed: dict[str, str]) -> None:
    answer = site.client.post("/v1/cloudevents", json={"instances": ["x"]}, headers={**headers(), **changed})
    assert answer.status_code == 400
    assert answer.json()["error"] in {"cloudevent", "time"}
    assert site.logged() == []


@pytest.mark.parametrize("body", [b"", b"{broken", b"[]", b'{"instances": ["x"]}'])
def test_a_body_that_is_no_event_is_refused(site: Any, body: bytes) -> None:
    answer = site.client.post("/v1/cloudevents", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["message"].startswith("no CloudEvent")
    assert site.logged() == []
