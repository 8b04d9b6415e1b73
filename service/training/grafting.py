"""A trained head on an embedder's graph, as one ONNX file, and the head that a file holds already.

The head takes what the embedder's readout makes of the model's output: pooled, in single precision, of length 1 where the monitor
normalises. These steps become part of the graph, so that whoever serves the file needs to know nothing of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from service.errors import EmbedderError, InputError
from service.model_build import drop_output, put_tokenizer, write_model
from service.settings import EmbedderSettings
from service.switching.graph import onnx_package, read_model
from service.training.heads import Floats, Hidden, TrainedHead

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

_OPSET = 13
"""The oldest in which sums take their axes as they are written here."""

_PREFIX = "head/"
_INPUT = f"{_PREFIX}input"
_SIDES = ("", "new/", "new/new/")
"""Of a switch the new model's head is the one that knows all classes."""

_PROBES = 4
"""Random inputs per dimension, by which a tail is found to be linear."""
_LINEAR = 1e-4
"""Largest error of that, in shares of the largest logit."""


@dataclass(frozen=True, slots=True)
class Export:
    """What was written: how far ONNX Runtime's logits are from torch's, over how many rows."""

    path: Path
    largest_difference: float
    rows: int


def graft(model: Path, head: TrainedHead, settings: EmbedderSettings, target: Path) -> Path:
    """Writes `model` with the head's logits in place of those it has; its tokenizer goes along. Only `embedding` and `logits` are given."""
    standing_on(settings)
    name = str(settings.logits_output)
    proto = _without_answers(read_model(model), settings)
    tail = _Tail(proto)
    tail.head(tail.read(settings), head, name)
    declared = tail.onnx.helper.make_tensor_value_info(name, tail.onnx.TensorProto.FLOAT, ["batch", len(head.classes)])
    proto.graph.output.append(declared)
    proto.graph.node.extend(tail.nodes)
    proto.graph.initializer.extend(tail.constants)
    tail.onnx.helper.set_model_props(proto, {"classes": json.dumps(head.classes, ensure_ascii=False)})
    if settings.input == "text" and settings.with_model(model).tokenizer is not None:
        put_tokenizer(_tokenizer(settings, model), target.with_name("tokenizer.json"))
    return write_model(target, proto.SerializeToString(deterministic=True))


def standing_on(settings: EmbedderSettings) -> Path:
    """The model's file; InputError where the monitor reads no logits, or has no model that a head could stand on."""
    if settings.logits_output is None or settings.model is None:
        raise InputError("no_logits", "a head needs embedder.model to stand on and embedder.logits_output to be read by; set both")
    return settings.model


def head_of(model: Path, settings: EmbedderSettings, classes: Sequence[str]) -> TrainedHead | None:
    """The head that answers in a file: one grafted here, or any other that is linear in the embedding. None where there is none such."""
    proto = read_model(model)
    constants = {each.name: each for each in proto.graph.initializer}
    for side in _SIDES:
        if f"{side}{_PREFIX}weights" in constants:
            return _grafted(constants, side + _PREFIX, classes)
    return _linear(proto, settings, classes)


def _grafted(constants: dict[str, Any], prefix: str, classes: Sequence[str]) -> TrainedHead | None:
    def array(name: str) -> Floats:
        return np.array(onnx_package().numpy_helper.to_array(constants[prefix + name]), np.float32)

    hidden = Hidden(array("inner"), array("offset"), array("outer")) if f"{prefix}inner" in constants else None
    found = array("weights")
    return TrainedHead(tuple(classes), found, array("bias"), hidden) if len(found) == len(classes) else None


