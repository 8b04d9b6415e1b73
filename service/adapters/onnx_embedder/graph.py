"""The model as ONNX Runtime sees it: named inputs and outputs, a thread count that fits the container, errors that say what to do."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from service.errors import EmbedderError, InputError

Feed: TypeAlias = dict[str, NDArray[Any]]

_TYPES = {"float": "float32", "double": "float64"}
_EXTERNAL = ("_data", ".data")
"""What exporters append to the model's name for weights kept beside the graph."""


@dataclass(frozen=True, slots=True)
class GraphInput:
    """An input of the graph; dimensions that vary are None."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int | None, ...]

    def __str__(self) -> str:
        dimensions = ", ".join("?" if size is None else str(size) for size in self.shape)
        return f"{self.name} {self.dtype} [{dimensions}]"


class Graph:
    """A loaded model; `digests` are the hashes of its files."""

    def __init__(self, path: Path, *, threads: int | None) -> None:
        import onnxruntime as ort  # noqa: PLC0415 - 60 MB that only a process which embeds should load
        from onnxruntime.capi import onnxruntime_pybind11_state as errors  # noqa: PLC0415 - as above

        model, self.digests = _read(path)
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads or cpu_share()
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # what goes wrong is raised, once
        self._failures = (errors.Fail, errors.InvalidArgument, errors.NotImplemented, errors.RuntimeException)
        unloadable = (
            *self._failures,
            errors.InvalidGraph,
            errors.InvalidProtobuf,
            errors.NoModel,
            errors.NoSuchFile,
        )
        try:
            self._session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except unloadable as error:
            raise EmbedderError(f"{path}: ONNX Runtime {ort.__version__} can't load it as an ONNX model: {error}") from error
        self.path = path
        self.inputs = {i.name: _graph_input(path, i) for i in self._session.get_inputs()}
        self.outputs: tuple[str, ...] = tuple(o.name for o in self._session.get_outputs())

    def only_input(self, field: str) -> GraphInput:
        """The single input of an image or tensor model."""
        if len(self.inputs) != 1:
            listed = "; ".join(map(str, self.inputs.values()))
            raise EmbedderError(f"{self.path}: `input: {field}` takes a model with one input, found {len(self.inputs)}: {listed}")
        return next(iter(self.inputs.values()))

    def rows(self, wanted: int) -> int:
        """How many samples go into one run: 1 where the graph's batch dimension is fixed to it."""
        fixed = {i.shape[0] for i in self.inputs.values() if i.shape} - {None}
        if fixed <= {1}:
            return 1 if fixed else wanted
        sizes = ", ".join(map(str, self.inputs.values()))
        raise EmbedderError(f"{self.path}: the batch dimension is fixed ({sizes}); export the model with a variable one, or with 1")

    def run(self, outputs: Sequence[str], feed: Feed) -> list[NDArray[Any]]:
        """InputError when the model can't take the feed."""
        try:
            results: list[NDArray[Any]] = self._session.run(outputs, feed)
        except self._failures as error:
            raise InputError("model", f"the model {self.path.name} fails on this payload: {error}") from error
        return results

    def close(self) -> None:
        """Gives the model's memory back; the graph can't run any more."""
        del self._session


def _read(path: Path) -> tuple[bytes | str, list[bytes]]:
    """What ONNX Runtime loads, and the hash of each of the model's files. Weights beside the graph can only be found by path."""
    try:
        beside = [other for suffix in _EXTERNAL if (other := path.with_name(path.name + suffix)).is_file()]
        content = path.read_bytes()
        digests = [hashlib.blake2b(content).digest(), *(_hash(file) for file in beside)]
    except OSError as error:
        raise EmbedderError(
            f"embedder.model: {path}: {error.strerror}. Give an ONNX file; `driftgate model build minilm` writes a real sentence embedder."
        ) from error
    return (str(path) if beside else content), digests


def _hash(file: Path) -> bytes:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "blake2b").digest()


def _graph_input(path: Path, declared: Any) -> GraphInput:
    found = re.fullmatch(r"tensor\((\w+)\)", declared.type)
    name = found[1] if found else declared.type
    try:
        dtype = np.dtype(_TYPES.get(name, name))
    except TypeError as error:
        raise EmbedderError(f"{path}: input {declared.name} is of type {declared.type}; driftgate feeds tensors of numbers") from error
    return GraphInput(declared.name, dtype, tuple(d if isinstance(d, int) and d > 0 else None for d in declared.shape))


def cpu_share(root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> int:
    """Whole CPUs that this process may use, at least 1: the least of its affinity and its control groups' quotas (v2 and v1)."""
    limits = [float(len(os.sched_getaffinity(0)))]
    for folder in _groups(root, own):
        quota, period = _quota(folder)
        if quota > 0 and period > 0:
            limits.append(quota / period)
    return max(1, int(min(limits)))


def _groups(root: Path, own: Path) -> list[Path]:
    """Folders in which a quota may stand: the process's own group and every one above it."""
    lines = own.read_text(encoding="utf-8").splitlines() if own.is_file() else []
    paths = [line.split(":", 2) for line in lines if line.count(":") >= 2]
    mounted = {root, root / "cpu", root / "cpu,cpuacct"}
    for _, controllers, path in paths:
        if controllers == "" or "cpu" in controllers.split(","):
            top = root / controllers if controllers else root
            inner = top / path.lstrip("/")
            mounted |= {inner, *(p for p in inner.parents if p.is_relative_to(top))}
    return sorted(mounted)


def _quota(folder: Path) -> tuple[float, float]:
    """(quota, period) in microseconds; (0, 0) where the folder sets none."""
    try:
        if (folder / "cpu.max").is_file():
            quota, period = (folder / "cpu.max").read_text(encoding="utf-8").split()
        else:
            quota, period = ((folder / f"cpu.cfs_{part}_us").read_text(encoding="utf-8") for part in ("quota", "period"))
        return (0.0, 0.0) if quota == "max" else (float(quota), float(period))
    except (OSError, ValueError):
        return 0.0, 0.0
