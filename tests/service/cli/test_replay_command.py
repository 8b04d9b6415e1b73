"""Files through the engine: the report's shape is what others rely on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

pytestmark = pytest.mark.long

if TYPE_CHECKING:
    from tests.service.cli.conftest import Desk


def test_report_has_the_stable_shape(watching: Desk, truth: dict[str, str]) -> None:
    with (watching.folder / "traffic.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"vector": [1, 2]}\n')
    result = watching.run("replay", "--monitor", "chat", "--input", "traffic.jsonl", "--report", "report.json")
    report = json.loads((watching.folder / "report.json").read_text(encoding="utf-8"))
    assert report["samples"] == 1_500
    assert [(letter["line"], letter["reason"]) for letter in report["dead_letters"]] == [(1_501, "dimension")]
    first = report["alarms"][0]
    assert first["at_sample"] > 600
    assert (first["monitor"], first["segment"]) == ("chat", "all")
    assert first["kind"] in {"new content", "changed mix"}
    assert first["severity"] in {"warning", "critical"}
    assert first["effect"]["low"] <= first["effect"]["estimate"] <= first["effect"]["high"]
    assert first["exemplars"]
    new = [truth[candidate["id"]] == "new" for candidate in report["candidates"]]
    assert len(new) == 40
    assert sum(new[:20]) >= 18, "a mass that is new is asked about before anything else"
    assert set(report["candidates"][0]) == {"id", "reason", "risk", "segment"}
    assert "candidates for annotation" in result.stdout


def test_json_is_the_report_and_nothing_is_kept(watching: Desk) -> None:
    before = watching.json("status")
    report = watching.json("replay", "--input", "good.jsonl", "traffic.jsonl")
    assert report["samples"] == 2_100
    assert watching.json("status") == before
    assert watching.json("alarm", "list") == {"alarms": []}


def test_calm_traffic_raises_nothing(watching: Desk) -> None:
    assert "no alarms" in watching.run("replay", "--input", "good.jsonl").stdout
    assert watching.json("replay", "--input", "good.jsonl")["candidates"] == []


def test_without_reference_it_says_what_to_do(desk: Desk) -> None:
    assert "driftgate reference build" in desk.run("replay", "--input", "traffic.jsonl", code=2).stderr


def test_files_that_can_not_be_read(watching: Desk) -> None:
    assert "nowhere.jsonl: No such file" in watching.run("replay", "--input", "nowhere.jsonl", code=2).stderr
    assert ".jsonl, .ndjson, .npy, .parquet" in watching.run("replay", "--input", "driftgate.yaml", code=2).stderr
    assert "can't be written" in watching.run("replay", "--input", "good.jsonl", "--report", "no/where.json", code=2).stderr