def _linear(proto: ModelProto, settings: EmbedderSettings, classes: Sequence[str]) -> TrainedHead | None:
    """By trying: what stands between embedding and logits is fed random vectors of length 1."""
    embedding, logits = settings.embedding_output, settings.logits_output
    outputs = {each.name: each for each in proto.graph.output}
    if settings.pooling != "none" or embedding not in outputs or logits is None or logits not in outputs:
        return None
    tail = _between(proto, embedding, logits)
    dimension = outputs[embedding].type.tensor_type.shape.dim[-1].dim_value
    if tail is None or not dimension:
        return None
    rows = np.random.default_rng(0).standard_normal((_PROBES * (dimension + 1), dimension)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    (found,) = tail.run(None, {embedding: rows})
    solved = np.linalg.lstsq(np.column_stack([rows, np.ones(len(rows))]).astype(np.float64), np.asarray(found, np.float64), rcond=None)[0]
    off = np.abs(np.column_stack([rows, np.ones(len(rows))]) @ solved - found).max()
    if found.shape[1] != len(classes) or off > _LINEAR * max(np.abs(found).max(), 1.0):
        return None
    return TrainedHead(tuple(classes), solved[:-1].T.astype(np.float32), solved[-1].astype(np.float32))


def _between(proto: ModelProto, start: str, end: str) -> Any:
    """An evaluator of the nodes from one value to the other; None where these read anything else."""
    onnx = onnx_package()
    from onnx.reference import ReferenceEvaluator  # noqa: PLC0415 - an extra

    constants = {each.name for each in proto.graph.initializer}
    needed, nodes = {end}, list[Any]()
    for node in reversed(proto.graph.node):
        if start not in node.output and not needed.isdisjoint(node.output):
            needed |= set(node.input)
            nodes.append(node)
    made = {name for node in nodes for name in node.output}
    if start not in needed or needed - made - constants - {start, ""}:
        return None
    inputs = [onnx.helper.make_tensor_value_info(start, onnx.TensorProto.FLOAT, None)]
    outputs = [onnx.helper.make_tensor_value_info(end, onnx.TensorProto.FLOAT, None)]
    kept = [each for each in proto.graph.initializer if each.name in needed]
    graph = onnx.helper.make_graph(nodes[::-1], "tail", inputs, outputs, kept)
    return ReferenceEvaluator(onnx.helper.make_model(graph, opset_imports=proto.opset_import, ir_version=proto.ir_version))


def _without_answers(proto: ModelProto, settings: EmbedderSettings) -> ModelProto:
    """Its embedding alone, on an opset that the head can be written in."""
    onnx = onnx_package()
    if settings.embedding_output not in {each.name for each in proto.graph.output}:
        there = ", ".join(each.name for each in proto.graph.output)
        raise EmbedderError(f"a head needs an output {settings.embedding_output!r} (embedder.embedding_output); the model has: {there}")
    own = next((each.version for each in proto.opset_import if each.domain in ("", "ai.onnx")), 0)
    if own < _OPSET:
        proto = onnx.version_converter.convert_version(proto, _OPSET)
    defaults = {each.name for each in proto.graph.initializer}
    for output in [each.name for each in proto.graph.output if each.name != settings.embedding_output]:
        drop_output(proto, output)
    left = {each.name for each in proto.graph.initializer}
    for optional in [each for each in proto.graph.input if each.name in defaults - left]:
        proto.graph.input.remove(optional)
    return proto


def _tokenizer(settings: EmbedderSettings, model: Path) -> bytes:
    path = settings.with_model(model).tokenizer
    if path is None or not path.is_file():
        raise EmbedderError(f"{path}: no tokenizer; it is the `tokenizer.json` beside the model, or embedder.tokenizer")
    return path.read_bytes()


class _Tail:
    """What is added to the graph."""

    def __init__(self, proto: ModelProto) -> None:
        self.onnx = onnx_package()
        self.nodes: list[NodeProto] = []
        self.constants: list[Any] = []
        self._proto = proto

    def read(self, settings: EmbedderSettings) -> str:
        """The embedding as the monitor's readout gives it."""
        rows = self._op("Cast", settings.embedding_output, to=self.onnx.TensorProto.FLOAT)
        rows = self._pooled(rows, settings.pooling)
        if settings.normalize is False:
            return self._op("Identity", rows, output=_INPUT)
        squares = self._op("ReduceSum", self._op("Mul", rows, rows), self._constant("features", [1]), keepdims=1)
        length = self._op("Max", self._op("Sqrt", squares), self._constant("least", np.array([1e-30], np.float32)))
        return self._op("Div", rows, length, output=_INPUT)

    def head(self, rows: str, head: TrainedHead, output: str) -> None:
        """Logits of these rows."""
        weights, bias = self._constant("weights", head.weights), self._constant("bias", head.bias)
        if head.hidden is None:
            self._op("Gemm", rows, weights, bias, output=output, transB=1)
            return
        inner, offset = self._constant("inner", head.hidden.inner), self._constant("offset", head.hidden.offset)
        units = self._op("Relu", self._op("Gemm", rows, inner, offset, transB=1))
        added = self._op("Gemm", units, self._constant("outer", head.hidden.outer), transB=1)
        self._op("Add", self._op("Gemm", rows, weights, bias, transB=1), added, output=output)

    def _pooled(self, rows: str, pooling: str) -> str:
        if pooling == "none":
            return rows
        if pooling == "cls":
            return self._op("Gather", rows, self._constant("first", np.int64(0)), axis=1)
        if "attention_mask" not in {each.name for each in self._inputs()}:
            return self._op("ReduceMean", rows, axes=[1], keepdims=0) if self._opset() < 18 else self._mean(rows)
        mask = self._op("Cast", "attention_mask", to=self.onnx.TensorProto.FLOAT)
        weights = self._op("Unsqueeze", mask, self._constant("last", [2]))
        tokens = self._constant("tokens", [1])
        total = self._op("ReduceSum", self._op("Mul", rows, weights), tokens, keepdims=0)
        return self._op("Div", total, self._op("ReduceSum", weights, tokens, keepdims=0))

    def _mean(self, rows: str) -> str:
        return self._op("ReduceMean", rows, self._constant("tokens", [1]), keepdims=0)

    def _inputs(self) -> Iterator[Any]:
        return iter(self._proto.graph.input)

    def _opset(self) -> int:
        return next(int(each.version) for each in self._proto.opset_import if each.domain in ("", "ai.onnx"))

    def _op(self, kind: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        name = output or f"{_PREFIX}{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(self.onnx.helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def _constant(self, name: str, array: Any) -> str:
        self.constants.append(self.onnx.numpy_helper.from_array(np.asarray(array), _PREFIX + name))
        return _PREFIX + name
