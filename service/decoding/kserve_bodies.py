"""Bodies of logged inferences: KServe V1 (`instances`, `predictions`) and V2, the Open Inference Protocol (`inputs`, `outputs`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.decoding.fields import answer, class_values, string_of
from service.decoding.json_text import type_name
from service.decoding.payloads import FIELDS
from service.errors import InputError
from service.records import Output
from service.settings import MonitorSettings

MAX_INSTANCES = 10_000
_FIELD = {"text": "text", "image": "image", "tensor": "vector", "none": "vector"}
"""Which field of a sample the monitor's embedder takes."""


def instances_of(body: Mapping[str, Any], monitor: MonitorSettings) -> list[dict[str, Any] | InputError]:
    """Every instance of a request as a sample's document; what is wrong with one instance concerns it alone."""
    name = monitor.kserve.input if monitor.kserve else None
    if "inputs" in body:
        tensor = _named(_tensors(body["inputs"], "inputs"), name)
        return [{_FIELD[monitor.embedder.input]: row} for row in _rows(tensor, monitor)]
    return [_instance(value, name, monitor) for value in _listed(body.get("instances"), "instances")]


def outputs_of(body: Mapping[str, Any], monitor: MonitorSettings) -> list[Output | InputError]:
    """Every instance's answer."""
    version = string_of(body.get("model_version"), "model_version", 200)
    if "outputs" in body:
        return [*_tensor_outputs(_tensors(body["outputs"], "outputs"), monitor, version)]
    return [_prediction(value, monitor.classes, version) for value in _listed(body.get("predictions"), "predictions")]


# --- V1 -----------------------------------------------------------------------------------------------------------


def _instance(value: Any, name: str | None, monitor: MonitorSettings) -> dict[str, Any] | InputError:
    if isinstance(value, Mapping) and name is not None and name in value:
        value = value[name]
    if isinstance(value, Mapping) and "b64" in value:
        return {"image": value["b64"]}
    if not isinstance(value, Mapping):
        return {_FIELD[monitor.embedder.input]: value}
    document = {field: value[field] for field in (*FIELDS, "segments") if field in value}
    if not document:
        found = ", ".join(sorted(map(str, value)))[:200]
        return InputError("payload", f"an instance with the fields {found or '(none)'}; name the one with the payload in kserve.input")
    return document


def _prediction(value: Any, classes: Sequence[str], version: str | None) -> Output | InputError:
    try:
        if isinstance(value, Mapping):
            return _described(value, classes, version)
        if isinstance(value, list):
            return _weighed(class_values(value, "predictions", classes), classes, None, version)
        if isinstance(value, float):  # a regression's answer: no class
            return Output(model_version=version)
        return answer(string_of(value, "prediction", 200, classes), classes=classes, model_version=version)
    except InputError as error:
        return error


def _described(value: Mapping[str, Any], classes: Sequence[str], version: str | None) -> Output:
    if classes and value and set(value) <= set(classes):
        return _weighed(class_values(value, "predictions", classes), classes, None, version)
    label = string_of(value.get("label", value.get("class")), "label", 200, classes)
    if value.get("logits") is not None:
        return answer(label, None, class_values(value["logits"], "logits", classes), classes=classes, model_version=version)
    weights = class_values(value.get("probabilities", value.get("scores")), "probabilities", classes)
    return _weighed(weights, classes, label, version)


def _weighed(values: tuple[float, ...] | None, classes: Sequence[str], label: str | None, version: str | None) -> Output:
    if values is not None and _are_probabilities(np.array([values])):
        return answer(label, values, classes=classes, model_version=version)
    return answer(label, None, values, classes=classes, model_version=version)


def _are_probabilities(rows: NDArray[Any]) -> bool:
    """Rows that sum to one are probabilities, others logits."""
    return bool((rows >= 0).all() and np.allclose(rows.sum(axis=1), 1, atol=0.01))


def _listed(value: Any, field: str) -> list[Any]:
    if not isinstance(value, list):
        other = "inputs" if field == "instances" else "outputs"
        raise InputError("body", f"expected {field} (V1) or {other} (V2) as a list, found {type_name(value)}")
    if not value:
        raise InputError("empty", f"{field} is empty")
    if len(value) > MAX_INSTANCES:
        raise InputError("too_large", f"{len(value)} {field} in one body; at most {MAX_INSTANCES} are taken")
    return value


# --- V2 -----------------------------------------------------------------------------------------------------------


