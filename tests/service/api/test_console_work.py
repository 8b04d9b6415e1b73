"""Candidates, cycles, blind spots, configuration and health on pages: what they say, and what their forms do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from service.api.console import configuration
from service.api.console.showing import shown
from service.records import (
    AnnotationBatch,
    Artefact,
    BatchState,
    Candidate,
    CycleState,
    DeadLetter,
    OutboxItem,
    Partition,
    Purpose,
    RefreshCycle,
    Rejected,
    Step,
    Trigger,
)
from tests.service.api.conftest import NOW, Site
from tests.service.api.test_console_alarms import send

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360f8cf500f0004840180dba8f6e80000000049454e44ae426082"
)
HOSTILE = "<script>alert(1)</script>"


def batch(**changes: object) -> AnnotationBatch:
    items = (
        Candidate("m-1", f"nearest to what drifted {HOSTILE}", 0.31, "all", HOSTILE, "refund", junk=0.11, contested=0.22, influence=0.03),
        Candidate("m-2", "typical of it", 0.1, "all", "my card was cloned", nearest=("r-1",)),
        Candidate("m-3", "drawn at random", 0.2, "all", "a challenge", "refund", purpose=Purpose.CHALLENGE),
    )
    made = AnnotationBatch(
        "b1", "support", "c1", 1, BatchState.PROPOSED, items, NOW - 60, history=(Step("proposed", "chosen", NOW),), version=1
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # fields of the batch


def cycle(state: CycleState = CycleState.ANNOTATING, **changes: object) -> RefreshCycle:
    step = Step(state, "opened for new labels", NOW - 60, "ada", HOSTILE)
    made = RefreshCycle("c1", "support", 1, "a1", 1, state, NOW - 60, "b1", history=(step,), version=1, trigger=Trigger.ALARM)
    return replace(made, **changes)  # type: ignore[arg-type]  # fields of the cycle


# --- candidates ----------------------------------------------------------------------------------------------------------


def test_the_queue_holds_what_waits_for_a_person(site: Site) -> None:
    assert "No batch waits" in site.client.get("/console/batches").text
    site.store.save(batch(), batch(id="b2", state=BatchState.CLOSED, version=1))
    text = site.client.get("/console/batches").text
    assert "/console/batches/b1" in text
    assert "/console/batches/b2" not in text
    assert "/console/batches/b2" in site.client.get("/console/batches?state=all").text
    assert site.client.get("/console/batches?monitor=none").status_code == 404


def test_the_queue_is_read_page_by_page(site: Site) -> None:
    site.store.save(*(batch(id=f"b{number:02}", created=NOW + number) for number in range(25)))
    first = site.client.get("/console/batches").text
    assert 'rel="next"' in first
    assert ("/console/batches/b24" in first, "/console/batches/b04" in first) == (True, False)
    assert "/console/batches/b04" in site.client.get("/console/batches?after=b05").text


def test_a_candidate_says_why_it_was_chosen_and_how_risky_it_is(site: Site) -> None:
    site.store.save(batch())
    text = site.client.get("/console/batches/b1").text
    assert "It waits:" in text
    for told in (
        "to find out what new masses are",
        "31.0 %",
        "junk 11.0 %",
        "contested 22.0 %",
        "influence 3.0 %",
        "r-1",
        "my card was cloned",
    ):
        assert told in text
    assert HOSTILE not in text
    assert "&lt;script&gt;" in text


def test_what_chance_chose_shows_nothing_that_could_colour_an_answer(site: Site) -> None:
    drawn = batch(items=(batch().items[2],))
    site.store.save(drawn)
    text = site.client.get("/console/batches/b1").text
    assert "a challenge" in text
    assert "refund" not in text
    assert "20.0 %" not in text.partition("<tbody>")[2]
    assert 'name="pick"' not in text


def test_single_candidates_are_taken_out_kept_and_put_back(site: Site) -> None:
    site.store.save(batch())
    status, text = send(site, "/console/batches/b1/choose", "/console/batches/b1", act="drop", pick="m-1", note="not ours")
    assert (status, "not proposed again" in text) == (200, True)
    assert [item.id for item in site.store.get(AnnotationBatch, "b1").items] == ["m-2", "m-3"]
    status, text = send(site, "/console/batches/b1/choose", "/console/batches/b1?taken_out=true", act="restore", pick="m-1")
    assert (status, "Put back." in text) == (200, True)
    send(site, "/console/batches/b1/choose", "/console/batches/b1", act="keep", pick="m-1")
    assert {item.id for item in site.store.get(AnnotationBatch, "b1").items} == {"m-1", "m-3"}, "what chance chose stays"
    status, text = send(site, "/console/batches/b1/choose", "/console/batches/b1", act="drop")
    assert (status, "no candidate is ticked" in text) == (422, True)


def test_a_whole_batch_is_approved_or_rejected(site: Site) -> None:
    site.store.save(batch(), batch(id="b2"), cycle())
    status, text = send(site, "/console/batches/b1/approve", "/console/batches/b1", note="go")
    assert (status, "on its way" in text) == (200, True)
    assert site.store.get(AnnotationBatch, "b1").state is BatchState.SENT
    send(site, "/console/batches/b1/close", "/console/batches/b1")
    assert site.store.get(AnnotationBatch, "b1").state is BatchState.CLOSED
    send(site, "/console/batches/b2/cancel", "/console/batches/b2", note="no")
    assert site.store.get(AnnotationBatch, "b2").history[-1].note == "no"
    status, _ = send(site, "/console/batches/b2/approve", "/console/monitors/support")
    assert status == 409


def test_candidates_over_http_are_taken_out_and_put_back(site: Site) -> None:
    site.store.save(batch())
    taken = site.client.post("/v1/batches/b1/drop", json={"candidates": ["m-1"], "actor": "ada", "note": "not ours"}).json()
    assert ([item["id"] for item in taken["items"]], [item["id"] for item in taken["dropped"]]) == (["m-2", "m-3"], ["m-1"])
    refused = site.client.post("/v1/batches/b1/drop", json={"candidates": ["m-3"], "actor": "ada"})
    assert (refused.status_code, "drawn at random" in refused.json()["message"]) == (409, True)
    back = site.client.post("/v1/batches/b1/restore", json={"candidates": ["m-1"], "actor": "ada"}).json()
    assert back["dropped"] == []
    assert site.client.post("/v1/batches/b1/restore", json={"candidates": ["m-1"], "actor": "ada"}).status_code == 404


def test_what_would_be_asked_next_is_chosen_on_request(site: Site) -> None:
    quiet = site.client.get("/console/monitors/support/candidates").text
    assert "It sends nothing." in quiet
    told = site.client.get("/console/monitors/support/candidates?look=true").text
    assert "2 candidates" in told
    assert "my card was cloned" in told


# --- cycles --------------------------------------------------------------------------------------------------------------


def test_a_cycle_says_what_it_waits_for_and_what_it_costs(site: Site) -> None:
    site.store.save(batch(), cycle())
    assert "a person&#39;s word on batch b1" in site.client.get("/console/cycles?state=open").text
    text = site.client.get("/console/cycles/c1").text
    assert "It waits for" in text
    assert "driftgate refresh approve c1" in text
    assert "/console/alarms/a1" in text
    assert HOSTILE not in text
    send(site, "/console/cycles/c1/cancel", "/console/cycles/c1", note="a false alarm")
    ended = site.store.get(RefreshCycle, "c1")
    assert (ended.state, ended.history[-1].note) == (CycleState.CANCELLED, "a false alarm")
    assert 'class="ended"' in site.client.get("/console/cycles/c1").text
    assert send(site, "/console/cycles/c1/cancel", "/console/cycles?monitor=support")[0] == 409


def test_a_verdict_is_read_and_a_word_said(site: Site) -> None:
    found = {"verdict": "reject", "passed": False, "reasons": [f"golden accuracy fell {HOSTILE}"], "checks": []}
    model = Artefact("models/m.onnx", "0" * 64, ("a", "b"), "model-2", NOW)
    site.store.save(batch(), cycle(CycleState.VERIFIED, verification=found, model=model, served=model))
    text = site.client.get("/console/cycles/c1").text
    assert "Verdict: reject" in text
    assert "golden accuracy fell" in text
    assert HOSTILE not in text
    assert "Nothing was judged that could be shown" in text
    status, text = send(site, "/console/cycles/c1/decline", "/console/cycles/c1", note="too dear")
    assert (status, "The model is declined" in text) == (200, True)
    assert site.store.get(RefreshCycle, "c1").state is CycleState.REJECTED


def test_samples_of_a_verification_are_made_aside_and_a_failure_is_told(site: Site) -> None:
    site.store.save(batch(), cycle())
    assert send(site, "/console/cycles/c1/samples", "/console/cycles?monitor=support")[0] == 404
    check = {"name": "challenge", "about": "", "outcome": "passed", "says": "", "rows": 3, "needed": 1}
    found = {"verdict": "promote", "passed": True, "reasons": ["better"], "checks": [check]}
    gone = Artefact("models/gone.onnx", "0" * 64, ("a", "b"), "model-2", NOW)
    site.store.save(cycle(CycleState.VERIFIED, verification=found, model=gone, served=gone, version=2))
    send(site, "/console/cycles/c1/samples", "/console/cycles/c1")
    for _ in range(200):
        if site.service.galleries.under_way is None:
            break
    text = site.client.get("/console/cycles/c1").text
    assert "The last attempt failed" in text or "Both models answer" in text


# --- blind spots and what is like something -----------------------------------------------------------------------------


def test_monitors_without_a_report_are_listed_too(site: Site) -> None:
    text = site.client.get("/console/blind-spots").text
    assert "no report yet" in text
    page = site.client.get("/console/monitors/vectors/blind-spots").text
    assert "No report was made yet" in page
    assert site.client.get("/console/monitors/none/blind-spots").status_code == 404


def test_a_report_is_made_and_read_section_by_section(site: Site) -> None:
    send(site, "/console/monitors/vectors/blind-spots", "/console/monitors/vectors/blind-spots")
    site.service.reporting.close()
    text = site.client.get("/console/monitors/vectors/blind-spots?section=coverage").text
    assert "What to do first" in text
    assert 'href="?section=coverage' in text
    assert '<section id="coverage">' in text
    assert '<section id="performance">' not in text


def test_without_a_reference_it_is_said_what_is_missing(site: Site) -> None:
    for address in ("map", "failures", "similar?sample=m-1"):
        answer = site.client.get(f"/console/monitors/support/{address}")
        assert answer.status_code == 404
        assert "driftgate reference build" in answer.text
    assert "Name a sample" in site.client.get("/console/monitors/support/similar").text
    assert site.client.get("/console/monitors/support/similar?sample=m-1&failure=f").status_code == 422


# --- configuration and health ---------------------------------------------------------------------------------------------


def test_settings_say_where_they_come_from(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIFTGATE__SERVER__PORT", "8080")
    text = site.client.get("/console/configuration").text
    assert "<code>DRIFTGATE__SERVER__PORT</code>" in text
    assert "the file driftgate.yaml" in text
    one = site.client.get("/console/monitors/support/configuration").text
    assert "<code>annotation.approval</code>" in one
    assert "Change it in the file driftgate.yaml" in one


def test_a_monitor_of_the_api_shows_how_it_is_changed(site: Site) -> None:
    declared = site.client.put("/v1/monitors/mine", json={"embedder": {"input": "none", "dimension": 3}})
    assert declared.status_code == 200, declared.text
    text = site.client.get("/console/monitors/mine/configuration").text
    assert "curl -X PUT" in text
    assert "If-Match: &#34;1&#34;" in text


@pytest.mark.parametrize(
    ("address", "seen"),
    [
        ("https://hooks.example.com/services/T0/B0/secret", "https://hooks.example.com/…"),
        ("https://ada:hidden@db.example.com:8443", "https://db.example.com:8443"),
        ("plain text", "plain text"),
    ],
)
def test_of_an_address_no_secret_is_shown(address: str, seen: str) -> None:
    assert configuration.masked({"url": address, "deep": {"url": address}}) == {"url": seen, "deep": {"url": seen}}


def test_health_shows_loops_conditions_and_what_waits(site: Site) -> None:
    site.service.heartbeats.beat("controller")
    site.store.save(outbox=[OutboxItem("o1", "alarm.opened", "annotators", {}, NOW - 60, "dead", error=f"refused {HOSTILE}")])
    text = site.client.get("/console/health").text
    assert "controller" in text
    listed = site.client.get("/console/outbox").text
    assert "refused" in listed
    assert HOSTILE not in listed
    status, text = send(site, "/console/outbox/o1/replay", "/console/outbox")
    assert (status, "due again" in text) == (200, True)
    (item,) = site.store.outbox()
    assert item.state == "pending"


def test_dead_letters_are_texts(site: Site) -> None:
    letter = DeadLetter(Partition("http", "1"), 7, NOW, Rejected("not_json", f"no JSON {HOSTILE}", HOSTILE.encode(), 0, "support"))
    site.store.add_dead_letters([letter])
    text = site.client.get("/console/dead-letters?monitor=support").text
    assert "not_json" in text
    assert HOSTILE not in text


# --- samples -------------------------------------------------------------------------------------------------------------


def test_payloads_are_shown_as_what_they_are() -> None:
    assert shown("hello", "m-1").kind == "text"
    image = shown(PNG, "m-1")
    assert (image.kind, image.picture.partition(";")[0], image.text) == ("image", "data:image/png", "picture of sample m-1")
    assert shown(b"<svg onload=alert(1)>", "m-1").kind == "nothing"
    assert "not kept" in shown(None, "m-1").text
    assert "3 numbers" in shown(np.zeros(3, np.float32), "m-1").text
