"""A refresh cycle by hand: every step a command, with a real (tiny) model."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest

from service.heads import Head
from service.model_build import attach_head

if TYPE_CHECKING:
    from tests.service.cli.conftest import Desk

pytestmark = pytest.mark.long

KNOWN = tuple(f"topic {number}" for number in range(8))
CLASSES = (*KNOWN, "new")


def write_model(folder: Path, centres: Any, *, knows_new: bool, swaps: bool = False) -> Path:
    """An embedder that passes vectors through, with a head that answers by the nearest centre."""
    text = '<ir_version: 10, opset_import: ["" : 20]> g (float[N, 16] x) => (float[N, 16] embedding) { embedding = Identity(x) }'
    folder.mkdir(exist_ok=True)
    plain = folder / "plain.onnx"
    plain.write_bytes(onnx.parser.parse_model(text).SerializeToString())
    weights = 4.0 * (centres[:9] / np.linalg.norm(centres[:9], axis=1, keepdims=True)).astype(np.float32)
    if swaps:
        weights[[0, 1]] = weights[[1, 0]]
    bias = np.array([0.0] * 8 + [0.0 if knows_new else -1e3], np.float32)
    return attach_head(plain, Head(CLASSES, weights, bias), folder / "model.onnx")


@pytest.fixture(scope="module")
def asked(files: Path, centres: Any, tmp_path_factory: pytest.TempPathFactory, desk_in: Callable[[Path], Desk]) -> Path:
    """With a cycle whose batch has left for the annotators, reached by commands alone."""
    desk = desk_in(shutil.copytree(files, tmp_path_factory.mktemp("asked") / "desk"))
    model = write_model(desk.folder, centres, knows_new=False)
    desk.configure(
        lambda document: document["monitors"][0].update(embedder={"model": model.name, "input": "tensor"}, classes=list(CLASSES))
    )
    desk.run("reference", "build", "--input", "good.jsonl")
    desk.run("dataset", "add", "--role", "golden", "golden.jsonl")
    desk.play(desk.folder / "traffic.jsonl")
    cycle = desk.json("refresh", "start", "--note", "by hand")["id"]
    assert "a person approved it [ana]" in desk.run("refresh", "approve", cycle).stdout
    return desk.folder


@pytest.fixture
def training(at: Callable[[Path], Desk], asked: Path) -> Desk:
    return at(asked)


def answer(desk: Desk, truth: dict[str, str], share: float = 1.0) -> Path:
    """Annotators fill in the batch's file, as the folder destination writes it."""
    batch = desk.json("refresh", "show", only(desk))["annotation_batch"]
    lines = [{"batch": batch["id"], "driftgate_id": item["id"], "text": item["text"]} for item in batch["items"]]
    for line in lines[: round(share * len(lines))]:
        line["label"] = truth[line["driftgate_id"]]
    path = desk.folder / "answers.jsonl"
    path.write_text("\n".join(json.dumps(line) for line in lines), encoding="utf-8")
    return path


def only(desk: Desk) -> str:
    return str(desk.json("refresh", "list")["cycles"][0]["id"])


def test_one_screen_says_where_the_cycle_is_and_what_to_do(training: Desk) -> None:
    cycle = only(training)
    shown = training.run("refresh", "status").stdout
    for words in (
        f"refresh {cycle}: annotating, opened by person",
        "waits for labels: 0 of 40 answered",
        "counts as stuck in",
        "next: label",
    ):
        assert words in shown
    (found,) = training.json("refresh", "status")["monitors"]
    assert (found["open"]["cycle"], found["open"]["stuck"], found["due"]) == (cycle, False, [])
    assert "only one is open at a time" in training.run("refresh", "start", code=1).stderr
    training.run("refresh", "cancel", cycle)
    assert "cool-down until" in training.run("refresh", "status").stdout


