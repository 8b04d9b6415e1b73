"""Another configuration on the stored panes, and on files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from service.cli.backtest import Trial, _alike, read_marks
from service.errors import InputError
from service.settings import load

if TYPE_CHECKING:
    from tests.service.cli.conftest import Desk

pytestmark = pytest.mark.long


def another(desk: Desk, **detection: Any) -> Path:
    """A second configuration beside the first."""
    document = yaml.safe_load((desk.folder / "driftgate.yaml").read_text(encoding="utf-8"))
    document["monitors"][0]["detection"] |= detection
    path = desk.folder / "other.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path


def test_what_is_configured_gives_what_was_recorded(alarmed: Desk) -> None:
    (recorded,) = alarmed.json("alarm", "list")["alarms"]
    found = alarmed.json("backtest")
    (configured,) = found["configurations"]
    assert (found["source"], found["samples"], found["differences"], found["first"]["sequence"]) == ("stored panes", 1_500, [], 1)
    assert found["recorded"] == [recorded["id"]] == [alarm["id"] for alarm in configured["alarms"]]
    assert configured["counts"] == {"true": 0, "false": 0, "seasonal": 0, "unjudged": 1}
    assert configured["false_alarms"]["accepted"] == pytest.approx(1_500 / configured["run_length"], rel=0.1)
    assert [delay["share"] for delay in configured["expected_delay"]] == [0.05, 0.1, 0.2, 0.5]
    assert sum(period["samples"] for period in found["timeline"]["periods"]) == 1_500
    assert "verdict" in found["notes"][0]


def test_two_configurations_stand_side_by_side(alarmed: Desk) -> None:
    found = alarmed.json("backtest", "--run-length", 500, "--tolerance", 0.3)
    configured, tried = found["configurations"]
    assert (tried["name"], tried["run_length"], tried["tolerance"]) == ("run length 500, tolerance 0.3", 500, 0.3)
    assert tried["expected_delay"][1]["samples"] <= configured["expected_delay"][1]["samples"]
    assert tried["alarms"][0]["opened"] >= configured["alarms"][0]["opened"]
    screen = alarmed.run("backtest", "--run-length", 500).stdout
    assert all(word in screen for word in ("A: configured", "B: run length 500", "│", "delay at 5 % new", "○"))


def test_another_file_and_its_changes(alarmed: Desk) -> None:
    other = another(alarmed, run_length=1_000)
    found = alarmed.json("backtest", "--other", other.name, "--critical", 0.9)
    assert [(c["name"], c["run_length"]) for c in found["configurations"]][1] == ("other.yaml, critical 0.9", 1_000)


def test_nothing_is_changed(alarmed: Desk) -> None:
    before = (alarmed.json("status"), alarmed.json("alarm", "list"), alarmed.json("outbox", "list"))
    alarmed.run("backtest", "--run-length", 500)
    assert (alarmed.json("status"), alarmed.json("alarm", "list"), alarmed.json("outbox", "list")) == before


def test_marked_episodes_measure_the_delay(alarmed: Desk) -> None:
    """The drift began at 00:10, a second a sample; at 00:01 nothing happened."""
    rows = "start,end,name\n2026-03-01T00:10:00Z,2026-03-01T00:25:00Z,new product\n2026-03-01T00:01:00Z,2026-03-01T00:03:00Z,rehearsal\n"
    (alarmed.folder / "marks.csv").write_text(rows, encoding="utf-8")
    (configured,) = alarmed.json("backtest", "--episodes", "marks.csv")["configurations"]
    rehearsal, product = configured["episodes"]
    assert (rehearsal["alarm"], configured["missed"]) == (None, 1)
    assert 0 < product["seconds"] < 300
    assert product["samples"] == pytest.approx(product["seconds"], abs=40)
    assert configured["counts"]["true"] == 1
    assert configured["mean_delay_samples"] == product["samples"]
    assert "rehearsal" in alarmed.run("backtest", "--episodes", "marks.csv").stdout

    (alarmed.folder / "marks.json").write_text(json.dumps([{"start": "2026-03-01", "end": "2026-03-01T00:05"}]), encoding="utf-8")
    (configured,) = alarmed.json("backtest", "--episodes", "marks.json")["configurations"]
    assert (configured["counts"]["false"], configured["false_alarms"]["count"]) == (1, 1)
    assert configured["false_alarms"]["used_low"] < configured["false_alarms"]["used"] < configured["false_alarms"]["used_high"]


def test_marks_of_a_spreadsheet_are_read_and_what_they_lack_is_named(tmp_path: Path) -> None:
    path = tmp_path / "marks.csv"
    path.write_text("start,end\n2026-03-01,2026-03-02\n", encoding="utf-8-sig")
    assert [mark.end - mark.start for mark in read_marks(path)] == [86_400.0]
    path.write_text("begin,end\n2026-03-01,2026-03-02\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"episode 1: no column start; found begin, end"):
        read_marks(path)
    path.write_bytes("start,end\nü".encode() + "ü".encode() * 500_000)
    with pytest.raises(InputError, match=r"at most 1,000 episodes and 1,000,000 bytes"):
        read_marks(path)


def test_configurations_share_a_pass_where_they_fold_alike(desk: Desk) -> None:
    settings = load(desk.folder / "driftgate.yaml")
    one = Trial("A", settings, settings.monitor("chat"))
    assert _alike(one, one)
    assert not _alike(one, replace(one, monitor=one.monitor.model_copy(update={"classes": ("yes", "no")})))


def test_a_confirmed_alarm_is_an_episode(alarmed: Desk) -> None:
    (recorded,) = alarmed.json("alarm", "list")["alarms"]
    alarmed.run("alarm", "verdict", recorded["id"], "true")
    found = alarmed.json("backtest", "--run-length", 500)
    assert [c["counts"]["true"] for c in found["configurations"]] == [1, 1]
    assert [c["missed"] for c in found["configurations"]] == [0, 0]
    assert any(period["episodes"] for period in found["timeline"]["periods"])


def test_only_a_span(alarmed: Desk) -> None:
    found = alarmed.json("backtest", "--since", "2026-03-01T00:05:00", "--until", "2026-03-01T00:09:59")
    assert 200 < found["samples"] < 300
    assert found["configurations"][0]["alarms"] == []


def test_files_go_through_both_configurations(watching: Desk) -> None:
    found = watching.json("backtest", "--input", "traffic.jsonl", "--run-length", 500)
    configured, tried = found["configurations"]
    assert (found["source"], found["samples"], found["recorded"]) == ("files", 1_500, [])
    assert configured["alarms"]
    assert tried["alarms"][0]["at_sample"] <= configured["alarms"][0]["at_sample"]
    replayed = watching.json("replay", "--input", "traffic.jsonl")["alarms"]
    assert [alarm["id"] for alarm in replayed] == [alarm["id"] for alarm in configured["alarms"]]
    assert watching.json("status")["monitors"][0]["samples"] == 0

    with (watching.folder / "traffic.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"vector": [1, 2]}\n')
    other = another(watching, pane_samples=64)
    both = watching.json("backtest", "--input", "traffic.jsonl", "--other", other.name)
    assert [c["samples"] for c in both["configurations"]] == [1_500, 1_500]
    assert "1 lines could not be used" in both["notes"][-1]


def test_what_shaped_the_panes_can_not_be_tried_on_them(alarmed: Desk) -> None:
    other = another(alarmed, pane_samples=64, seed=3)
    message = alarmed.run("backtest", "--other", other.name, code=2).stderr
    assert "detection.pane_samples, detection.seed" in message
    assert "--input" in message


def test_without_reference_it_says_what_to_do(desk: Desk) -> None:
    assert "reference build" in desk.run("backtest", "--input", "traffic.jsonl", code=2).stderr


def test_wrong_use(watching: Desk) -> None:
    assert "no decided pane" in watching.run("backtest", code=2).stderr
    for name, text, told in [
        ("m.txt", "", ".csv and .json"),
        ("m.csv", "start,end\nsoon,later\n", "episode 1, start: not a time: 'soon'"),
        ("m.csv", "start,end\n2026-03-02,2026-03-01\n", "ends before it starts"),
        ("m.json", '{"start": 1}', "can't be read"),
        ("m.csv", "start,end\n" + 1_001 * "2026-03-01,2026-03-02\n", "at most 1,000 episodes"),
    ]:
        (watching.folder / name).write_text(text, encoding="utf-8")
        assert told in watching.run("backtest", "--episodes", name, code=2).stderr.replace("\n", " ")
    assert "No such file" in watching.run("backtest", "--episodes", "nowhere.csv", code=2).stderr
