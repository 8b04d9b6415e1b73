"""Forgetting over HTTP."""

from __future__ import annotations

import logging

import pytest

from service.records.erasure import forgotten_id
from tests.service.api.conftest import Site


def test_a_sample_is_forgotten_and_the_record_names_it_no_more(site: Site) -> None:
    answer = site.client.post("/v1/forget", json={"sample": "order-4711", "monitor": "support", "actor": "anna"})
    assert answer.status_code == 200
    assert answer.json()["erasures"] == [{"monitor": "support", "erased": {}, "asked": []}]
    assert len(answer.json()["outside"]) == 5
    (record,) = site.client.get("/v1/forgotten").json()["forgotten"]
    assert (record["id"], record["state"]) == (forgotten_id("support", "order-4711"), "done")
    assert "order-4711" not in site.client.get("/v1/forgotten").text
    assert site.client.get("/v1/forgotten", params={"monitor": "vectors"}).json()["forgotten"] == []


@pytest.mark.long
def test_without_a_monitor_it_is_forgotten_in_all(site: Site) -> None:
    answer = site.client.post("/v1/forget", json={"sample": "order-4711"})
    assert [each["monitor"] for each in answer.json()["erasures"]] == ["support", "vectors"]


def test_an_unknown_monitor_and_an_empty_id_are_refused(site: Site) -> None:
    assert site.client.post("/v1/forget", json={"sample": "a", "monitor": "nobody"}).status_code == 404
    assert site.client.post("/v1/forget", json={"sample": ""}).status_code == 422


def test_no_line_from_info_on_holds_what_samples_say(
    site: Site, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    marker = "zebra-7781"
    event = {"ce-id": "e", "ce-source": "s", "ce-specversion": "1.0", "ce-type": "org.kubeflow.serving.inference.request"}
    with caplog.at_level(logging.DEBUG):
        for body in ({"text": marker}, {"text": marker, "time": marker}, {"id": marker * 99}, {"vector": [marker]}):
            site.client.post("/v1/monitors/support/samples", json=body)
        site.client.post("/v1/monitors/support/samples", content=f'{{"text": "{marker}"'.encode())
        site.client.post("/v1/cloudevents", json={"instances": [marker]}, headers=event)
        site.client.post("/v1/monitors/support/labels", json=[{"id": "a", "label": marker}])
        site.client.post("/v1/annotations", json={"labels": marker})
        site.client.post("/v1/forget", json={"sample": marker})
    shown = capsys.readouterr()
    lines = [shown.out, shown.err, *(record.getMessage() for record in caplog.records if record.levelno >= logging.INFO)]
    assert any("http request" in line for line in lines)
    assert not [line for line in lines if marker in line]