def test_labels_come_back_and_a_better_model_is_promoted(training: Desk, centres: Any, truth: dict[str, str]) -> None:
    cycle, path = only(training), answer(training, truth)
    assert "after training was asked for" in training.run("verify", "--cycle", cycle, "--model", "model.onnx", code=1).stderr
    taken = training.json("annotation", "import", path)
    assert (taken["batches"][0]["state"], taken["changed"], taken["unknown"]) == ("closed", 40, [])
    assert training.json("annotation", "import", path)["changed"] == 0
    assert training.json("refresh", "show", cycle)["state"] == "training"
    assert {found["role"] for found in training.json("dataset", "list")["data_sets"]} >= {"train", "challenge", "golden"}
    better = write_model(training.folder / "better", centres, knows_new=True)
    (training.folder / "classes.txt").write_text("\n".join(CLASSES), encoding="utf-8")
    run = training.folder / "run.json"
    run.write_text('{"seed": 3}', encoding="utf-8")
    given = ("--model", better, "--version", "m2", "--classes", "classes.txt", "--run", run)
    registered = training.json("refresh", "register", cycle, *given)
    assert (registered["state"], registered["model"]["run"]) == ("verified", {"seed": 3})  # no server runs, so it is judged here
    judged = training.run("verify", "--cycle", cycle, "--model", better, "--version", "m2", "--classes", "classes.txt").stdout
    assert "the new model passed" in judged
    assert training.json("refresh", "promote", cycle, "--note", "seen it")["history"][-1]["note"] == "seen it"
    assert "after its promotion" not in training.run("refresh", "deployed", cycle).stdout
    assert [found["state"] for found in training.json("reference", "list")["references"]] == ["kept", "in force"]
    assert "promoted" in training.run("refresh", "list").stdout
    assert training.json("refresh", "revert", cycle)["state"] == "reverted"
    assert [found["state"] for found in training.json("reference", "list")["references"]] == ["in force", "provisional"]
    assert "rejected" not in training.run("refresh", "decline", cycle, code=1).stdout


@pytest.mark.parametrize(("field", "value", "says"), [("driftgate_id", "zzz", "not in the batch"), ("label", "reffund", "no class of the")])
def test_answers_that_can_not_be_used_are_no_success(training: Desk, truth: dict[str, str], field: str, value: str, says: str) -> None:
    path = training.folder / answer(training, truth)
    good, *_ = path.read_text(encoding="utf-8").splitlines()
    path.write_text(json.dumps({**json.loads(good), field: value}), encoding="utf-8")
    said = " ".join(training.run("annotation", "import", path, code=1).stdout.split())
    assert says in said
    assert value in said


def test_a_model_that_breaks_golden_rows_is_rejected(training: Desk, centres: Any, truth: dict[str, str]) -> None:
    cycle = only(training)
    answer(training, truth, share=0.5)
    assert "partly_returned" in training.run("annotation", "import", "answers.jsonl").stdout
    assert training.json("refresh", "close", cycle, "--note", "enough")["state"] == "training"
    worse = write_model(training.folder / "worse", centres, knows_new=True, swaps=True)
    judged = training.json("verify", "--cycle", cycle, "--model", worse, code=1)
    assert (judged["state"], judged["verification"]["verdict"]) == ("rejected", "reject")
    assert "golden rows broke" in training.run("refresh", "show", cycle).stdout


def test_cancelled_and_wrong_use(training: Desk) -> None:
    cycle = only(training)
    for content in ("", '{"batch": 3}', '{"batch": "b", "driftgate_id": "x"}'):
        (training.folder / "answers.jsonl").write_text(content, encoding="utf-8")
        training.run("annotation", "import", "answers.jsonl", code=2)
    assert training.json("refresh", "cancel", cycle)["state"] == "cancelled"
    assert "cancelled" in training.run("refresh", "close", cycle, code=1).stderr
    assert "no refresh cycle" in training.run("refresh", "show", "nope", code=2).stderr
    (training.folder / "classes.txt").write_text("a\na\n", encoding="utf-8")
    wrong = training.run("verify", "--cycle", cycle, "--model", "model.onnx", "--classes", "classes.txt", code=2)
    assert "2 classes, 1 of them different" in wrong.stderr
    training.run("verify", "--cycle", cycle, "--model", "nowhere.onnx", code=2)
