"""A new model against the old one from files, with real (tiny) models: exit codes, reports, and what can't be used."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest

from tests.service.cli.conftest import Desk, draw, write_jsonl

if TYPE_CHECKING:
    from numpy.typing import NDArray

pytestmark = pytest.mark.long

NAMES = [f"topic {number}" for number in range(9)]


def model(path: Path, centres: NDArray[np.float64], topics: Sequence[int], **options: Any) -> Path:
    """Answers by the nearest of these centres; `fed`, `logits`, `opset`, `weight` and `width` make it a bad one."""
    width = options.get("width", 16)
    centres = centres[:, :width]
    weights = 4.0 * (centres[list(topics)] / np.linalg.norm(centres[list(topics)], axis=1, keepdims=True)).astype(np.float32)
    fed, logits = options.get("fed", "x"), options.get("logits", "logits")
    text = (
        f'<ir_version: 8, opset_import: ["" : {options.get("opset", 17)}]> g (float[N, {width}] {fed}) => '
        f"(float[N, {width}] embedding, float[N, {len(topics)}] {logits}) "
        f"{{ embedding = Identity({fed}) {logits} = MatMul({fed}, w) }}"
    )
    made = onnx.parser.parse_model(text)
    made.graph.initializer.append(onnx.numpy_helper.from_array(weights.T * np.float32(options.get("weight", 1.0)), "w"))
    onnx.helper.set_model_props(made, {"classes": json.dumps([NAMES[topic] for topic in topics])} if options.get("named", True) else {})
    path.write_bytes(made.SerializeToString())
    return path


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, centres: NDArray[np.float64]) -> Desk:
    folder, rng = tmp_path_factory.mktemp("pair"), np.random.default_rng(3)
    model(folder / "old.onnx", centres, range(8))
    model(folder / "new.onnx", centres, [8, *range(7, -1, -1)])
    for name, count, low, high in (("golden", 400, 0, 8), ("few", 60, 0, 8), ("challenge", 50, 8, 9)):
        topics = rng.integers(low, high, count)
        rows = draw(rng, topics)
        labels = [NAMES[topic] for topic in topics.tolist()]
        write_jsonl(folder / f"{name}.jsonl", rows, label=labels, segments=[{"locale": "de" if i % 2 else "en"} for i in range(count)])
        np.save(folder / f"{name}.npy", rows)
        (folder / f"{name}.labels.txt").write_text("\n".join(labels), encoding="utf-8")
    return Desk(folder)


PAIR = ("verify", "--old", "old.onnx", "--new", "new.onnx")
SETS = ("--golden", "golden.jsonl", "--challenge", "challenge.jsonl", "--margin", 0.03)


def test_a_better_model_passes_without_any_installation(desk: Desk) -> None:
    found = desk.run(*PAIR, *SETS, "--segments", "locale", "--report", "out/gate.html", "--report", "gate.md", "--report", "gate.json")
    assert "the new model passed: promote" in found.stdout
    assert "locale=de" in found.stdout
    document = json.loads((desk.folder / "gate.json").read_text(encoding="utf-8"))
    assert (document["verdict"], document["new_classes"], document["new"]["classes"]) == ("promote", [NAMES[8]], 9)
    assert "<svg" in (desk.folder / "out" / "gate.html").read_text(encoding="utf-8")
    assert (desk.folder / "gate.md").read_text(encoding="utf-8").startswith("# verification: new.onnx against old.onnx")
    assert not (desk.folder / "driftgate.yaml").exists()


def test_vectors_and_their_labels_beside_them_do_as_well(desk: Desk) -> None:
    found = desk.json(*PAIR, "--golden", "golden.npy", "--challenge", "challenge.npy", "--margin", 0.03)
    assert found["passed"]
    assert found["samples"]["fixed"]


def test_too_few_rows_are_no_verdict_and_say_how_many_are_missing(desk: Desk) -> None:
    found = desk.json(*PAIR, "--golden", "few.jsonl", "--challenge", "challenge.jsonl", code=1)
    assert (found["verdict"], found["rows_needed"]) == ("insufficient", 1_397)
    assert found["rows_missing"] == 1_397 - found["checks"][0]["rows"]


def test_a_worse_model_is_rejected(desk: Desk) -> None:
    found = desk.json("verify", "--old", "new.onnx", "--new", "old.onnx", *SETS, code=1)
    assert (found["verdict"], found["lost_classes"]) == ("reject", [NAMES[8]])
    assert "did not rise" in found["reasons"][0] or "fell" in found["reasons"][0]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (None, "no ONNX model"),
        ({"logits": "scores", "named": False}, "found none"),
        ({"weight": np.nan}, "not finite"),
        ({"opset": 99}, "its operator set is 99, and"),
        ({"weight": np.nan}, "used: bad.onnx: the model fails on a probe: the model's answer to this payload is not finite"),
        ({"fed": "tokens"}, "it is fed as tokens, the model in force as x"),
        ({"width": 8}, "used: vector: shape (16,); the model takes (8,), or 8 numbers"),
        ({"topics": [0, 1], "classes": True}, "one logit for each of its 8 classes; found 2"),
    ],
)
def test_a_model_that_can_not_be_used_is_rejected_in_words(
    desk: Desk, centres: NDArray[np.float64], options: dict[str, Any] | None, says: str
) -> None:
    path, more = desk.folder / "bad.onnx", []
    if options is None:
        path.write_bytes(b"hello" * 40)
    else:
        model(path, centres, options.pop("topics", range(8)), **options)
    if options and options.get("classes"):
        (desk.folder / "classes.txt").write_text("\n".join(NAMES[:8]), encoding="utf-8")
        more = ["--classes", "classes.txt"]
    found = desk.json("verify", "--old", "old.onnx", "--new", path, *SETS, *more, "--report", "bad.html", code=1)
    assert (found["verdict"], found["passed"]) == ("reject", False)
    assert found["reasons"][0].startswith("the model can't be used")
    assert says in found["reasons"][0]
    assert "Verdict: reject" in (desk.folder / "bad.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("verify", "--new", "new.onnx"), "--old is missing"),
        (("verify", "--old", "old.onnx"), "--new is missing"),
        (PAIR, "--golden is missing"),
        ((*PAIR, *SETS, "--report", "gate.pdf"), "written as .json, .md, .html"),
        ((*PAIR, *SETS, "--margin", 0.6), "--margin: above 0 and below 0.5, found 0.6"),
        ((*PAIR, "--golden", "unlabelled.jsonl"), "unlabelled.jsonl, row 1: no label"),
        ((*PAIR, "--golden", "alone.npy"), "alone.labels.txt beside it"),
        ((*PAIR, "--golden", "empty.jsonl"), "the files hold no samples"),
        ((*PAIR, *SETS, "--run", "empty.jsonl"), "not JSON"),
        ((*PAIR, *SETS, "--monitor", "chat"), "driftgate.yaml"),
        (("verify", "--old", "golden.jsonl", "--new", "new.onnx", *SETS), "the model can't be used"),
    ],
)
def test_wrong_use_says_what_is_missing(desk: Desk, arguments: Sequence[object], says: str) -> None:
    (desk.folder / "unlabelled.jsonl").write_text(json.dumps({"vector": [0.0] * 16}), encoding="utf-8")
    (desk.folder / "empty.jsonl").write_text("", encoding="utf-8")
    np.save(desk.folder / "alone.npy", np.zeros((2, 16), np.float32))
    assert says in desk.run(*arguments, code=2).stderr.replace("\n", " ")
