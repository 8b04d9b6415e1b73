"""Probes, metrics, the documents and what is left of an unexpected error."""

from __future__ import annotations

import re
import threading
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from service.access import Access
from service.errors import ArtefactError
from service.health import Heartbeats
from service.serving import Loop

OPERATIONS = {
    "decline_refresh", "deployed_refresh", "get_model", "promote_refresh", "put_model", "register_model", "revert_refresh",
    "cancel_batch", "get_answers", "get_manifest", "get_scheme", "list_schemes", "prioritise_batch", "put_scheme",
    "acknowledge_alarm", "approve_batch", "cancel_refresh", "close_batch", "delete_monitor", "get_alarm", "get_batch", "get_declaration",
    "explain_given_sample", "explain_sample", "get_fleet", "get_ledger", "get_metrics", "get_monitor", "get_refresh", "get_refresh_status",
    "get_report",
    "is_alive", "is_ready", "judge_alarm", "list_alarms", "list_backfills", "list_batches", "list_dead_letters", "list_monitors",
    "list_outbox", "list_refreshes", "list_reports", "make_report", "open_link", "open_refresh",
    "put_monitor", "replay_item", "resolve_alarm", "send_annotations", "send_events", "send_events_with_token", "send_labels",
    "send_samples", "list_failures", "mark_failure", "unmark_failure", "find_similar",
    "propose_candidates", "finish_refresh", "show_pool", "get_delivery", "list_deliveries", "tell_annotations",
}  # fmt: skip
"""Generated clients call these: a change here breaks them."""


def test_alive_while_the_loops_turn(site: Any) -> None:
    site.service.heartbeats.beat("worker")
    assert site.client.get("/healthz").json() == {"status": "alive", "stuck": []}


def test_stuck_when_a_loop_does_not_turn(make_site: Any) -> None:
    seconds = 0.0
    stuck = Heartbeats(limit=60, clock=lambda: seconds)
    site = make_site(heartbeats=stuck)
    stuck.beat("worker")
    seconds = 61.0
    stuck.beat("controller")
    answer = site.client.get("/healthz")
    assert (answer.status_code, answer.json()) == (503, {"status": "stuck", "stuck": ["worker"]})


def test_ready_once_every_condition_holds(make_site: Any) -> None:
    built: list[str] = []

    def store() -> str:
        raise ArtefactError("it is damaged")

    site = make_site(conditions={"partitions": lambda: "" if built else "none yet", "store": str})
    waiting = site.client.get("/readyz")
    assert waiting.status_code == 503
    assert (waiting.json()["status"], waiting.json()["reasons"]) == ("waiting", {"partitions": "none yet"})
    built.append("support")
    ready = {"status": "ready", "waiting_for": [], "without_reference": [], "reasons": {}, "monitors": [], "notes": {}}
    assert site.client.get("/readyz").json() == ready
    broken = make_site(conditions={"store": store}).client.get("/readyz")
    assert (broken.status_code, broken.json()["waiting_for"], broken.json()["reasons"]) == (503, ["store"], {"store": "it is damaged"})


def test_why_it_waits_is_told_to_those_who_may_ask(make_site: Any) -> None:
    access = Access(loopback=False, token="a-token-of-some-length")
    site = make_site(
        access=access,
        conditions={"store": lambda: "/secret/path is damaged"},
        notes=lambda: {"configuration": "wrong"},
        monitors=lambda: ["chat"],
        without_reference=lambda: ["vectors"],
    )
    stranger = site.client.get("/readyz")
    assert (stranger.status_code, stranger.json()["waiting_for"]) == (503, ["store"])
    assert stranger.json()["reasons"] == stranger.json()["notes"] == {}
    assert stranger.json()["monitors"] == stranger.json()["without_reference"] == []
    known = site.client.get("/readyz", headers={"authorization": "Bearer a-token-of-some-length"}).json()
    assert (known["monitors"], known["without_reference"]) == (["chat"], ["vectors"])
    assert (known["reasons"], known["notes"]) == ({"store": "/secret/path is damaged"}, {"configuration": "wrong"})


def test_a_monitor_without_a_reference_is_named_and_gets_its_traffic(make_site: Any) -> None:
    answer = make_site(without_reference=lambda: ["vectors"]).client.get("/readyz")
    assert (answer.status_code, answer.json()["without_reference"]) == (200, ["vectors"])


