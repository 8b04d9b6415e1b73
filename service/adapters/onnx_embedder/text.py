"""Text: tokenised together, run in batches of similar length, because on a CPU padding is what costs."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from service.adapters.onnx_embedder.feeder import ROWS, Batch, wrong_type
from service.adapters.onnx_embedder.graph import Feed, Graph
from service.errors import DriftgateError, EmbedderError, InputError
from service.records import Payload
from service.settings import EmbedderSettings

if TYPE_CHECKING:
    from tokenizers import Tokenizer

CALL_TOKENS = 16
"""What a run costs before its first token, in tokens (MiniLM: 14): the most padding that joining two batches is worth."""

_BATCH_TOKENS = 4096
_KNOWN = ("input_ids", "attention_mask", "token_type_ids")

_PROBE = """
The parcel I ordered on 3 March hasn't arrived – can you tell me where it is?
Mein Konto wurde gesperrt, obwohl ich die Rechnung Nr. 4711 längst bezahlt habe!
¿Cuánto cuesta cambiar el vuelo de mañana? 请问 我 怎么 重置 密码 ?
ERROR 502: upstream timed out (10.0.0.7:8080) while reading response header zzqx
"""


class TextFeeder:
    """Tokenises with the model's own `tokenizer.json`, without the fixed padding that many of those files carry."""

    def __init__(self, settings: EmbedderSettings, graph: Graph) -> None:
        self._names, self._fixed = _inputs(graph)
        self._types = {name: graph.inputs[name].dtype for name in self._names}
        self._rows = graph.rows(ROWS)
        self._max_tokens = min(settings.max_tokens, self._fixed or settings.max_tokens)
        self._max_bytes = settings.max_text_bytes
        self._special = settings.special_tokens
        self._padding = CALL_TOKENS if "attention_mask" in self._names else 0  # without a mask padding would change the embedding
        path = settings.tokenizer or graph.path.with_name("tokenizer.json")
        content = _read(path)
        self._digest = hashlib.blake2b(content, digest_size=16).hexdigest()
        self._tokenizer = _tokenizer(path, content)
        self._pad = int((self._tokenizer.padding or {}).get("pad_id", 0))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_length=self._max_tokens)

    @property
    def identity(self) -> Mapping[str, Any]:
        """The tokenizer and the two options that change its output."""
        return {"tokenizer": self._digest, "special_tokens": self._special, "max_tokens": self._max_tokens}

    def check(self, payload: Payload) -> None:
        """Text must be valid Unicode, show something and be no longer than allowed."""
        if not isinstance(payload, str):
            raise wrong_type(payload, "text", "text")
        if len(payload) > self._max_bytes or _size(payload) > self._max_bytes:
            raise InputError("too_large", f"text: {len(payload)} characters; at most {self._max_bytes} bytes (embedder.max_text_bytes)")
        if not any(c.isprintable() and not c.isspace() for c in payload):
            raise InputError("empty", "text: empty or blank; send at least one visible character")

    def batches(self, payloads: Sequence[Payload]) -> Iterator[Batch]:
        """Batches of similar token count, shortest first."""
        ids = self._tokenise(cast("Sequence[str]", payloads))
        lengths = np.fromiter(map(len, ids), np.int64, len(ids))
        if not lengths.all():
            raise InputError("empty", "text: nothing that the tokenizer knows is left of it")
        for rows in buckets(lengths, padding=self._padding, rows=self._rows):
            yield self._batch(rows, [ids[row] for row in rows], lengths[rows])

    def _batch(self, rows: NDArray[np.int64], ids: list[list[int]], lengths: NDArray[np.int64]) -> Batch:
        width = self._fixed or int(lengths[-1])
        mask = np.arange(width) < lengths[:, None]
        tokens = np.full(mask.shape, self._pad, np.int64)
        tokens[mask] = np.concatenate(ids)
        columns = {"input_ids": tokens, "attention_mask": mask}
        feed: Feed = {name: columns.get(name, np.zeros_like(tokens)).astype(dtype, copy=False) for name, dtype in self._types.items()}
        return Batch(rows, feed, mask)

    def probes(self) -> Sequence[Payload]:
        """Texts of every length up to 24, in several languages and in words of the tokenizer's own, and one that fills the model."""
        rng = np.random.default_rng(0)
        words, known = _PROBE.split() * 2, self._tokenizer.get_vocab_size()
        short = [" ".join(words[2 * count : 3 * count]) for count in range(1, 25)]
        own = [self._tokenizer.decode(rng.integers(known, size=count).tolist()) for count in range(1, 25)]
        texts = [*short, *own, _PROBE * (1 + self._max_tokens // (len(words) // 2))]
        found = [text for text, ids in zip(texts, self._tokenise(texts), strict=True) if ids]
        if not found:
            raise InputError("empty", "the tokenizer finds no token in any probe")
        return found

    def _tokenise(self, texts: Sequence[str]) -> list[list[int]]:
        with _Refusal(lambda error: InputError("model", f"text: the model's tokenizer fails on it: {error}")):
            encoded = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=self._special)
        return [one.ids for one in encoded]


def buckets(lengths: NDArray[np.int64], *, padding: int, rows: int = ROWS) -> Iterator[NDArray[np.int64]]:
    """Places in order of length, cut where a batch would hold more than `padding` padding tokens, `rows` samples or 4096 tokens."""
    order = np.argsort(lengths, kind="stable")
    start = filled = 0
    for end, length in enumerate(lengths[order].tolist()):
        count = end - start + 1
        if end > start and (count > rows or count * length > _BATCH_TOKENS or count * length - filled - length > padding):
            yield order[start:end]
            start, filled = end, 0
        filled += length
    if len(order):
        yield order[start:]


def _inputs(graph: Graph) -> tuple[tuple[str, ...], int | None]:
    """The names that the graph takes, and its token count where that is fixed."""
    unknown = [str(i) for name, i in graph.inputs.items() if name not in _KNOWN]
    if unknown or "input_ids" not in graph.inputs:
        takes = "; ".join(map(str, graph.inputs.values()))
        raise EmbedderError(f"{graph.path}: `input: text` feeds {', '.join(_KNOWN)} (input_ids is required), but the model takes {takes}")
    shape = graph.inputs["input_ids"].shape
    if len(shape) != 2:
        raise EmbedderError(f"{graph.path}: input_ids must be [batch, tokens], found {graph.inputs['input_ids']}")
    return tuple(graph.inputs), shape[1]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise EmbedderError(
            f"embedder.tokenizer: {path}: {error.strerror}. Text needs the model's tokenizer.json; put it next to the model or name it."
        ) from error


def _tokenizer(path: Path, content: bytes) -> Tokenizer:
    os.environ["HF_HUB_OFFLINE"] = "1"  # tokenizers brings a hub client; everything here comes from the file
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # its threads fight with ONNX Runtime's: 580 texts per second against 1,030
    from tokenizers import Tokenizer, __version__  # noqa: PLC0415 - loaded only by processes that embed text

    with _Refusal(lambda error: EmbedderError(f"{path}: tokenizers {__version__} can't read it as a tokenizer.json: {error}")):
        return Tokenizer.from_str(content.decode("utf-8", errors="replace"))


class _Refusal:
    """What tokenizers refuses, as an error of ours; it raises bare `Exception`, and nothing but that is meant here."""

    def __init__(self, ours: Callable[[BaseException], DriftgateError]) -> None:
        self._ours = ours

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if kind is Exception and error is not None:
            raise self._ours(error) from error


def _size(text: str) -> int:
    """Bytes in UTF-8; InputError for halves of surrogate pairs, which JSON can carry and no tokenizer takes."""
    try:
        return len(text.encode())
    except UnicodeEncodeError as error:
        raise InputError("encoding", f"text: not valid Unicode at character {error.start}: half of a surrogate pair") from error
