"""`driftgate explain`: an alarm or one sample."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.service.cli.conftest import Desk


def test_a_sample_of_the_traffic(alarmed: Desk) -> None:
    found = alarmed.json("explain", "--sample", "traffic-1499")
    assert (found["id"], found["place"], found["kind"]) == ("traffic-1499", "recent traffic", "vector")
    assert len(found["near"]["reference"]) == 5
    assert 0 <= found["novelty"]["reference"] <= 1
    assert [gap["what"] for gap in found["missing"]] == ["train set"]
    screen = " ".join(alarmed.run("explain", "--sample", "traffic-1499").stdout.split())
    assert "nearest reference samples" in screen
    assert "train set: there is none; driftgate dataset add" in screen


def test_a_sample_of_a_file(watching: Desk) -> None:
    found = watching.json("explain", "--input", "traffic.jsonl", "--sample", "traffic-3")
    assert (found["id"], found["place"]) == ("traffic-3", "the input")
    assert "more than one sample; choose with --sample ID" in watching.run("explain", "--input", "traffic.jsonl", code=2).stderr
    assert "no sample 'x' among" in watching.run("explain", "--input", "good.jsonl", "--sample", "x", code=2).stderr
    (watching.folder / "one.jsonl").write_text((watching.folder / "good.jsonl").read_text().splitlines()[0], encoding="utf-8")
    assert watching.json("explain", "--input", "one.jsonl")["id"] == "good-0"


def test_one_that_is_nowhere(watching: Desk) -> None:
    error = watching.run("explain", "--sample", "nope", code=2).stderr
    assert "no sample 'nope'; looked in 0 recent samples, reference version 1 (600 rows)" in error


@pytest.mark.parametrize("arguments", [[], ["5b0d6c1f", "--sample", "m-17"], ["5b0d6c1f", "--input", "good.jsonl"]])
def test_one_thing_at_a_time(desk: Desk, arguments: list[str]) -> None:
    assert "name one thing to explain" in desk.run("explain", *arguments, code=2).stderr