def _tensors(value: Any, field: str) -> dict[str, NDArray[Any]]:
    tensors = {}
    for tensor in _listed(value, field):
        if not isinstance(tensor, Mapping) or not isinstance(tensor.get("name"), str):
            raise InputError("body", f"{field}: each tensor needs a name, shape, datatype and data")
        tensors[tensor["name"]] = _array(tensor)
    return tensors


def _array(tensor: Mapping[str, Any]) -> NDArray[Any]:
    """The tensor in its declared shape, instances first; strings as objects."""
    name, shape, content = tensor["name"], tensor.get("shape"), tensor.get("data")
    parameters = tensor.get("parameters")
    if isinstance(parameters, Mapping) and "binary_data_size" in parameters:
        raise InputError("binary_data", f"tensor {name!r:.80}: the binary tensor extension is not read; let the client send JSON tensors")
    if not isinstance(shape, list) or not shape or not all(type(n) is int and n >= 0 for n in shape) or not isinstance(content, list):
        raise InputError("body", f"tensor {name!r:.80}: needs a shape of whole numbers and a list of data")
    datatype = str(tensor.get("datatype"))
    text = datatype == "BYTES"
    try:
        array = np.array(content, dtype=object if text else None).reshape(shape)
    except (ValueError, OverflowError) as error:
        raise InputError("body", f"tensor {name!r:.80}: data do not fit the shape {shape!s:.80}") from error
    if not text and array.dtype.kind not in "iufb":
        raise InputError("body", f"tensor {name!r:.80}: data of type {datatype!r:.20} must be numbers")
    if not 0 < len(array) <= MAX_INSTANCES or not array.size:
        reason = "too_large" if array.size else "empty"
        raise InputError(reason, f"tensor {name!r:.80}: {len(array)} instances; 1 to {MAX_INSTANCES} are taken")
    return array.astype(float) if datatype.startswith(("FP", "BF")) else array


def _named(tensors: Mapping[str, NDArray[Any]], name: str | None) -> NDArray[Any]:
    if name is None:
        return next(iter(tensors.values()))
    if name not in tensors:
        raise InputError("body", f"no tensor {name!r:.80}; the body has {', '.join(tensors)[:200]}")
    return tensors[name]


def _rows(tensor: NDArray[Any], monitor: MonitorSettings) -> list[Any]:
    """The payloads in a tensor: one string per instance, or one array; a flat array of numbers is a single vector."""
    if _FIELD[monitor.embedder.input] == "vector":
        return list(tensor[np.newaxis] if tensor.ndim == 1 else tensor)
    flat = tensor.reshape(len(tensor), -1)
    if flat.shape[1] != 1:
        raise InputError("payload", f"{flat.shape[1]} values per instance where monitor {monitor.name} takes one {monitor.embedder.input}")
    return list(flat[:, 0])


def _tensor_outputs(tensors: Mapping[str, NDArray[Any]], monitor: MonitorSettings, version: str | None) -> list[Output]:
    weights, labels = _weights(tensors, monitor), _labels(tensors)
    count = len(next(iter(tensors.values())))
    if any(len(found) != count for found in (weights, labels) if found is not None):
        raise InputError("output", "the output tensors differ in their number of instances")
    certain = weights is not None and _are_probabilities(weights)
    outputs = []
    for i in range(count):
        label = None if labels is None else string_of(labels[i], "label", 200, monitor.classes)
        values = None if weights is None else class_values(weights[i], "outputs", monitor.classes)
        pair = (values, None) if certain else (None, values)
        outputs.append(answer(label, *pair, classes=monitor.classes, model_version=version))
    return outputs


def _weights(tensors: Mapping[str, NDArray[Any]], monitor: MonitorSettings) -> NDArray[Any] | None:
    """The tensor with one number per class: the named one, or the first floating-point one that can be it."""
    name = monitor.kserve.classes_output if monitor.kserve else None
    if name is not None:
        found = _named(tensors, name)
        return found.reshape(len(found), -1)
    for tensor in tensors.values():
        flat = tensor.reshape(len(tensor), -1)
        if tensor.dtype.kind == "f" and (
            flat.shape[1] == len(monitor.classes) if monitor.classes else tensor.ndim == 2 and flat.shape[1] > 1
        ):
            return flat
    return None


def _labels(tensors: Mapping[str, NDArray[Any]]) -> list[Any] | None:
    """One string or whole number per instance."""
    for tensor in tensors.values():
        if tensor.dtype.kind in "iuO" and tensor.size == len(tensor):
            return tensor.reshape(-1).tolist()
    return None
