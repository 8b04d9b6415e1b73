"""Heads on graphs: what is read of an old model, and that what is written answers as it should."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

from service.adapters.onnx_embedder import load_embedder
from service.errors import EmbedderError, InputError
from service.settings import EmbedderSettings
from service.switching.graph import Names, merge, serialised
from service.training.grafting import graft, head_of
from service.training.heads import Hidden, TrainedHead
from tests.training.conftest import CENTRES, DIMENSION, KNOWN, NEW, samples, write

CLASSES = (*KNOWN, NEW)
RNG = np.random.default_rng(7)


def head(*, hidden: bool = False) -> TrainedHead:
    rng = np.random.default_rng(8)
    draw = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in (("w", (4, DIMENSION)), ("b", 4), ("i", (5, DIMENSION)))}
    units = Hidden(draw["i"], np.ones(5, np.float32), rng.standard_normal((4, 5)).astype(np.float32)) if hidden else None
    return TrainedHead(CLASSES, draw["w"], draw["b"], units)


def old_model(folder: Path, *, normalize: bool = False) -> EmbedderSettings:
    path = write(folder / "old.onnx", 2 * CENTRES[:3], np.arange(3.0), KNOWN)
    return EmbedderSettings(model=path, input="tensor", normalize=normalize)


@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize("normalize", [False, True])
def test_a_grafted_head_answers_as_on_the_embedding(tmp_path: Path, hidden: bool, normalize: bool) -> None:
    settings, wanted = old_model(tmp_path, normalize=normalize), head(hidden=hidden)
    target = graft(tmp_path / "old.onnx", wanted, settings, tmp_path / "new" / "model.onnx")
    payloads = [sample.payload for sample in samples(30, range(4), 5)]
    found = load_embedder(settings.with_model(target)).embed(payloads)
    assert found.logits is not None
    np.testing.assert_allclose(found.logits, wanted.logits(found.embedding), atol=1e-4)
    np.testing.assert_array_equal(found.embedding, load_embedder(settings).embed(payloads).embedding)
    model = onnx.load(str(target))
    assert {each.name for each in model.graph.output} == {"embedding", "logits"}
    assert json.loads({each.key: each.value for each in model.metadata_props}["classes"]) == list(CLASSES)


@pytest.mark.parametrize("hidden", [False, True])
def test_a_grafted_head_is_read_back(tmp_path: Path, hidden: bool) -> None:
    settings, wanted = old_model(tmp_path), head(hidden=hidden)
    target = graft(tmp_path / "old.onnx", wanted, settings, tmp_path / "model.onnx")
    found = head_of(target, settings, CLASSES)
    assert found is not None
    assert found.kind == wanted.kind
    rows = RNG.standard_normal((9, DIMENSION)).astype(np.float32)
    np.testing.assert_array_equal(found.logits(rows), wanted.logits(rows))


def test_a_second_refresh_replaces_the_head(tmp_path: Path) -> None:
    settings = old_model(tmp_path)
    first = graft(tmp_path / "old.onnx", head(hidden=True), settings, tmp_path / "first.onnx")
    second = graft(first, head(), settings, tmp_path / "second.onnx")
    assert second.read_bytes() == graft(tmp_path / "old.onnx", head(), settings, tmp_path / "plain.onnx").read_bytes()


def test_a_linear_head_that_somebody_else_wrote_is_found(tmp_path: Path) -> None:
    settings = old_model(tmp_path)
    found = head_of(tmp_path / "old.onnx", settings, KNOWN)
    assert found is not None
    np.testing.assert_allclose(found.weights, 2 * CENTRES[:3], atol=1e-4)
    np.testing.assert_allclose(found.bias, np.arange(3.0), atol=1e-4)
    assert head_of(tmp_path / "old.onnx", settings, (*KNOWN, "more")) is None


def test_a_head_that_is_not_linear_is_left_alone(tmp_path: Path) -> None:
    old_model(tmp_path)
    bent = onnx.load(str(tmp_path / "old.onnx"))
    bent.graph.node[-1].output[0] = "flat"
    bent.graph.node.append(onnx.helper.make_node("Exp", ["flat"], ["logits"]))
    onnx.save(bent, str(tmp_path / "bent.onnx"))
    assert head_of(tmp_path / "bent.onnx", EmbedderSettings(model=tmp_path / "bent.onnx", input="tensor"), KNOWN) is None


def test_of_a_switch_the_head_that_knows_all_classes_is_taken(tmp_path: Path) -> None:
    settings, wanted = old_model(tmp_path), head()
    new = graft(tmp_path / "old.onnx", wanted, settings, tmp_path / "new.onnx")
    parts = [onnx.load(str(path)) for path in (tmp_path / "old.onnx", new)]
    merged = merge(*parts, names=Names("embedding", "logits"), places=(0, 1, 2), classes=4, threshold=0.5)
    switch = tmp_path / "switch.onnx"
    switch.write_bytes(serialised(merged.model, {"classes": list(CLASSES)}))
    found = head_of(switch, settings, CLASSES)
    assert found is not None
    np.testing.assert_array_equal(found.weights, wanted.weights)
    again = graft(switch, wanted, settings, tmp_path / "again.onnx")
    assert [each.name for each in onnx.load(str(again)).graph.input] == ["x"]


@pytest.mark.parametrize("pooling", ["mean", "cls"])
@pytest.mark.parametrize("masked", [False, True])
def test_tokens_are_pooled_within_the_graph(tmp_path: Path, pooling: Any, masked: bool) -> None:
    mask = ", float[n, t] attention_mask" if masked else ""
    text = f'<ir_version: 10, opset_import: ["" : 20]> g (float[n, t, {DIMENSION}] x{mask}) => (float[n, t, {DIMENSION}] embedding) {{'
    onnx.save(onnx.parser.parse_model(text + "embedding = Neg(x)}"), str(tmp_path / "tokens.onnx"))
    settings = EmbedderSettings(model=tmp_path / "tokens.onnx", input="tensor", pooling=pooling, normalize=False)
    target = graft(tmp_path / "tokens.onnx", head(), settings, tmp_path / "model.onnx")
    rows = RNG.standard_normal((3, 4, DIMENSION)).astype(np.float32)
    here = np.array([[1, 1, 0, 0], [1, 1, 1, 1], [1, 0, 0, 0]], np.float32) if masked else np.ones((3, 4), np.float32)
    feed: dict[str, NDArray[Any]] = {"x": rows} | ({"attention_mask": here} if masked else {})
    (found,) = ort.InferenceSession(str(target)).run(["logits"], feed)
    pooled = -rows[:, 0] if pooling == "cls" else -(rows * here[:, :, None]).sum(1) / here.sum(1, keepdims=True)
    np.testing.assert_allclose(found, head().logits(pooled), atol=1e-4)


def test_what_can_not_carry_a_head_is_said(tmp_path: Path) -> None:
    settings = old_model(tmp_path)
    with pytest.raises(EmbedderError, match="needs an output 'vector'"):
        graft(tmp_path / "old.onnx", head(), settings.model_copy(update={"embedding_output": "vector"}), tmp_path / "model.onnx")
    with pytest.raises(InputError, match="logits_output"):
        graft(tmp_path / "old.onnx", head(), settings.model_copy(update={"logits_output": None}), tmp_path / "model.onnx")
    (tmp_path / "text.onnx").write_text("no model")
    with pytest.raises(EmbedderError, match="not a readable ONNX model"):
        graft(tmp_path / "text.onnx", head(), settings, tmp_path / "model.onnx")
