"""Status and alarms: what people see, and what they say."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

pytestmark = pytest.mark.long

if TYPE_CHECKING:
    from tests.service.cli.conftest import Desk


def only(desk: Desk) -> str:
    alarms = desk.json("alarm", "list", "--state", "open", "--state", "acknowledged")["alarms"]
    assert len(alarms) == 1
    return str(alarms[0]["id"])


def test_before_a_reference_status_says_what_is_missing(desk: Desk) -> None:
    status = desk.json("status")["monitors"][0]
    assert (status["state"], status["samples"], status["missing_samples"]) == ("warming up", 0, 400)
    assert "driftgate reference build" in status["remedy"]
    screen = desk.run("status").stdout
    assert "warming up" in screen
    assert "still missing: 400 samples" in screen


def test_status_of_a_monitor_that_has_just_begun(watching: Desk) -> None:
    status = watching.json("status")["monitors"][0]
    assert (status["state"], status["reference_version"]) == ("warming up", 1)
    assert [delay["share"] for delay in status["expected_delay"]] == [0.05, 0.1, 0.2, 0.5]


def test_status_while_it_drifts(alarmed: Desk) -> None:
    status = alarmed.json("status")["monitors"][0]
    assert (status["state"], status["samples"]) == ("drifting", 1_500)
    assert status["streams"][0]["alarm"] == only(alarmed)
    assert all(delay["seconds"] for delay in status["expected_delay"] if delay["samples"])
    assert "open alarm" in alarmed.run("status").stdout


def test_acknowledged_judged_and_over(alarmed: Desk) -> None:
    alarm = only(alarmed)
    assert "acknowledged: a person took it [ana] – on it" in " ".join(alarmed.run("alarm", "ack", alarm, "--note", "on it").stdout.split())
    judged = alarmed.json("alarm", "verdict", alarm, "false")
    assert (judged["state"], judged["verdict"], judged["history"][-1]["actor"]) == ("resolved", "false", "ana")
    assert "resolved already" in alarmed.run("alarm", "resolve", alarm, code=1).stderr
    assert alarmed.json("status")["monitors"][0]["state"] == "watching"
    assert alarm in alarmed.run("alarm", "list").stdout
    assert "no alarm" in alarmed.run("candidates").stdout, "without one they are about the traffic as a whole"


def test_resolved_by_a_person(alarmed: Desk) -> None:
    resolved = alarmed.json("alarm", "resolve", only(alarmed), "--note", "mended")
    assert (resolved["state"], resolved["history"][-1]["note"]) == ("resolved", "mended")


def test_explanation_and_candidates(alarmed: Desk) -> None:
    alarm = only(alarmed)
    assert "what moved" in alarmed.run("explain", alarm).stdout
    assert alarmed.json("explain", alarm)["clusters"]
    found = alarmed.json("candidates")
    assert found["alarm"] == alarm
    assert (len(found["candidates"]), len(found["challenge"])) == (32, 8)
    assert alarmed.json("candidates", "--alarm", alarm) == found
    assert len(alarmed.json("candidates", "--budget", "5")["candidates"]) == 5
    shown = " ".join(alarmed.run("candidates").stdout.split())
    assert "traffic-" in shown
    assert "by embeddings alone, without failure samples" in shown
    assert "Without a golden set nothing is promised" in shown
    assert "cost: 40 labels" in shown
    assert "no alarm 'nope'; `driftgate alarm list` has them" in alarmed.run("explain", "nope", code=2).stderr


def test_candidates_as_a_sheet_and_sent(alarmed: Desk) -> None:
    alarmed.run("candidates", "--output", "sheet.html")
    assert "traffic-" in (alarmed.folder / "sheet.html").read_text(encoding="utf-8")
    assert "a sheet is written as .html or .md" in alarmed.run("candidates", "--output", "sheet.pdf", code=2).stderr
    assert alarmed.json("refresh", "list")["cycles"] == []
    sent = alarmed.json("candidates", "--send", "--alarm", only(alarmed), "--budget", "6")
    assert len(sent["annotation_batch"]["items"]) == 14
    assert alarmed.json("candidates", "--send", "--alarm", only(alarmed))["id"] == sent["id"]
    assert "no outcomes yet" in alarmed.run("candidates", "--reliability").stdout


def test_dead_letters_and_the_outbox(alarmed: Desk) -> None:
    (alarmed.folder / "bad.jsonl").write_text('{"vector": [1]}\n', encoding="utf-8")
    alarmed.play(alarmed.folder / "bad.jsonl")
    letter = alarmed.json("dlq", "list")["dead_letters"][0]
    assert (letter["reason"], letter["offset"]) == ("dimension", 0)
    assert "dimension" in alarmed.run("dlq", "list", "--monitor", "chat").stdout
    pending = alarmed.json("outbox", "list", "--state", "pending")["items"]
    (item,) = [item for item in pending if item["kind"] == "alarm.opened"]
    assert item["destination"] == "inbox"
    assert "alarm.opened" in alarmed.run("outbox", "list").stdout
    assert "no dead outbox item" in alarmed.run("outbox", "replay", item["id"], code=2).stderr


def test_doctor_passes_with_remedies(alarmed: Desk) -> None:
    findings = alarmed.json("doctor")["findings"]
    assert {finding["level"] for finding in findings} == {"ok", "warn"}
    warned = [finding for finding in findings if finding["level"] == "warn"]
    assert ["golden" in finding["says"] for finding in warned] == [True]
    assert all(finding["remedy"] for finding in warned)
    assert "journal mode wal" in alarmed.run("doctor").stdout


def test_doctor_fails_with_what_is_wrong(alarmed: Desk) -> None:
    def spoil(document: dict[str, object]) -> None:
        document["destinations"] = [
            {"type": "folder", "name": "inbox", "path": "traffic.jsonl"},
            {"type": "webhook", "name": "hook", "url": "https://example.com", "secret_env": "NOT_SET_ANYWHERE"},
        ]
        document["server"] = {"host": "192.0.2.1", "port": 0}

    alarmed.configure(spoil)
    manifest = alarmed.folder / "state/references/chat/v1/rows.jsonl"
    manifest.write_text("damaged", encoding="utf-8")
    findings = alarmed.json("doctor", code=1)["findings"]
    assert alarmed.json("doctor", "--exit-zero")["findings"] == findings
    failed = {finding["subject"]: finding["says"] for finding in findings if finding["level"] == "fail"}
    assert set(failed) == {"destination inbox", "destination hook", "monitor chat"}
    assert "damaged" in failed["monitor chat"]
    assert "whsec_" in failed["destination hook"]
    (locked,) = [finding for finding in findings if finding["subject"] == "tokens"]
    assert (locked["level"], "nobody is let in" in locked["says"], "token bootstrap" in locked["remedy"]) == ("warn", True, True)


def test_doctor_of_a_broken_configuration_and_store(alarmed: Desk) -> None:
    (alarmed.folder / "state/driftgate.sqlite").write_bytes(b"no database" * 100)
    for rest in alarmed.folder.glob("state/driftgate.sqlite-*"):
        rest.unlink()
    assert {f["subject"] for f in alarmed.json("doctor", code=1)["findings"] if f["level"] == "fail"} == {"store"}
    (alarmed.folder / "driftgate.yaml").write_text("monitors: 3", encoding="utf-8")
    assert json.loads(alarmed.run("doctor", "--json", code=1).stdout)["findings"][0]["subject"] == "configuration"
