"""Two ONNX models behind one threshold, as one graph: whatever both compute alike is computed once.

Every value of both graphs gets a number, a hash of the operator that makes it, its attributes and the numbers of its inputs; of
inputs their name, of constants their content. Values of the old graph whose number the new one has are taken from there: all of the
embedder where both have the same one, and as much of it as is the same where not. Names play no part.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from service.errors import EmbedderError

if TYPE_CHECKING:
    from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto

THRESHOLD, LABEL, SERVED = "threshold", "label", "served_new"
CERTIFICATE = "driftgate.certificate"
"""Where the model's metadata keep it."""
HEADS = "driftgate.heads"
"""Where they keep how many models stand behind one another in it."""

_OPSET, _IR_VERSION = 13, 8
"""The oldest opset that has all that the switch is made of as it is written here; an initialiser may be an input since IR 4."""

_LARGEST = 2**31 - 1
"""Bytes that protobuf can hold."""

_NEVER = -10_000.0
"""The logit of a class that a model does not know: no share of the softmax, and a number that every protocol can carry."""

_RANDOM = frozenset({"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"})


@dataclass(frozen=True, slots=True)
class Names:
    """What the models call what they give, and what the switch calls it too."""

    embedding: str
    logits: str


@dataclass(frozen=True, slots=True, eq=False)
class Merged:
    """The switch, and how much of the old model it shares with the new one."""

    model: ModelProto
    nodes: int
    shared_nodes: int
    shared_embedder: bool


def onnx_package() -> Any:
    """The package that writes models; EmbedderError names the extra that brings it."""
    try:
        import onnx  # noqa: PLC0415 - an extra: the service only runs graphs
        import onnx.compose  # noqa: PLC0415 - as above
        import onnx.inliner  # noqa: PLC0415 - as above
        import onnx.version_converter  # noqa: PLC0415 - as above
    except ImportError as error:
        raise EmbedderError("writing ONNX models needs onnx: pip install 'driftgate[model]' (or [demo])") from error
    return onnx


def read_model(path: Path) -> ModelProto:
    """The graph with its weights, also those beside it."""
    onnx = onnx_package()
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped] # noqa: PLC0415 - comes with onnx, without types

    try:
        model: ModelProto = onnx.load(str(path))
    except (OSError, DecodeError, onnx.checker.ValidationError) as error:
        raise EmbedderError(f"{path}: not a readable ONNX model: {error}") from error
    return model


def heads(metadata: Mapping[str, str]) -> int:
    """How many models answer in a file with these metadata: 1, or of a switch those of both sides."""
    return int(metadata.get(HEADS, "2" if CERTIFICATE in metadata else "1"))


def metadata_of(model: ModelProto) -> Mapping[str, str]:
    """What a graph says of itself."""
    return {each.key: each.value for each in model.metadata_props}


def merge(old: ModelProto, new: ModelProto, *, names: Names, places: Sequence[int], classes: int, threshold: float) -> Merged:
    """The switch between both. `places`: where each of the old model's classes stands among the `classes` of the new one.

    Inputs are the models' own and `threshold`, which has a default; outputs `label` (n,) among the new model's classes, the logits
    (n, classes) of the model that is served, -10,000 for classes it does not know, whether the new one is (n,), and the new one's
    embedding.
    """
    onnx = onnx_package()
    sides = _same_opsets([_plain(old), _plain(new)])
    before, after = (_Side(model, prefix, names) for model, prefix in zip(sides, ("old/", "new/"), strict=True))
    before.take_inputs_of(after)
    shared = before.shared_with(after)
    kept = [node for node in before.nodes if not all(name in shared for name in node.output if name)]
    for node in kept:
        _rename(node, shared)
    old_logits, new_logits = shared.get(before.logits, before.logits), after.logits
    tail = _Tail(onnx, names)
    tail.write(tail.as_float(old_logits, before), tail.as_float(new_logits, after), places, classes, threshold)
    if after.embedding:
        tail.op("Identity", after.embedding, output=names.embedding)
    graph = onnx.helper.make_graph(
        [*after.nodes, *kept, *tail.nodes],
        "switch",
        [*_inputs(before, after), tail.threshold],
        tail.outputs(after, classes),
        [*after.constants, *(c for c in before.constants if c.name not in shared), *tail.constants],
    )
    _prune(graph)
    model = onnx.helper.make_model(graph, opset_imports=_opsets(sides), producer_name="driftgate")
    model.ir_version = max(_IR_VERSION, *(side.ir_version for side in sides))
    embedder = bool(after.embedding) and shared.get(before.embedding) == after.embedding
    return Merged(model, len(before.nodes), len(before.nodes) - len(kept), embedder)


def serialised(model: ModelProto, metadata: Mapping[str, object]) -> bytes:
    """The model's file; metadata as JSON by key."""
    onnx = onnx_package()
    onnx.helper.set_model_props(model, {key: json.dumps(value, ensure_ascii=False) for key, value in metadata.items()})
    if model.ByteSize() > _LARGEST:
        raise EmbedderError(
            f"the switch would take {model.ByteSize() / 1e9:.1f} GB, an ONNX file holds at most 2: the models share too little of their "
            "embedder; train the new head on the old embedder, or quantise both"
        )
    content: bytes = model.SerializeToString()
    return content


