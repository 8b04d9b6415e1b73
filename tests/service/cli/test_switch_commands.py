"""Two models become one at the desk; what they promise is shown, checked and planned."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from tests.service.cli.conftest import Desk

pytestmark = pytest.mark.long

TOPICS = [f"topic {i}" for i in range(8)]


def write_model(path: Path, centres: np.ndarray[Any, Any]) -> None:
    """Vectors, and how much they point towards each centre."""
    constants = [numpy_helper.from_array(centres.T.astype(np.float32) * 3, "head")]
    nodes = [helper.make_node("Identity", ["x"], ["embedding"]), helper.make_node("MatMul", ["embedding", "head"], ["logits"])]
    sizes = (("x", 16), ("embedding", 16), ("logits", len(centres)))
    declared = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", size]) for name, size in sizes]
    body = helper.make_graph(nodes, "model", declared[:1], declared[1:], constants)
    onnx.save(helper.make_model(body, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


@pytest.fixture
def modelled(desk: Desk, centres: np.ndarray[Any, Any]) -> Desk:
    """With a model whose classes are the topics, and another that knows one more."""
    write_model(desk.folder / "old.onnx", centres[:8])
    write_model(desk.folder / "new.onnx", centres[:9])
    (desk.folder / "classes.txt").write_text("\n".join([*TOPICS, "new"]), encoding="utf-8")

    def change(document: dict[str, Any]) -> None:
        document["monitors"][0] |= {
            "embedder": {"input": "tensor", "model": "old.onnx"},
            "classes": TOPICS,
            "annotation": {"budget": 40, "price": 0.25},
        }

    desk.configure(change)
    return desk


ASKED = ("--new", "new.onnx", "--classes", "classes.txt", "--alpha", 0.05, "--output", "switch.onnx")


def test_a_switch_is_built_shown_and_checked(modelled: Desk) -> None:
    modelled.run("dataset", "add", "--role", "golden", "--input", "golden.jsonl")
    built = modelled.json("switch", "build", *ASKED)
    assert built["written"]
    assert built["certificate"]["golden"]["rows"] > 100
    shown = modelled.run("switch", "show", "switch.onnx").stdout
    assert shown.startswith("chat: at most 5.00% of answers break, with probability 0.95")
    assert "rows that no calibration has met would restore δ 0.05" in shown
    assert modelled.json("switch", "show", "switch.onnx") == built["certificate"]
    assert "the certificate is valid" in modelled.run("switch", "check", "switch.onnx").stdout
    (modelled.folder / "switch.onnx.certificate.json").unlink()
    checked = modelled.json("switch", "check", "switch.onnx", code=1)
    assert [each["name"] for each in checked["conditions"] if not each["holds"]] == ["file"]


def test_what_is_gained_is_told_on_drifted_rows(modelled: Desk, centres: np.ndarray[Any, Any]) -> None:
    modelled.run("dataset", "add", "--role", "golden", "--input", "golden.jsonl")
    lines = [{"id": f"d{i}", "vector": (centres[8] + 0.1 * i).tolist(), "label": "new"} for i in range(9)]
    (modelled.folder / "drifted.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    assert (
        "on 9 drifted rows: +100.0 points by the new model alone"
        in modelled.run("switch", "build", *ASKED, "--drifted", "drifted.jsonl").stdout
    )


def test_nothing_is_promised_without_enough_golden_rows(modelled: Desk) -> None:
    assert "no golden set, so no bound" in modelled.run("switch", "build", *ASKED, code=2).stderr
    modelled.run("dataset", "add", "--role", "golden", "--input", "golden.jsonl")
    said = modelled.run("switch", "build", *ASKED[:-3], 0.005, *ASKED[-2:], code=2).stderr
    assert "to show at most 0.50% of broken answers it takes 598" in said
    assert not (modelled.folder / "switch.onnx").exists()


def test_a_model_that_breaks_too_much_leaves_the_old_one(modelled: Desk, centres: np.ndarray[Any, Any]) -> None:
    modelled.run("dataset", "add", "--role", "golden", "--input", "golden.jsonl")
    write_model(modelled.folder / "new.onnx", centres[[1, 0, 3, 2, 5, 4, 7, 6, 8]])
    result = modelled.run("switch", "build", *ASKED, code=1)
    assert "no switch: the old model stays" in result.stdout
    assert not (modelled.folder / "switch.onnx").exists()


def test_monitors_without_a_model_have_nothing_to_switch_between(desk: Desk) -> None:
    for name in ("new.onnx", "classes.txt"):
        (desk.folder / name).write_text("x", encoding="utf-8")
    assert "`input: none` has no model, so there are no logits to switch by" in desk.run("switch", "build", *ASKED, code=2).stderr


def test_a_plan_says_what_is_missing_and_what_it_costs(modelled: Desk) -> None:
    first = modelled.json("plan")
    assert first["cost"] == 0.25 * first["labels"]
    modelled.run("dataset", "add", "--role", "golden", "--input", "golden.jsonl")
    found = modelled.json("plan", "--alpha", 0.02, "--margin", 0.2)
    assert found["asked"] == {"alpha": 0.02, "delta": 0.1, "margin": 0.2, "segments": []}
    assert {need["purpose"] for need in found["needs"]} == {"select", "calibrate", "verify", "challenge"}
    shown = modelled.run("plan", "--alpha", 0.02).stdout
    assert "driftgate dataset refill --monitor chat" in shown
    assert "at 0.25 a label" in shown
    assert "found 'locale=de'; tags: none (segments.tags)" in modelled.run("plan", "--segments", "locale=de", code=2).stderr


def test_a_refill_leaves_what_is_there(modelled: Desk) -> None:
    assert "no golden set to refill" in modelled.run("dataset", "refill", "--input", "golden.jsonl", code=2).stderr
    modelled.run("dataset", "add", "--role", "golden", "--input", "golden.jsonl")
    text = (modelled.folder / "golden.jsonl").read_text(encoding="utf-8").splitlines()
    fresh = [json.loads(line) for line in text[:20]]
    lines = [json.dumps({**line, "id": f"f{i}", "vector": line["vector"][::-1]}) for i, line in enumerate(fresh)]
    (modelled.folder / "fresh.jsonl").write_text("\n".join(lines), encoding="utf-8")
    before = modelled.json("dataset", "list")["data_sets"][0]["parts"]
    made = modelled.json("dataset", "refill", "--input", "fresh.jsonl")
    assert made["rows"] == 420
    assert made["parts"]["select"] <= before["select"] + 2  # near-duplicates of rows there stay with them
