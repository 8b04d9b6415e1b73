"""What the loop has found, and what people do about it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from detectors.model import rows_needed
from service.records import (
    Alarm,
    AlarmState,
    ClusterChange,
    DeadLetter,
    Decision,
    Exemplar,
    OutboxItem,
    Partition,
    Rejected,
    Verdict,
)

MakeAlarm = Callable[..., Alarm]
ACT = {"actor": "ana", "note": "known campaign"}
PARTITION = Partition("http", "abc")


def test_monitors_before_the_first_decision(site: Any) -> None:
    listed = site.client.get("/v1/monitors").json()["monitors"]
    assert [(line["monitor"], line["state"], line["samples"]) for line in listed] == [
        ("support", "warming up", 0),
        ("vectors", "warming up", 0),
    ]
    document = site.client.get("/v1/monitors/support").json()
    assert "driftgate reference build --monitor support" in document.pop("remedy")
    assert document == {
        "monitor": "support",
        "state": "warming up",
        "samples": 0,
        "missing_samples": rows_needed(20_000),
        "traffic_per_second": None,
        "undecided": {"panes": 0, "samples": 0},
    }


def decided(site: Any, references: Path, *, version: int) -> None:
    """A decision under the first reference version, while another may be in force."""
    site.store.decide(Decision("support", 0, 0, state=b'{"state": "watching", "reference_version": 1, "samples": 40}'))
    (references / "support" / f"v{version}").mkdir(parents=True)
    site.references.activate("support", version)


def test_figures_of_the_last_decision_stand_in_the_status(site: Any, tmp_path: Path) -> None:
    decided(site, tmp_path, version=1)
    document = site.client.get("/v1/monitors/support").json()
    assert (document["state"], document["reference_version"]) == ("watching", 1)
    assert site.client.get("/v1/monitors").json()["monitors"][0]["state"] == "watching"


def test_after_a_rebase_the_old_state_is_none(site: Any, tmp_path: Path) -> None:
    decided(site, tmp_path, version=2)
    assert site.client.get("/v1/monitors").json()["monitors"][0]["state"] == "warming up"


def test_alarms_are_found_by_monitor_and_state(site: Any, make_alarm: MakeAlarm) -> None:
    site.store.save(make_alarm("a1"), make_alarm("a2", state=AlarmState.RESOLVED), make_alarm("a3", monitor="vectors"))

    def ids(**query: Any) -> set[str]:
        return {alarm["id"] for alarm in site.client.get("/v1/alarms", params=query).json()["alarms"]}

    assert ids() == {"a1", "a2", "a3"}
    assert ids(monitor="support") == {"a1", "a2"}
    assert ids(monitor="support", state="open") == {"a1"}
    assert len(ids(limit=2)) == 2


@pytest.mark.parametrize(
    ("query", "status"), [({"monitor": "suport"}, 404), ({"state": "shut"}, 422), ({"limit": 0}, 422), ({"limit": 10**9}, 422)]
)
def test_wrong_queries_are_refused(site: Any, query: dict[str, Any], status: int) -> None:
    answer = site.client.get("/v1/alarms", params=query)
    assert answer.status_code == status
    assert answer.json()["message"]


def test_an_alarm_with_its_explanation(site: Any, make_alarm: MakeAlarm) -> None:
    exemplar = Exemplar("m-9", "my card was cloned", 0.99)
    site.store.save(make_alarm(exemplars=(exemplar,), clusters=(ClusterChange("novel", 0.01, 0.11, (exemplar,)),)))
    document = site.client.get("/v1/alarms/a1").json()
    assert document["opened"] == "2026-03-01T12:00:00Z"
    assert document["effect"] == {"estimate": 0.12, "low": 0.08, "high": 0.17}
    assert document["exemplars"] == document["clusters"][0]["exemplars"] == [{"id": "m-9", "text": "my card was cloned", "novelty": 0.99}]
    assert [step["state"] for step in document["history"]] == ["open"]


def test_a_time_beyond_the_calendar_is_shown_as_its_end(site: Any, make_alarm: MakeAlarm) -> None:
    site.store.save(make_alarm(opened=1e18))
    assert site.client.get("/v1/alarms/a1").json()["opened"].startswith("9999-12-31")


def test_an_alarm_s_life(site: Any, make_alarm: MakeAlarm) -> None:
    site.store.save(make_alarm())
    acknowledged = site.client.post("/v1/alarms/a1/acknowledge", json=ACT).json()
    judged = site.client.post("/v1/alarms/a1/verdict", json={**ACT, "verdict": "true"}).json()
    resolved = site.client.post("/v1/alarms/a1/resolve", json={"actor": "ben"}).json()
    assert (acknowledged["state"], judged["verdict"], resolved["state"]) == ("acknowledged", "true", "resolved")
    assert [(step["actor"], step["note"]) for step in resolved["history"][1:]] == [
        ("ana", "known campaign"),
        ("ana", "known campaign"),
        ("ben", ""),
    ]
    stored = site.store.get(Alarm, "a1")
    assert (stored.version, stored.verdict) == (4, Verdict.TRUE)
    again = site.client.post("/v1/alarms/a1/resolve", json=ACT)
    assert (again.status_code, again.json()["error"]) == (409, "conflict")


@pytest.mark.parametrize("step", ["acknowledge", "resolve", "verdict"])
def test_steps_of_an_alarm_that_is_not_there(site: Any, step: str) -> None:
    answer = site.client.post(f"/v1/alarms/none/{step}", json={**ACT, **({"verdict": "false"} if step == "verdict" else {})})
    assert (answer.status_code, answer.json()["error"]) == (404, "not_found")


@pytest.mark.parametrize(
    "form", [{}, {"actor": "  "}, {"actor": "ana", "verdict": "maybe"}, {"actor": "a" * 101}, {**ACT, "verdit": "true"}]
)
def test_a_verdict_needs_its_form(site: Any, make_alarm: MakeAlarm, form: dict[str, str]) -> None:
    site.store.save(make_alarm())
    answer = site.client.post("/v1/alarms/a1/verdict", json=form)
    assert (answer.status_code, answer.json()["error"]) == (422, "invalid")
    assert "body." in answer.json()["message"]


def test_a_form_without_its_content_type_is_refused(site: Any, make_alarm: MakeAlarm) -> None:
    """Browsers send such requests to other sites without asking."""
    site.store.save(make_alarm())
    answer = site.client.post("/v1/alarms/a1/acknowledge", content='{"actor": "eve"}', headers={"content-type": "text/plain"})
    assert answer.status_code == 422
    assert site.store.get(Alarm, "a1").state == AlarmState.OPEN


def test_a_refresh_cycle_s_life(site: Any) -> None:
    opened = site.client.post("/v1/monitors/support/refresh", json=ACT)
    assert opened.status_code == 201
    cycle = opened.json()
    assert site.client.post("/v1/monitors/support/refresh", json=ACT).json() == cycle
    assert site.client.get(f"/v1/refresh/{cycle['id']}").json() == cycle
    assert [found["id"] for found in site.client.get("/v1/refresh", params={"state": "annotating"}).json()["cycles"]] == [cycle["id"]]
    assert site.client.get("/v1/refresh", params={"monitor": "vectors"}).json()["cycles"] == []
    assert site.client.post("/v1/monitors/nobody/refresh", json=ACT).status_code == 404
    cancelled = site.client.post(f"/v1/refresh/{cycle['id']}/cancel", json=ACT).json()
    assert (cancelled["state"], cancelled["history"][-1]["note"]) == ("cancelled", "known campaign")
    assert site.client.get(f"/v1/batches/{cycle['batch']}").json()["state"] == "cancelled"
    assert site.client.post(f"/v1/refresh/{cycle['id']}/cancel", json=ACT).status_code == 409


def test_where_a_refresh_stands(site: Any) -> None:
    assert site.client.get("/v1/monitors/nobody/refresh").status_code == 404
    idle = site.client.get("/v1/monitors/support/refresh").json()
    assert (idle["open"], idle["last"], idle["rests_until"]) == (None, None, None)
    cycle = site.client.post("/v1/monitors/support/refresh", json=ACT).json()
    standing = site.client.get("/v1/monitors/support/refresh").json()["open"]
    assert (standing["cycle"], standing["state"], standing["stuck"]) == (cycle["id"], "annotating", False)
    assert standing["waits_for"] == "a person's word on a batch"
    assert standing["todo"].startswith(f"`driftgate refresh approve {cycle['id']}`")
    site.client.post(f"/v1/refresh/{cycle['id']}/cancel", json=ACT)
    over = site.client.get("/v1/monitors/support/refresh").json()
    assert (over["open"], over["last"]["state"]) == (None, "cancelled")
    assert over["rests_until"] > over["last"]["since"]


def test_a_batch_is_listed_without_candidates_and_sent_once_approved(site: Any) -> None:
    batch = site.client.post("/v1/monitors/support/refresh", json=ACT).json()["batch"]
    [line] = site.client.get("/v1/batches", params={"monitor": "support", "state": "proposed"}).json()["batches"]
    assert line["id"] == batch
    assert "items" not in line
    assert [item["text"] for item in site.client.get(f"/v1/batches/{batch}").json()["items"]] == ["my card was cloned", ""]
    assert site.client.get("/v1/batches/b2").status_code == 404
    approved = site.client.post(f"/v1/batches/{batch}/approve", json=ACT).json()
    assert approved["state"] == "sent"
    assert [item["kind"] for item in site.client.get("/v1/outbox").json()["items"]] == ["annotation.batch"]
    assert site.client.post(f"/v1/batches/{batch}/approve", json=ACT).status_code == 409
    assert site.client.post(f"/v1/batches/{batch}/close", json=ACT).json()["state"] == "closed"
    assert site.client.post(f"/v1/batches/{batch}/close", json=ACT).json()["error"] == "conflict"


def test_a_refresh_without_candidates_is_a_conflict(site: Any) -> None:
    site.service.actions.candidates = []
    answer = site.client.post("/v1/monitors/support/refresh", json=ACT)
    assert (answer.status_code, answer.json()["error"]) == (409, "no_candidates")


def test_dead_letters_show_their_place_and_reason(site: Any) -> None:
    rejected = Rejected("json", "not JSON", b"\xff{" + b"x" * 5_000, monitor="support")
    site.store.add_dead_letters(
        [DeadLetter(PARTITION, 7, 1e9, rejected), DeadLetter(PARTITION, 8, 1e9, Rejected("unrouted", "nobody's", b""))]
    )
    letters = site.client.get("/v1/dead-letters").json()["dead_letters"]
    assert {letter["offset"]: letter["reason"] for letter in letters} == {7: "json", 8: "unrouted"}
    [own] = site.client.get("/v1/dead-letters", params={"monitor": "support"}).json()["dead_letters"]
    assert own["partition"] == "http/abc/0"
    assert len(own["original"]) == 2_000


def test_dead_outbox_items_are_shown_and_replayed(site: Any, make_alarm: MakeAlarm) -> None:
    items = [OutboxItem("o1", "alarm.opened", "ops", {"text": "private"}, 1e9), OutboxItem("o2", "alarm.opened", "ops", {}, 1e9)]
    site.store.save(make_alarm(), outbox=items)
    site.store.settle(OutboxItem("o2", "alarm.opened", "ops", {}, 1e9, state="dead", attempts=10, error="410 Gone"))
    [dead] = site.client.get("/v1/outbox", params={"state": "dead"}).json()["items"]
    assert (dead["id"], dead["attempts"], dead["error"]) == ("o2", 10, "410 Gone")
    assert "payload" not in dead
    again = site.client.post("/v1/outbox/o2/replay", json=ACT).json()
    assert (again["state"], again["attempts"]) == ("pending", 0)
    assert {item.id for item in site.store.due(site.service.clock(), 10)} == {"o1", "o2"}
    assert site.client.post("/v1/outbox/o1/replay", json=ACT).status_code == 404


# --- the ledger ------------------------------------------------------------------------------------------------------


def test_the_ledger_counts_alarms_by_verdict_against_the_budget(site: Any, make_alarm: MakeAlarm) -> None:
    site.store.save(make_alarm("a1", verdict=Verdict.FALSE), make_alarm("a2", monitor="vectors"))
    everything = site.client.get("/v1/ledger").json()
    assert (everything["total"]["false"], everything["total"]["unjudged"]) == (1, 1)
    assert everything["false_alarms"]["verdict"] == "nothing measured yet"
    alone = site.client.get("/v1/ledger", params={"monitor": "support", "weeks": 2}).json()
    assert (alone["total"]["alarms"], [entry["what"] for entry in alone["entries"]]) == (1, ["alarm"])
    assert site.client.get("/v1/ledger", params={"monitor": "nobody"}).status_code == 404
    assert site.client.get("/v1/ledger", params={"weeks": 0}).status_code == 422


def test_what_would_be_asked_next_is_shown_and_nothing_is_sent(site: Any) -> None:
    found = site.client.get("/v1/monitors/support/candidates").json()
    assert [item["id"] for item in found["candidates"]] == ["m-1", "m-2"]
    assert found["candidates"][0]["purpose"] == "probe"
    assert (found["about"]["segment"], found["situation"]["kind"], found["turn"]) == ("all", "text", {"number": 1, "of": 1})
    assert (found["cost"]["labels"], found["cost"]["money"], found["bound"]) == (2, None, None)
    assert len(site.client.get("/v1/monitors/support/candidates?budget=1").json()["candidates"]) == 1
    assert site.client.get("/v1/batches").json()["batches"] == []
    assert site.client.get("/v1/monitors/nobody/candidates").status_code == 404
    assert site.client.get("/v1/monitors/support/candidates?budget=0").status_code == 422


def test_rounds_are_ended_by_a_person(site: Any) -> None:
    cycle = site.client.post("/v1/monitors/support/refresh", json={"actor": "ana"}).json()
    assert (cycle["rounds"], cycle["earlier"], cycle["segment"]) == (1, [], "all")
    refused = site.client.post(f"/v1/refresh/{cycle['id']}/finish", json={"actor": "ana"})
    assert refused.status_code == 409
    assert "nothing is labelled yet" in refused.json()["message"]
    site.client.post(f"/v1/batches/{cycle['batch']}/approve", json={"actor": "ana"})
    assert site.client.post(f"/v1/refresh/{cycle['id']}/finish", json={"actor": "ana"}).json()["history"][-1]["actor"] == "ana"
    assert site.client.get(f"/v1/batches/{cycle['batch']}").json()["state"] == "closed"