# --- the two models ------------------------------------------------------------------------------------------------


class _Side:
    """One of the models, its names made unique; `numbers` are those of its values."""

    def __init__(self, model: ModelProto, prefix: str, names: Names) -> None:
        onnx = onnx_package()
        outputs = [output.name for output in model.graph.output]
        if names.logits not in outputs:
            raise EmbedderError(
                f"the {prefix[:-1]} model has no output {names.logits!r} (embedder.logits_output); it has: {', '.join(outputs)}"
            )
        onnx.compose.add_prefix_graph(model.graph, prefix, rename_inputs=False, inplace=True)
        constant = {each.name for each in model.graph.initializer}
        self.prefix = prefix
        self.inputs: list[ValueInfoProto] = [each for each in model.graph.input if each.name not in constant]
        self.logits = prefix + names.logits
        self.embedding = prefix + names.embedding if names.embedding in outputs else ""
        self.outputs: dict[str, ValueInfoProto] = {each.name: each for each in model.graph.output}
        self.constants: list[TensorProto] = list(model.graph.initializer)
        self.nodes: list[NodeProto] = _needed(model.graph, {self.logits, self.embedding} - {""})

    def take_inputs_of(self, other: _Side) -> None:
        """Feeds both from the same inputs: those of the same name, or the only ones there are."""
        if len(self.inputs) == len(other.inputs) == 1 and self.inputs[0].name != other.inputs[0].name:
            renamed = {self.inputs[0].name: other.inputs[0].name}
            for node in self.nodes:
                _rename(node, renamed)
            self.inputs[0].name = other.inputs[0].name
        theirs = {each.name: each.type.tensor_type.elem_type for each in other.inputs}
        for each in self.inputs:
            if each.type.tensor_type.elem_type != theirs.get(each.name, each.type.tensor_type.elem_type):
                raise EmbedderError(f"input {each.name} is of another type in the new model than in the old one; export both alike")

    def shared_with(self, other: _Side) -> dict[str, str]:
        """Names of values that the other computes too, and what it calls them."""
        theirs = {number: name for name, number in reversed(list(other.numbers()))}
        return {name: theirs[number] for name, number in self.numbers() if number in theirs}

    def numbers(self) -> Iterator[tuple[str, bytes]]:
        """Each value's name and number, inputs left out: they have the same names already."""
        known = {each.name: _digest("input", each.name) for each in self.inputs}
        for constant in self.constants:
            known[constant.name] = _content(constant)
            yield constant.name, known[constant.name]
        for node in self.nodes:
            number = self._number(node, known)
            for place, name in enumerate(node.output):
                known[name] = _digest(number, place) if place else number
                if name:
                    yield name, known[name]

    def _number(self, node: NodeProto, known: Mapping[str, bytes]) -> bytes:
        """Of the node's first output. Chance is never the same twice, and what a branch sees from outside is not followed."""
        if node.op_type == "Identity":
            return known.get(node.input[0]) or _digest("own", node.output[0])
        if node.op_type in _RANDOM or any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute):
            return _digest("own", node.output[0])
        if node.op_type == "Constant" and node.attribute[0].HasField("t"):
            return _content(node.attribute[0].t)
        attributes = sorted((each.name, _attribute(each)) for each in node.attribute)
        return _digest(node.domain, node.op_type, attributes, [known.get(name, name) for name in node.input])


def _digest(*parts: object) -> bytes:
    return hashlib.blake2b(repr(parts).encode(), digest_size=16).digest()


def _content(tensor: TensorProto) -> bytes:
    array = onnx_package().numpy_helper.to_array(tensor)
    digest = hashlib.blake2b(repr((tensor.data_type, array.shape)).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(array).tobytes())
    return digest.digest()


def _attribute(attribute: AttributeProto) -> bytes:
    if attribute.HasField("t"):
        return _content(attribute.t)
    return bytes(attribute.SerializeToString(deterministic=True))


def _plain(model: ModelProto) -> ModelProto:
    """A copy without local functions, whose bodies stand where they are called."""
    onnx = onnx_package()
    if model.functions:
        plain: ModelProto = onnx.inliner.inline_local_functions(model)
        return plain
    copy: ModelProto = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy


def _same_opsets(models: list[ModelProto]) -> list[ModelProto]:
    """Both on the newer of their standard opsets; other domains can't be converted, so they must agree."""
    onnx = onnx_package()
    versions = [{each.domain: each.version for each in model.opset_import} for model in models]
    for domain in versions[0].keys() & versions[1].keys() - {"", "ai.onnx"}:
        if versions[0][domain] != versions[1][domain]:
            raise EmbedderError(f"the models use different versions of the operators {domain}; export both with the same exporter")
    standard = [each.get("", each.get("ai.onnx", 0)) for each in versions]
    target = max(_OPSET, *standard)
    try:
        return [
            model if version == target else onnx.version_converter.convert_version(model, target)
            for model, version in zip(models, standard, strict=True)
        ]
    except (RuntimeError, onnx.version_converter.ConvertError) as error:
        raise EmbedderError(
            f"the models are of opsets {standard} and can't be brought to {target}: {error}; export both with it"
        ) from error


