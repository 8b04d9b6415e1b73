"""`POST /v1/monitors/{monitor}/samples`: what is taken, what is refused, and what the sender is told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from service.records import Sample

TEXTS = "/v1/monitors/support/samples"
VECTORS = "/v1/monitors/vectors/samples"


def sample(n: int) -> dict[str, Any]:
    return {"id": f"m-{n}", "text": f"message {n}", "segments": {"locale": "en"}}


@pytest.mark.parametrize("body", [sample(0), [sample(0), sample(1)], {"samples": [sample(0), sample(1), sample(2)]}])
def test_one_sample_an_array_or_named(site: Any, body: Any) -> None:
    answer = site.client.post(TEXTS, json=body)
    assert answer.status_code == 202
    ids = [item.id for item in site.logged()]
    assert ids == [result["id"] for result in answer.json()["results"]] == [f"m-{n}" for n in range(len(ids))]
    assert answer.json()["accepted"] == len(ids) > 0


def test_one_sample_per_line(site: Any) -> None:
    lines = "\n".join(["", json.dumps(sample(0)), "{broken", json.dumps(sample(1)), ""])
    answer = site.client.post(TEXTS, content=lines, headers={"content-type": "application/x-ndjson; charset=utf-8"})
    assert answer.status_code == 202
    assert [(r["index"], r["status"], r["reason"]) for r in answer.json()["results"]] == [
        (0, "accepted", None),
        (1, "rejected", "json"),
        (2, "accepted", None),
    ]


def test_a_bad_sample_leaves_the_others_unharmed(site: Any) -> None:
    body = [
        {"vector": [1, 2, 3]},
        {"vector": [1, 2]},
        {"vector": [1, 2, "x"]},
        {"id": "ok", "vector": [4, 5, 6], "time": "2026-03-01T11:00:00Z"},
        {"vector": [1, 2, 3], "time": "2036-01-01T00:00:00Z"},
        "no object",
    ]
    answer = site.client.post(VECTORS, json=body)
    assert answer.status_code == 202
    document = answer.json()
    assert [r["reason"] for r in document["results"]] == [None, "dimension", "payload", None, "time_future", "json"]
    assert [r["id"] for r in document["results"] if r["status"] == "accepted"] == [None, "ok"]
    assert (document["accepted"], document["rejected"]) == (2, 4)
    assert all(r["message"] for r in document["results"] if r["status"] == "rejected")
    assert [item.id for item in site.logged() if isinstance(item, Sample)] == ["", "ok"]


def test_nothing_accepted_is_422_with_the_same_answers(site: Any) -> None:
    answer = site.client.post(TEXTS, json=[{"text": " "}, {"id": "x"}])
    assert answer.status_code == 422
    assert [r["reason"] for r in answer.json()["results"]] == ["empty", "payload"]
    assert site.logged() == []


def test_nan_is_no_json(site: Any) -> None:
    answer = site.client.post(VECTORS, content='{"vector": [NaN, 1, 2]}', headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["results"][0]["reason"]) == (422, "not_finite")


@pytest.mark.parametrize("wrap", ["[%s]", '{"samples": [%s]}'])
def test_nan_in_one_sample_leaves_the_others_unharmed(site: Any, wrap: str) -> None:
    content = wrap % '{"vector": [NaN, 1, 2]}, {"vector": [0, 1, 2]}'
    answer = site.client.post(VECTORS, content=content, headers={"content-type": "application/json"})
    assert answer.status_code == 202
    assert [result["reason"] for result in answer.json()["results"]] == ["not_finite", None]


@pytest.mark.parametrize("body", [b"[{", b"[1, 2", b"[" * 10_000])
def test_an_unreadable_array_is_refused_as_a_whole(site: Any, body: bytes) -> None:
    answer = site.client.post(TEXTS, content=body, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["error"]) == (400, "json")


@pytest.mark.parametrize("body", [b"[]", b'{"samples": []}'])
def test_no_samples(site: Any, body: bytes) -> None:
    answer = site.client.post(TEXTS, content=body, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["error"]) == (400, "empty")


def test_unknown_monitor_names_those_there_are(site: Any) -> None:
    answer = site.client.post("/v1/monitors/suport/samples", json=sample(0))
    assert (answer.status_code, answer.json()["error"]) == (404, "not_found")
    assert "support, vectors" in answer.json()["message"]


@pytest.mark.parametrize("media", ["text/plain", "", "application/xml"])
def test_other_content_types_are_refused(site: Any, media: str) -> None:
    answer = site.client.post(TEXTS, content=b"{}", headers={"content-type": media})
    assert (answer.status_code, answer.json()["error"]) == (415, "unsupported_media_type")


def test_compressed_bodies_are_refused(site: Any) -> None:
    answer = site.client.post(TEXTS, content=b"\x1f\x8b", headers={"content-type": "application/json", "content-encoding": "gzip"})
    assert answer.status_code == 415


def test_more_items_than_allowed(make_site: Any) -> None:
    site = make_site(max_items=3)
    for content, media in [
        (json.dumps([sample(n) for n in range(4)]), "application/json"),
        ("\n".join(json.dumps(sample(n)) for n in range(4)), "application/x-ndjson"),
    ]:
        answer = site.client.post(TEXTS, content=content, headers={"content-type": media})
        assert (answer.status_code, answer.json()["error"]) == (413, "too_large")
    assert site.logged() == []


def test_a_large_body_is_refused_by_its_declared_length(make_site: Any) -> None:
    site = make_site(max_body_bytes=1_000)
    answer = site.client.post(TEXTS, json={"text": "x" * 2_000})
    assert answer.status_code == 413
    assert answer.json()["error"] == "too_large"
    assert "1000 bytes" in answer.json()["message"]


@pytest.mark.parametrize("path", [TEXTS, "/v1/cloudevents", "/v1/annotations", "/v1/alarms/a1/acknowledge"])
def test_a_large_body_without_a_length_is_refused_while_it_streams(make_site: Any, path: str) -> None:
    site = make_site(max_body_bytes=1_000)

    def chunks() -> Iterator[bytes]:
        for _ in range(100):
            yield b" " * 100

    answer = site.client.post(path, content=chunks(), headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["error"]) == (413, "too_large")
    assert site.logged() == []


def test_a_full_backlog_says_when_to_come_back(make_site: Any) -> None:
    site = make_site(backlog_bytes=2_000)
    answers = [site.client.post(TEXTS, json={"text": "x" * 900}) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [202, 202, 429]
    assert answers[2].json()["error"] == "backlog_full"
    assert int(answers[2].headers["retry-after"]) >= 1
    assert len(site.logged()) == 2
