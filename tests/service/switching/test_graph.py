"""The graph answers as numpy does, whatever the models share, and for every threshold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from scipy.special import softmax

from service.errors import EmbedderError
from service.switching import graph
from service.switching.graph import Merged, Names, merge, read_model, serialised

NAMES = Names("embedding", "logits")
WIDTH, HIDDEN = 5, 4
Array: TypeAlias = NDArray[np.floating]


def weights(seed: int, classes: int) -> dict[str, Array]:
    rng = np.random.default_rng(seed)
    shapes = {"body": (WIDTH, HIDDEN), "shift": (HIDDEN,), "head": (HIDDEN, classes), "bias": (classes,)}
    return {name: rng.normal(scale=2, size=shape).astype(np.float32) for name, shape in shapes.items()}


def network(given: Mapping[str, Array], *, prefix: str = "", opset: int = 17, input_name: str = "x", kind: int = TensorProto.FLOAT) -> Any:
    """x → tanh(x · body + shift) = embedding → logits, every inner name with the prefix."""
    constants = [numpy_helper.from_array(array, prefix + name) for name, array in given.items()]
    nodes = [
        helper.make_node("MatMul", [input_name, prefix + "body"], [prefix + "product"]),
        helper.make_node("Add", [prefix + "product", prefix + "shift"], [prefix + "sum"]),
        helper.make_node("Tanh", [prefix + "sum"], ["embedding"]),
        helper.make_node("MatMul", ["embedding", prefix + "head"], [prefix + "scaled"]),
        helper.make_node("Add", [prefix + "scaled", prefix + "bias"], ["logits"]),
    ]
    batch, classes = "batch", given["bias"].shape[0]
    body = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info(input_name, kind, [batch, WIDTH])],
        [
            helper.make_tensor_value_info("embedding", kind, [batch, HIDDEN]),
            helper.make_tensor_value_info("logits", kind, [batch, classes]),
        ],
        constants,
    )
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def pair(old_classes: int = 3, new_classes: int = 3, *, shared: bool = True, **options: Any) -> tuple[Any, Any]:
    old, new = weights(1, old_classes), weights(2, new_classes)
    if shared:
        new |= {"body": old["body"], "shift": old["shift"]}
    return network(old), network(new, prefix="other_", **options)


def switched(old: Any, new: Any, places: Sequence[int], classes: int, threshold: float = 0.5) -> Merged:
    return merge(old, new, names=NAMES, places=places, classes=classes, threshold=threshold)


@cache
def session(content: bytes) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def run(model: Any, outputs: Sequence[str], feed: Mapping[str, Any]) -> list[Any]:
    found: list[Any] = session(model.SerializeToString()).run(outputs, feed)
    return found


def expected(old: Any, new: Any, rows: Array, places: Sequence[int], threshold: float) -> tuple[NDArray[Any], Array, NDArray[Any], Array]:
    """Label, logits, which model and margin, from the two models' own answers."""
    (before,), (after,) = (run(model, ["logits"], {model.graph.input[0].name: rows}) for model in (old, new))
    at, ours, theirs = np.arange(len(rows)), after.argmax(1), np.array(places)[before.argmax(1)]
    shares = softmax(after, axis=1)
    margin = shares[at, ours] - shares[at, theirs]
    takes = margin > np.float32(threshold)
    wide = np.full_like(after, -10_000)
    wide[:, list(places)] = before
    return np.where(takes, ours, theirs), np.where(takes[:, None], after, wide), takes, margin


