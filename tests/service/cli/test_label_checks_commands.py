"""`annotation doubts` and `dataset review`, typed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    from tests.service.cli.conftest import Desk

pytestmark = pytest.mark.long

ROWS, WRONG = 240, 6


def answer(desk: Desk, truth: dict[str, str], wrong: int = 0) -> list[str]:
    """Annotators fill in the newest batch's file; the first so many candidates get a topic far away. Returns those."""
    (batch, *_) = desk.json("annotation", "list", "--state", "sent")["batches"]
    items = desk.json("annotation", "show", batch["id"])["items"]
    known = [item["id"] for item in items if item["purpose"] != "challenge" and truth[item["id"]] != "new"]
    spoilt = known[:wrong]
    topics = sorted(set(truth.values()) - {"new"})
    labels = {name: topics[(topics.index(truth[name]) + 4) % len(topics)] for name in spoilt}
    lines = [{"batch": batch["id"], "driftgate_id": item["id"], "label": labels.get(item["id"], truth[item["id"]])} for item in items]
    (desk.folder / "answers.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    desk.run("annotation", "import", "answers.jsonl")
    return spoilt


def configured(document: dict[str, Any]) -> None:
    document["monitors"][0].update(annotation={"budget": 32, "destination": "inbox", "second_opinions": 0.2}, selection={"rounds": 1})


def test_doubtful_answers_are_listed_and_asked_again(alarmed: Desk, truth: dict[str, str]) -> None:
    alarmed.configure(configured)
    alarmed.run("dataset", "add", "--role", "golden", "golden.jsonl")
    assert "has answers yet" in " ".join(alarmed.run("annotation", "doubts", code=2).stderr.split())
    cycle = alarmed.json("refresh", "start")["id"]
    first = alarmed.json("refresh", "show", cycle)["annotation_batch"]["id"]
    spoilt = answer(alarmed, truth, wrong=3)
    found = alarmed.json("annotation", "doubts")
    assert (found["batch"], found["cycle"]) == (first, cycle)
    assert len(set(spoilt) & {one["id"] for one in found["doubts"]}) >= len(spoilt) - 1
    assert all(one["against"] for one in found["doubts"])
    assert found["annotators"][0]["random"] is False
    screen = alarmed.run("annotation", "doubts", first).stdout
    assert "are in doubt" in screen
    second = alarmed.json("refresh", "show", cycle)["annotation_batch"]
    assert second["id"] != first
    assert {item["again"] for item in second["items"]} == {first}

    answer(alarmed, truth)
    assert alarmed.json("refresh", "show", cycle)["state"] == "training"
    settled = {one["id"]: one["settled"] for one in alarmed.json("annotation", "doubts", first, "--all")["doubts"]}
    asked = set(spoilt) & {item["id"] for item in second["items"]}
    assert {name: settled[name] for name in asked} == {name: truth[name] for name in asked}
    assert "asked again" in " ".join(alarmed.run("annotation", "doubts", first).stdout.split())
    assert "asked again" in " ".join(alarmed.run("ledger").stdout.split())
    assert "[bold]" not in screen


def write_set(desk: Desk) -> dict[str, str]:
    """A training set of four classes with some labels wrong; what is right."""
    rng, topics = np.random.default_rng(1), np.arange(ROWS) % 4
    rows = 3 * rng.standard_normal((4, 16))[topics] + rng.standard_normal((ROWS, 16))
    given = np.where(np.arange(ROWS) < WRONG, (topics + 1) % 4, topics)
    lines = [
        {"id": f"r-{at}", "vector": row.tolist(), "label": f"[bold]class {label}"}
        for at, (row, label) in enumerate(zip(rows, given, strict=True))
    ]
    (desk.folder / "train.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    desk.run("dataset", "add", "--role", "train", "train.jsonl")
    return {f"r-{at}": f"[bold]class {topic}" for at, topic in enumerate(topics)}


def test_suspect_labels_are_reviewed_and_corrected(watching: Desk) -> None:
    watching.configure(configured)
    right = write_set(watching)
    review = ("dataset", "review", "--role", "train")
    assert {one["id"] for one in watching.json(*review, "--budget", WRONG)["suspects"]} == {f"r-{at}" for at in range(WRONG)}
    sent = watching.json(*review, "--budget", WRONG, "--send")["batch"]
    assert (sent["state"], sent["cycle"], len(sent["items"])) == ("sent", "", WRONG)
    assert "asks about 6 labels of the train set" in watching.run(*review, "--budget", WRONG, "--send").stdout
    lines = [{"batch": sent["id"], "driftgate_id": item["id"], "label": right[item["id"]]} for item in sent["items"]]
    (watching.folder / "answers.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    watching.run("annotation", "import", "answers.jsonl")
    made = watching.json(*review, "--batch", sent["id"])
    assert (made["version"], len(made["corrections"])) == (2, WRONG)
    assert "published before" in watching.run(*review, "--batch", sent["id"]).stdout
    diff = watching.json("dataset", "diff", "--role", "train", "--before", 1, "--after", 2)
    assert set(diff["relabelled"]) == {f"r-{at}" for at in range(WRONG)}


def test_labels_are_corrected_from_a_file_and_bad_files_are_refused(watching: Desk) -> None:
    write_set(watching)
    path = watching.folder / "right.jsonl"
    review = ("dataset", "review", "--role", "train", "--corrections", "right.jsonl")
    for text, says in {
        "": "no lines; nothing to correct",
        "x": 'lines of JSON with "id" and "label" are needed',
        '{"id": "r-1", "label": " "}': "has an empty label",
        '{"id": "r-1", "label": "a"}\n{"id": "r-1", "label": "b"}': "has two labels, 'a' and 'b'",
        '{"id": "nobody", "label": "a"}': "1 ids are not in train set 1, such as 'nobody'",
    }.items():
        path.write_text(text, encoding="utf-8")
        assert says in " ".join(watching.run(*review, code=2).stderr.split())
    path.write_text('{"id": "r-0", "label": "[bold]class 0"}', encoding="utf-8")
    screen = " ".join(watching.run(*review).stdout.split())
    assert "train set 2: 1 of 1 labels corrected" in screen
    assert "[bold]class 0" in screen
    assert "no label of the train set had to be corrected" in watching.run(*review).stdout
    assert "one of --send" in watching.run(*review, "--send", code=2).stderr
