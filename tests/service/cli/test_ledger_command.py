"""The ledger on the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.service.cli.conftest import Desk


def test_before_anything_is_watched(desk: Desk) -> None:
    assert desk.json("ledger")["false_alarms"]["verdict"] == "nothing measured yet"
    assert "nothing in the ledger yet" in desk.run("ledger").stdout


def test_an_alarm_and_its_verdict_stand_in_the_ledger(alarmed: Desk) -> None:
    (alarm,) = alarmed.json("alarm", "list")["alarms"]
    assert (alarm["regime"], alarm["quiet"], alarm["run_length"]) == ("active", False, 2_000)
    alarmed.run("alarm", "verdict", alarm["id"], "seasonal")

    found = alarmed.json("ledger", "--weeks", 2)
    assert (found["total"]["seasonal"], found["total"]["alarms"], found["total"]["samples"]) == (1, 1, 1_500)
    assert [entry["what"] for entry in found["entries"]] == ["alarm", "worse", "verdict", "held back"]
    assert found["proposals"][0]["command"].startswith("driftgate reference build --monitor chat --from-stream --since ")
    screen = " ".join(alarmed.run("ledger", "--weeks", 2).stdout.split())
    assert "▓" in screen
    assert "false alarms in 30 days" in screen


def test_a_shadow_raises_its_alarm_in_silence(watching: Desk) -> None:
    def shade(document: dict[str, object]) -> None:
        document["monitors"][0]["detection"]["mode"] = "shadow"  # type: ignore[index]  # a parsed document

    watching.configure(shade)
    watching.play(watching.folder / "traffic.jsonl")
    (alarm,) = watching.json("alarm", "list")["alarms"]
    assert (alarm["regime"], alarm["quiet"], alarm["state"]) == ("shadow", True, "open")
    assert watching.json("outbox", "list")["items"] == []
    assert "shadow: notifies nobody" in watching.run("status").stdout
    assert "(shadow)" in watching.run("alarm", "list").stdout
    assert watching.json("ledger", "--weeks", 2)["total"]["outside"] == 1
