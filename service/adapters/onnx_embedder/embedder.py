"""Puts feeder, graph and readout together, and trusts them only after they have been tried."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

import numpy as np

from service.adapters.onnx_embedder.feeder import Feeder
from service.adapters.onnx_embedder.graph import Graph
from service.adapters.onnx_embedder.image import ImageFeeder
from service.adapters.onnx_embedder.invariance import check_invariance
from service.adapters.onnx_embedder.readout import Readout
from service.adapters.onnx_embedder.tensor import TensorFeeder
from service.adapters.onnx_embedder.text import TextFeeder
from service.adapters.onnx_embedder.vectors import VectorEmbedder
from service.errors import EmbedderError, InputError
from service.ports import Embedded, Embedder
from service.records import Payload
from service.settings import EmbedderSettings

_SCHEME = "embedding-1"
"""Raised when this package comes to feed or read models differently, so that old references are refused."""


def load_embedder(settings: EmbedderSettings) -> Embedder:
    """Loads the model and tries it: output shapes, the longest input, batch invariance. EmbedderError says what is wrong."""
    if settings.input == "none" and settings.dimension is not None:
        return VectorEmbedder(settings.dimension, normalize=bool(settings.normalize), rules=settings.rules)
    if settings.model is None:
        raise EmbedderError("embedder.model is missing: name an ONNX file, or set `input: none` with embedder.dimension")
    graph = Graph(settings.model, threads=settings.threads)
    try:
        embedder = OnnxEmbedder(graph, _feeder(settings, graph), Readout(settings, graph), rules=settings.rules)
        embedder.prove()
    except InputError as error:
        raise EmbedderError(f"{graph.path}: the model fails on a probe: {error}{_advice(settings)}") from error
    return embedder


def _advice(settings: EmbedderSettings) -> str:
    if settings.input != "text":
        return ""
    return f". embedder.max_tokens ({settings.max_tokens}) may be more than it was made for, or the tokenizer be another model's"


def _feeder(settings: EmbedderSettings, graph: Graph) -> Feeder:
    match settings.input:
        case "text":
            return TextFeeder(settings, graph)
        case "image":
            return ImageFeeder(settings, graph)
        case _:
            return TensorFeeder(graph)


class OnnxEmbedder:
    """Feeds the model in batches that suit it and gives the vectors back in the order of the payloads."""

    def __init__(self, graph: Graph, feeder: Feeder, readout: Readout, *, rules: str = "") -> None:
        self._graph = graph
        self._feeder = feeder
        self._readout = readout
        self.fingerprint = _fingerprint(graph, feeder, readout, rules)
        self._none = self._trial(feeder.probes()[-1])

    @property
    def dimension(self) -> int:
        """Of the embedding, after pooling."""
        return int(self._none.embedding.shape[1])

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names under which the model is fed."""
        return tuple(self._graph.inputs)

    def check(self, payload: Payload) -> None:
        """Raises InputError if the payload can't be embedded."""
        self._feeder.check(payload)

    def embed(self, payloads: Sequence[Payload]) -> Embedded:
        """InputError if any of the payloads fails, without saying which: embedded one by one, the others are unharmed."""
        embedding = np.empty((len(payloads), self.dimension), np.float32)
        logits = None if self._none.logits is None else np.empty((len(payloads), self._none.logits.shape[1]), np.float32)
        for batch in self._feeder.batches(payloads) if payloads else ():
            part = self._readout.read(self._graph.run(self._readout.outputs, batch.feed), batch.mask)
            embedding[batch.rows] = part.embedding
            if logits is not None:
                logits[batch.rows] = part.logits
        return Embedded(embedding, logits)

    def prove(self) -> None:
        """EmbedderError unless a payload's vector is the same alone and in company."""
        check_invariance(self._graph.path, self.embed, self._feeder.probes())

    def close(self) -> None:
        """Gives the model's memory back."""
        self._graph.close()

    def _trial(self, largest: Payload) -> Embedded:
        """Embeds the largest input the settings allow, checks the shape of the answer, and keeps none of its rows."""
        batch = next(iter(self._feeder.batches([largest])))
        results = self._graph.run(self._readout.outputs, batch.feed)
        self._readout.check(results)
        first = self._readout.read(results, batch.mask)
        return Embedded(first.embedding[:0], None if first.logits is None else first.logits[:0])


def _fingerprint(graph: Graph, feeder: Feeder, readout: Readout, rules: str) -> str:
    """Hash of the model's bytes and of all that decides what goes in and how what comes out is read."""
    options = json.dumps([_SCHEME, feeder.identity, readout.identity, *([rules] if rules else [])], sort_keys=True)
    digest = hashlib.blake2b(options.encode(), digest_size=16)
    for content in graph.digests:
        digest.update(content)
    return digest.hexdigest()