def _opsets(models: Iterable[ModelProto]) -> list[Any]:
    helper = onnx_package().helper
    versions = {each.domain: each.version for model in models for each in model.opset_import}
    return [helper.make_opsetid(domain, version) for domain, version in versions.items()]


def _inputs(before: _Side, after: _Side) -> list[ValueInfoProto]:
    known = {each.name for each in after.inputs}
    return [*after.inputs, *(each for each in before.inputs if each.name not in known)]


def _needed(graph: GraphProto, wanted: set[str]) -> list[NodeProto]:
    """The nodes, in their order, that these values are made of."""
    needed, kept = set(wanted), []
    for node in reversed(graph.node):  # in topological order, so users come before what they use
        if not needed.isdisjoint(node.output):
            needed |= _uses(node)
            kept.append(node)
    return kept[::-1]


def _prune(graph: GraphProto) -> None:
    """Without the inputs and constants that no node reads."""
    read = set().union(*map(_uses, graph.node))
    for field in (graph.initializer, graph.input):
        for each in [each for each in field if each.name not in read]:
            field.remove(each)


def _uses(node: NodeProto) -> set[str]:
    """Names that the node reads, the branches of control flow included."""
    inner = (nested for graph in _branches(node) for nested in graph.node)
    return set(node.input).union(*map(_uses, inner))


def _rename(node: NodeProto, names: Mapping[str, str]) -> None:
    """What it reads, by its new names."""
    for place, name in enumerate(node.input):
        node.input[place] = names.get(name, name)
    for graph in _branches(node):
        for nested in graph.node:
            _rename(nested, names)


def _branches(node: NodeProto) -> Iterator[GraphProto]:
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


# --- the switch ----------------------------------------------------------------------------------------------------


class _Tail:
    """From the logits of both to what is served."""

    def __init__(self, onnx: Any, names: Names) -> None:
        self._onnx, self._names = onnx, names
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.threshold: Any = onnx.helper.make_tensor_value_info(THRESHOLD, onnx.TensorProto.FLOAT, [1])

    def as_float(self, logits: str, side: _Side) -> str:
        """Half and double precision are compared in single."""
        kind = side.outputs[side.logits].type.tensor_type.elem_type
        if kind == self._onnx.TensorProto.FLOAT:
            return logits
        return self.op("Cast", logits, output=f"{side.prefix}as_float", to=self._onnx.TensorProto.FLOAT)

    def write(self, old: str, new: str, places: Sequence[int], classes: int, threshold: float) -> None:
        """P_new(y_new) - P_new(y_old) > threshold, and what follows from it."""
        ours, theirs = self.op("ArgMax", new, axis=1, keepdims=1), self.op("ArgMax", old, axis=1, keepdims=1)
        if list(places) != list(range(classes)):
            theirs = self.op("Gather", self._constant("places", np.array(places, np.int64)), theirs)
            old = self._placed(old, places, classes)
        shares = self.op("Softmax", new, axis=1)
        margin = self.op("Sub", *(self.op("GatherElements", shares, answer, axis=1) for answer in (ours, theirs)))
        self._constant(THRESHOLD, np.array([threshold], np.float32), own=True)
        takes = self.op("Greater", margin, THRESHOLD)
        last = self._constant("last", np.array([1], np.int64))
        self.op("Squeeze", self.op("Where", takes, ours, theirs), last, output=LABEL)
        self.op("Where", takes, new, old, output=self._names.logits)
        self.op("Squeeze", takes, last, output=SERVED)

    def outputs(self, side: _Side, classes: int) -> list[Any]:
        """The new model's own shapes where it has them."""
        types, declare = self._onnx.TensorProto, self._onnx.helper.make_tensor_value_info
        rows = "batch"
        found = [declare(LABEL, types.INT64, [rows]), declare(SERVED, types.BOOL, [rows])]
        found.insert(1, declare(self._names.logits, types.FLOAT, [rows, classes]))
        if side.embedding:
            embedding = self._onnx.ValueInfoProto()
            embedding.CopyFrom(side.outputs[side.embedding])
            embedding.name = self._names.embedding
            found.append(embedding)
        return found

    def op(self, kind: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        name = output or f"switch/{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(self._onnx.helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def _placed(self, old: str, places: Sequence[int], classes: int) -> str:
        """The old model's logits in the new one's order."""
        order = np.full(classes, len(places), np.int64)
        order[list(places)] = np.arange(len(places))
        pads, nothing = np.array([0, 0, 0, 1], np.int64), np.array(_NEVER, np.float32)
        wide = self.op("Pad", old, self._constant("pads", pads), self._constant("nothing", nothing))
        return self.op("Gather", wide, self._constant("order", order), axis=1)

    def _constant(self, name: str, array: NDArray[Any], *, own: bool = False) -> str:
        name = name if own else f"switch/{name}"
        self.constants.append(self._onnx.numpy_helper.from_array(array, name))
        return name
