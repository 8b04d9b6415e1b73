"""`POST /v1/monitors/{monitor}/labels`: what became known, and what the sender is told."""

from __future__ import annotations

from typing import Any

import numpy as np

from service.records import AnswerBlock, Commit, Partition
from service.truth import answers

LABELS = "/v1/monitors/support/labels"


def answered(site: Any, *ids: str) -> None:
    """The model answered `refund` to these."""
    n = len(ids)
    numbers = {"times": np.full(n, 1_772_366_000.0), "confidence": np.full(n, 0.9), "clusters": np.zeros(n)}
    body = answers.pack(ids, ["refund"] * n, [{}] * n, lambda _: (), numbers=numbers, version=1)
    held = site.store.assign(Partition("http", "t"))
    site.store.commit(Commit(held.partition, held.epoch, 0, n, 0.0, answers=(AnswerBlock("support", n, body, 100),)))


def test_labels_are_taken_and_those_that_need_a_look_are_named(site: Any) -> None:
    answered(site, "m-1", "m-2")
    given = [{"id": "m-1", "label": "refund"}, {"id": "m-2", "label": "cancel"}, {"id": "m-3", "label": "refund"}, {"id": "m-4"}]
    answer = site.client.post(LABELS, json={"labels": given})
    assert answer.status_code == 200
    assert answer.json()["counts"] == {"taken": 2, "unknown": 1, "malformed": 1}
    assert [(each["id"], each["fate"]) for each in answer.json()["named"]] == [("m-3", "unknown"), ("labels[3]", "malformed")]
    assert [(each.sample, each.right) for each in site.store.judgements("support")] == [("m-1", True), ("m-2", False)]
    metrics = site.client.get("/metrics").text
    assert 'driftgate_labels_total{monitor="support",outcome="taken"} 2.0' in metrics
    assert 'driftgate_label_delay_seconds_count{monitor="support"} 2.0' in metrics


def test_repeating_is_harmless(site: Any) -> None:
    answered(site, "m-1")
    for fate in ("taken", "repeated"):
        answer = site.client.post(LABELS, json={"labels": [{"id": "m-1", "label": "refund"}]})
        assert (answer.status_code, answer.json()["counts"]) == (200, {fate: 1})


def test_where_no_label_stands_the_same_answer_is_422(site: Any) -> None:
    answer = site.client.post(LABELS, json={"labels": [{"id": "m-9", "label": "refund"}]})
    assert (answer.status_code, answer.json()["counts"]) == (422, {"unknown": 1})


def test_what_is_no_delivery_is_refused(site: Any) -> None:
    assert site.client.post(LABELS, json={"labels": []}).status_code == 400
    assert site.client.post(LABELS, content=b"{").json()["error"] == "json"
    assert site.client.post("/v1/monitors/none/labels", json={"labels": [{"id": "a", "label": "b"}]}).status_code == 404
