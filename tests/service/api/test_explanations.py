"""One sample explained over HTTP."""

from __future__ import annotations

from typing import Any

import numpy as np

from service.records import Commit, Output, Partition, Pooled

PARTITION = Partition("http", "abc")


def keep(site: Any, id: str) -> None:
    """A recent sample of the monitor of vectors."""
    epoch = site.store.assign(PARTITION).epoch
    vector, output = np.array([1, 2, 3], np.float16), Output("refund", (0.9, 0.1))
    pooled = Pooled("vectors", id, 1_000.0, PARTITION, 0, vector.astype(np.float32), {"locale": "en"}, output, None, vector, 0.5, 1)
    site.store.commit(Commit(PARTITION, epoch, 0, 1, 1_000.0, pooled=(pooled,), counts={"vectors": 1}))


def test_a_kept_sample_whatever_its_id(site: Any) -> None:
    keep(site, "event/7")
    found = site.client.get("/v1/monitors/vectors/samples/event/7/explanation").json()
    assert (found["id"], found["place"], found["kind"], found["time"]) == ("event/7", "recent traffic", "vector", "1970-01-01T00:16:40Z")
    assert found["answer"] == {"given": "refund", "now": "", "explained": "", "confidence": 0.9}
    assert found["novelty"] == {"reference": None, "train": None, "stream": None, "residual": None}
    assert {gap["what"] for gap in found["missing"]} >= {"reference", "train set"}


def test_what_is_not_there_is_named(site: Any) -> None:
    answer = site.client.get("/v1/monitors/vectors/samples/nope/explanation")
    assert (answer.status_code, answer.json()["error"]) == (404, "not_found")
    assert "looked in 0 recent samples" in answer.json()["message"]
    assert site.client.get("/v1/monitors/nope/samples/a/explanation").status_code == 404


def test_a_sample_that_is_sent_along(site: Any) -> None:
    found = site.client.post("/v1/monitors/vectors/explanation", json={"vector": [1, 2, 3], "segments": {"locale": "de"}}).json()
    assert (found["id"], found["place"], found["time"], found["segments"]) == ("the sample sent", "the input", None, {"locale": "de"})
    for body, error in (({"vector": [1, 2]}, "dimension"), ({"id": "x"}, "payload"), ([1], None)):
        answer = site.client.post("/v1/monitors/vectors/explanation", json=body)
        assert answer.status_code == 400
        assert error in {None, answer.json()["error"]}


def test_one_at_a_time(site: Any) -> None:
    with site.service.samples._alone():
        answer = site.client.post("/v1/monitors/vectors/explanation", json={"vector": [1, 2, 3]})
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "5")
    assert "another sample" in answer.json()["message"]