ROWS = np.random.default_rng(9).normal(scale=3, size=(64, WIDTH)).astype(np.float32)


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize(("places", "classes"), [((0, 1, 2), 3), ((2, 0, 1), 3), ((0, 1, 2), 5), ((4, 0, 2), 5)])
def test_answers_are_those_of_the_model_that_is_served(shared: bool, places: Sequence[int], classes: int) -> None:
    old, new = pair(3, classes, shared=shared)
    merged = switched(old, new, places, classes, 0.3)
    for threshold in (None, 0.0, 0.5, 0.975, 2.0):
        feed = {"x": ROWS} if threshold is None else {"x": ROWS, "threshold": np.array([threshold], np.float32)}
        label, logits, served, embedding = run(merged.model, ["label", "logits", "served_new", "embedding"], feed)
        wanted = expected(old, new, ROWS, places, 0.3 if threshold is None else threshold)
        sure = np.abs(wanted[3] - (0.3 if threshold is None else threshold)) > 1e-6
        assert np.array_equal(label[sure], wanted[0][sure])
        assert np.array_equal(served[sure], wanted[2][sure])
        assert np.allclose(logits[sure], wanted[1][sure], atol=1e-5)
        assert np.allclose(embedding, run(new, ["embedding"], {"x": ROWS})[0], atol=1e-6)
    assert 0 < expected(old, new, ROWS, places, 0.3)[2].mean() < 1


@cache
def sessions(shared: bool) -> tuple[Any, Any, Any]:
    """(old, new, the switch over both)."""
    old, new = pair(3, 4, shared=shared)
    before, after, switch = (session(m.SerializeToString()) for m in (old, new, switched(old, new, (3, 0, 1), 4).model))
    return before, after, switch


@given(seed=st.integers(0, 2**32 - 1), threshold=st.floats(0, 1, width=32), scale=st.sampled_from([0.1, 1.0, 10.0]), shared=st.booleans())
def test_any_row_at_any_threshold(seed: int, threshold: float, scale: float, shared: bool) -> None:
    old, new, switch = sessions(shared)
    rows = (scale * np.random.default_rng(seed).normal(size=(8, WIDTH))).astype(np.float32)
    (before,), (after,) = old.run(["logits"], {"x": rows}), new.run(["logits"], {"x": rows})
    shares, theirs = softmax(after, axis=1), np.array([3, 0, 1])[before.argmax(1)]
    margin = shares.max(1) - shares[np.arange(8), theirs]
    label, served = switch.run(["label", "served_new"], {"x": rows, "threshold": np.array([threshold], np.float32)})
    sure = np.abs(margin - threshold) > 1e-5
    assert np.array_equal(served[sure], margin[sure] > threshold)
    assert np.array_equal(label[sure], np.where(margin > threshold, after.argmax(1), theirs)[sure])


def test_what_both_compute_is_there_once() -> None:
    for shared, nodes in ((True, 3), (False, 0)):
        merged = switched(*pair(shared=shared), (0, 1, 2), 3)
        assert (merged.nodes, merged.shared_nodes, merged.shared_embedder) == (5, nodes, shared)
        bodies = [c for c in merged.model.graph.initializer if tuple(c.dims) == (WIDTH, HIDDEN)]
        assert len(bodies) == (1 if shared else 2)
    half = pair()
    half[1].graph.initializer[1].CopyFrom(numpy_helper.from_array(np.zeros(HIDDEN, np.float32), "other_shift"))
    assert switched(*half, (0, 1, 2), 3).shared_nodes == 1  # up to where they part


def test_the_same_model_twice_is_that_model() -> None:
    old, _ = pair()
    merged = switched(old, old, (0, 1, 2), 3)
    assert merged.shared_nodes == merged.nodes
    assert np.array_equal(run(merged.model, ["label"], {"x": ROWS})[0], run(old, ["logits"], {"x": ROWS})[0].argmax(1))


def test_a_switch_is_a_model_that_another_switch_can_hold() -> None:
    old, new = pair()
    first = switched(old, new, (0, 1, 2), 3, 0.4).model
    third = network(weights(1, 3) | {"head": weights(7, 3)["head"]})
    merged = switched(first, third, (0, 1, 2), 3, 0.6)
    label, served = run(merged.model, ["label", "served_new"], {"x": ROWS})
    wanted = expected(first, third, ROWS, (0, 1, 2), 0.6)
    assert np.array_equal(label, wanted[0])
    assert np.array_equal(served, wanted[2])
    assert merged.shared_embedder