def test_requests_are_counted(site: Any) -> None:
    site.client.post("/v1/monitors/support/samples", json=[{"text": "hello"}, {"text": ""}])
    site.client.post("/v1/cloudevents", content=b"{}")
    answer = site.client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    values = {(s.name, *s.labels.values()): s.value for family in text_string_to_metric_families(answer.text) for s in family.samples}
    assert values["driftgate_samples_received_total", "support"] == 2
    assert values["driftgate_samples_rejected_total", "support", "empty"] == 1
    assert values["driftgate_samples_rejected_total", "__unknown__", "cloudevent"] == 1
    assert values["driftgate_ingest_backlog_bytes",] == site.log.backlog > 0


def test_openmetrics_for_scrapers_that_ask_for_it(site: Any) -> None:
    answer = site.client.get("/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")


def test_operation_ids_are_stable(site: Any) -> None:
    document = site.client.get("/openapi.json").json()
    ids = [operation["operationId"] for methods in document["paths"].values() for operation in methods.values()]
    assert len(ids) == len(set(ids))
    assert set(ids) >= OPERATIONS


def test_the_openapi_document_holds_together(site: Any) -> None:
    document = site.client.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    references = set(re.findall(r'"#/components/schemas/(\w+)"', site.client.get("/openapi.json").text))
    assert references <= document["components"]["schemas"].keys()
    for path, methods in document["paths"].items():
        for operation in methods.values():
            assert operation["description"], path
            assert operation["tags"], path
            declared = {p["name"] for p in operation.get("parameters", []) if p["in"] == "path"}
            assert declared == set(re.findall(r"{(\w+)}", path))


def test_the_form_of_label_deliveries_is_documented(site: Any) -> None:
    document = site.client.get("/openapi.json").json()
    place = document["paths"]["/v1/annotations"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert place["required"] == ["type", "timestamp", "data"]
    for part in place["properties"]["data"]["$ref"].removeprefix("#/").split("/"):
        document = document[part.replace("~1", "/")]
    assert set(document["properties"]) == {"batch", "labels"}


def test_the_documentation_page_loads_nothing_from_elsewhere(site: Any) -> None:
    page = site.client.get("/docs")
    assert "/v1/monitors/{monitor}/samples" in page.text
    assert "<script" not in page.text
    assert re.findall(r'(?:src|href|action|url)\s*[=(]\s*["\']?([^"\'>)]*)', page.text) == ["openapi.json"]
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert set(re.findall(r'<dt id="(\w+)"', page.text)) >= OPERATIONS


@pytest.mark.parametrize(
    ("method", "path", "status", "error"), [("GET", "/v2", 404, "not_found"), ("PUT", "/v1/alarms", 405, "method_not_allowed")]
)
def test_the_framework_s_own_errors_have_the_same_form(site: Any, method: str, path: str, status: int, error: str) -> None:
    answer = site.client.request(method, path)
    assert (answer.status_code, answer.json()["error"]) == (status, error)


def test_a_bug_is_not_explained_to_strangers(make_site: Any) -> None:
    def broken() -> str:
        raise ZeroDivisionError("/secret/path")

    answer = make_site(conditions={"store": broken}).client.get("/readyz")
    assert (answer.status_code, answer.json()["error"]) == (500, "internal")
    assert "secret" not in answer.text


def test_a_loop_that_hangs_fails_the_liveness_probe_and_no_server_outside_does(make_site: Any) -> None:
    now, stop, released = 0.0, threading.Event(), threading.Event()
    heartbeats = Heartbeats(clock=lambda: now)
    hung = Loop("worker", lambda: int(not released.wait(30)), heartbeats, stop)
    site = make_site(heartbeats=heartbeats, conditions={"store": lambda: "Redis is away"})
    hung.start()
    assert (site.client.get("/healthz").status_code, site.client.get("/readyz").status_code) == (200, 503)
    now = 61.0
    answer = site.client.get("/healthz")
    assert (answer.status_code, answer.json()) == (503, {"status": "stuck", "stuck": ["worker"]})
    released.set()
    while heartbeats.silent():
        stop.wait(0.01)
    assert site.client.get("/healthz").status_code == 200
    stop.set()
    hung.join(20.0)
