"""Monitors declared over HTTP: with the version that was read, never one of a file, and nothing of the machine's files."""

from __future__ import annotations

from typing import Any

import pytest

from service.access import Access

NEW: dict[str, Any] = {"embedder": {"input": "none", "dimension": 3}, "detection": {"pane_samples": 16}}


def test_a_monitor_is_declared_changed_and_ended(site: Any) -> None:
    declared = site.client.put("/v1/monitors/mail", json=NEW, params={"actor": "ana"})
    assert (declared.status_code, declared.headers["etag"]) == (200, '"1"')
    assert site.client.post("/v1/monitors/mail/samples", json={"vector": [1.0, 2.0, 3.0]}).status_code == 202
    line = next(line for line in site.client.get("/v1/monitors").json()["monitors"] if line["monitor"] == "mail")
    assert (line["origin"], line["version"], line["state"]) == ("api", 1, "warming up")

    read = site.client.get("/v1/monitors/mail/declaration")
    assert (read.headers["etag"], read.json()["settings"]["detection"]["pane_samples"]) == ('"1"', 16)
    changed = {**NEW, "importance": 3.0}
    assert site.client.put("/v1/monitors/mail", json=changed).status_code == 409
    assert site.client.put("/v1/monitors/mail", json=changed, headers={"if-match": '"7"'}).status_code == 409
    again = site.client.put("/v1/monitors/mail", json=changed, headers={"if-match": '"1"'})
    assert (again.status_code, again.json()["version"], again.json()["settings"]["importance"]) == (200, 2, 3.0)
    assert site.client.put("/v1/monitors/mail", json=NEW, params={"version": 2}).json()["version"] == 3

    assert site.client.delete("/v1/monitors/mail").status_code == 409
    assert site.client.delete("/v1/monitors/mail", params={"version": 3}).status_code == 204
    assert site.client.get("/v1/monitors/mail").status_code == 404
    assert site.client.post("/v1/monitors/mail/samples", json={"vector": [1.0, 2.0, 3.0]}).status_code == 404


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_what_a_file_declares_is_changed_there(site: Any, method: str) -> None:
    body = {"json": {"embedder": {"input": "none", "dimension": 3}}} if method == "PUT" else {}
    answer = site.client.request(method, "/v1/monitors/vectors", params={"version": 1}, **body)
    assert (answer.status_code, answer.json()["error"]) == (409, "conflict")
    assert "driftgate.yaml: change it there" in answer.json()["message"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"name": "other"}, "is not the monitor 'mail'"),
        ({"unknown": 1}, "unknown"),
        ({"detection": {"pane_samples": 1}}, "detection.pane_samples"),
        ({"embedder": {"input": "tensor", "model": "/etc/passwd"}}, "lies outside of"),
        ({"embedder": {"input": "tensor", "model": "../../elsewhere/model.onnx"}}, "lies outside of"),
        ({"embedder": {"model": "model.onnx", "tokenizer": "/etc/hostname"}}, "lies outside of"),
        ({"notify": ["nowhere"]}, "'nowhere' is not declared"),
    ],
)
def test_what_is_wrong_is_named(site: Any, change: dict[str, Any], says: str) -> None:
    answer = site.client.put("/v1/monitors/mail", json={**NEW, **change})
    assert answer.status_code == 400
    assert says in answer.json()["message"]
    assert "mail" not in [line["monitor"] for line in site.client.get("/v1/monitors").json()["monitors"]]


def test_a_name_or_a_version_that_is_none_is_refused(site: Any) -> None:
    assert site.client.put("/v1/monitors/Not%20a%20name", json=NEW).status_code == 400
    assert site.client.put("/v1/monitors/mail", json=NEW, headers={"if-match": "*"}).json()["error"] == "version"
    assert site.client.delete("/v1/monitors/nobody", params={"version": 1}).status_code == 404


def test_without_the_token_nobody_declares(make_site: Any) -> None:
    site = make_site(access=Access(loopback=False, token="a-token-of-some-length"))
    assert site.client.put("/v1/monitors/mail", json=NEW).status_code == 401
    assert site.client.delete("/v1/monitors/vectors").status_code == 401