def test_inputs_of_other_names_and_older_opsets_are_brought_together() -> None:
    old, new = pair(input_name="features", opset=11)
    merged = switched(old, new, (0, 1, 2), 3)
    assert [each.name for each in merged.model.graph.input] == ["features", "threshold"]
    assert merged.shared_embedder
    label = run(merged.model, ["label"], {"features": ROWS})[0]
    assert np.array_equal(label, expected(old, new, ROWS, (0, 1, 2), 0.5)[0])


def test_double_precision_is_compared_in_single() -> None:
    doubles = [{name: array.astype(np.float64) for name, array in weights(seed, 3).items()} for seed in (1, 2)]
    old, new = (network(each, kind=TensorProto.DOUBLE) for each in doubles)
    merged = switched(old, new, (0, 1, 2), 3)
    assert run(merged.model, ["logits"], {"x": ROWS.astype(np.float64)})[0].dtype == np.float32


def test_branches_and_local_functions_keep_what_they_mean() -> None:
    old, new = pair()
    for model in (old, new):
        add_branch(model)
    merged = switched(old, new, (0, 1, 2), 3)
    assert np.array_equal(run(merged.model, ["label"], {"x": ROWS})[0], expected(old, new, ROWS, (0, 1, 2), 0.5)[0])


def add_branch(model: Any) -> None:
    """logits → if true: logits + logits, which the branch takes from outside."""
    last = model.graph.node[-1]
    inner, last.output[0] = "before_branch", "before_branch"
    (shape,) = [o for o in model.graph.output if o.name == "logits"]
    branches = {}
    for name, kind in (("then_branch", "Add"), ("else_branch", "Sub")):
        result = helper.make_tensor_value_info(f"{name}_result", TensorProto.FLOAT, None)
        branches[name] = helper.make_graph([helper.make_node(kind, [inner, inner], [f"{name}_result"])], name, [], [result])
    model.graph.initializer.append(numpy_helper.from_array(np.array(True), "always"))
    model.graph.node.append(helper.make_node("If", ["always"], [shape.name], **branches))


def test_a_model_without_logits_says_what_it_has() -> None:
    old, new = pair()
    with pytest.raises(EmbedderError, match=r"the old model has no output 'scores' \(embedder.logits_output\); it has: embedding, logits"):
        merge(old, new, names=Names("embedding", "scores"), places=(0, 1, 2), classes=3, threshold=0.5)


def test_inputs_of_another_type_are_refused() -> None:
    old, _ = pair()
    doubles = network({name: array.astype(np.float64) for name, array in weights(2, 3).items()}, kind=TensorProto.DOUBLE)
    with pytest.raises(EmbedderError, match="input x is of another type in the new model"):
        switched(old, doubles, (0, 1, 2), 3)


def test_operators_of_other_makers_must_be_of_one_version() -> None:
    old, new = pair()
    for model, number in ((old, 1), (new, 2)):
        model.opset_import.append(helper.make_opsetid("com.microsoft", number))
    with pytest.raises(EmbedderError, match=r"different versions of the operators com\.microsoft"):
        switched(old, new, (0, 1, 2), 3)


def test_what_is_no_model_and_what_is_too_large_are_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no model")
    with pytest.raises(EmbedderError, match=r"broken\.onnx: not a readable ONNX model"):
        read_model(broken)
    with pytest.raises(EmbedderError, match="not a readable"):
        read_model(tmp_path / "missing.onnx")
    monkeypatch.setattr(graph, "_LARGEST", 100)
    with pytest.raises(EmbedderError, match="share too little of their embedder"):
        serialised(pair()[0], {})


def test_metadata_come_back(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(serialised(pair()[0], {"classes": ["ä", "b"]}))
    assert {p.key: p.value for p in onnx.load(path).metadata_props} == {"classes": '["ä", "b"]'}


def test_without_onnx_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(EmbedderError, match=r"pip install 'driftgate\[model\]'"):
        graph.onnx_package()
