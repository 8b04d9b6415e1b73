"""`failure` and `similar`: what the model fails on, and what is like it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.service.cli.conftest import Desk


def new_ones(truth: dict[str, str], count: int) -> list[str]:
    return [sample for sample, name in truth.items() if name == "new"][-count:]


@pytest.mark.long
def test_failures_are_marked_listed_searched_from_and_taken_back(alarmed: Desk, truth: dict[str, str]) -> None:
    marked = new_ones(truth, 6)
    for sample in marked:
        made = alarmed.json("failure", "mark", sample, "--label", "new", "--note", "[bold]a complaint")
    assert (made["state"], made["history"][0]["actor"], made["history"][0]["note"]) == ("marked", "ana", "[bold]a complaint")
    found = alarmed.json("failure", "list")
    (cluster,) = found["clusters"]
    assert (cluster["label"], cluster["marked"]) == ("new", cluster["distinct"])
    assert {each["cause"]: each["speaks"] for each in cluster["evidence"]}["shift"] == "for"
    screen = alarmed.run("failure", "list", "--samples", 2, "--cluster", cluster["id"][:5]).stdout
    assert cluster["id"] in screen
    assert "cannot say" not in screen  # signs stand for it
    assert "the open alarm" in " ".join(screen.split())
    near = alarmed.json("similar", "--failure", cluster["id"], "--limit", 10)
    assert len(near["matches"]) == 10
    assert sum(truth[match["id"]] == "new" for match in near["matches"]) >= 9
    assert not {match["id"] for match in near["matches"]} & set(marked)
    sent = alarmed.json("similar", "--sample", marked[0], "--limit", 5, "--send")
    assert sent["cycle"]["state"] == "annotating"
    again = alarmed.json("similar", "--sample", marked[0], "--limit", 5)
    assert [match["asked"] for match in again["matches"]] == [True] * 5
    assert "about]" in alarmed.run("similar", "--sample", marked[0], "--limit", 5).stdout
    assert "only one is open at a time" in alarmed.run("similar", "--sample", marked[0], "--limit", 9, "--send", code=1).stderr
    alarmed.run("refresh", "cancel", sent["cycle"]["id"])  # nobody was asked yet, so they may be asked again
    told = " ".join(alarmed.run("similar", "--sample", marked[0], "--limit", 9, "--send").stdout.split())
    numbers = re.search(r"asks about (\d+) of them; (\d+) have a label, were asked about, or are too close", told)
    assert numbers is not None, told
    assert int(numbers[1]) + int(numbers[2]) == 9
    assert "is unmarked: a person took it back" in " ".join(alarmed.run("failure", "unmark", marked[0]).stdout.split())
    assert alarmed.json("failure", "list")["clusters"][0]["marked"] < len(marked)


def test_wrong_use_is_named(watching: Desk) -> None:
    assert "no failure is known" in watching.run("failure", "list").stdout
    for arguments, says in (
        (("failure", "mark", "nope"), "send it along: driftgate failure mark nope"),
        (("failure", "unmark", "nope"), "nobody marked sample 'nope'"),
        (("failure", "mark", "nope", "--input", "good.jsonl"), "no sample 'nope' in it"),
        (("failure", "list", "--cluster", "zz"), "no failure cluster 'zz'; there are: none"),
        (("similar",), "name one thing to be near to"),
        (("similar", "--text", "hello"), "does not take texts"),
        (("similar", "--input", "good.jsonl"), "one sample is wanted, found more"),
        (("similar", "--sample", "good-1", "--confidence", "high"), "LOW:HIGH, between 0 and 1"),
        (("similar", "--sample", "good-1", "--segment", "locale"), "write tag=value"),
    ):
        assert says in " ".join(watching.run(*arguments, code=2).stderr.split())


def test_one_that_is_kept_nowhere_comes_from_a_file(watching: Desk) -> None:
    first = json.loads((watching.folder / "good.jsonl").read_text(encoding="utf-8").splitlines()[0])
    (watching.folder / "one.jsonl").write_text(json.dumps(first | {"output": {"label": "topic 1"}}) + "\n", encoding="utf-8")
    assert "is marked (right: topic 2)" in watching.run("failure", "mark", first["id"], "--label", "topic 2", "--input", "one.jsonl").stdout
    (cluster,) = watching.json("failure", "list")["clusters"]
    assert (cluster["label"], cluster["answer"]) == ("topic 2", "topic 1")
    assert watching.json("similar", "--input", "one.jsonl")["kept"] == 1


def test_labels_from_a_file_are_gathered_at_once(watching: Desk) -> None:
    lines = [json.loads(line) for line in (watching.folder / "good.jsonl").read_text(encoding="utf-8").splitlines()[:40]]
    answered = [json.dumps(line | {"output": {"label": "topic 1"}}) for line in lines]
    (watching.folder / "answered.jsonl").write_text("\n".join(answered), encoding="utf-8")
    watching.play(watching.folder / "answered.jsonl")
    labels = [json.dumps({"id": line["id"], "label": "topic 2"}) for line in lines[:3]]
    (watching.folder / "labels.jsonl").write_text("\n".join(labels), encoding="utf-8")
    watching.run("truth", "add", "--input", "labels.jsonl")
    found = watching.json("failure", "list")
    assert sum(cluster["samples"] for cluster in found["clusters"]) == 3
