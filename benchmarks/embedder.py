"""What embedding costs beyond ONNX Runtime: text in arbitrary order through the embedder, against the bare runtime on the same batches."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime as ort

from service.adapters.onnx_embedder import load_embedder
from service.adapters.onnx_embedder.graph import Feed, Graph, cpu_share
from service.adapters.onnx_embedder.text import TextFeeder
from service.model_build import cached_minilm
from service.settings import EmbedderSettings

TEXTS, CHUNK, ROUNDS = 512, 128, 8
BAR = 0.90

_WORDS = """
my order parcel invoice account card refund has not arrived since monday please help why is the payment declined can you change
delivery address tomorrow morning I forgot password app crashes when uploading photo of receipt thanks hello cancel subscription
before renewal and send confirmation by email to both of us because last time nobody answered in three weeks
"""


def run(cache: Path = Path(".cache/models")) -> float:
    """Prints and returns the median ratio of throughputs over paired runs, each on the same texts; the bar is 0.90."""
    model = cached_minilm(cache)
    settings = EmbedderSettings(model=model)
    texts = mixed_texts(np.random.default_rng(0))
    embedder = load_embedder(settings)
    feeder = TextFeeder(settings, Graph(model, threads=1))
    session = bare_session(model)
    pairs: list[tuple[float, float]] = []
    for chunk in (texts[start : start + CHUNK] for start in range(0, TEXTS, CHUNK)):
        feeds = [batch.feed for batch in feeder.batches(chunk)]
        pairs += paired(partial(run_feeds, session, feeds), partial(embedder.embed, chunk))
    ratio = float(np.median([bare / whole for bare, whole in pairs]))
    bare, whole = (CHUNK / float(np.median(column)) for column in zip(*pairs, strict=True))
    print(f"embedder: MiniLM {whole:,.0f} texts/s, ONNX Runtime alone {bare:,.0f}; ratio {ratio:.3f} (bar {BAR})")
    return ratio


def mixed_texts(rng: np.random.Generator) -> list[str]:
    """CLINC150 and Wikipedia sentences where DRIFTGATE_DATA has them, else made up: mostly short, some of a few hundred words."""
    folder = Path(os.environ.get("DRIFTGATE_DATA", "")) / "text"
    if (folder / "clinc150.parquet").is_file():
        import pyarrow.parquet as pq  # noqa: PLC0415 - an extra, and only for the real set

        requests, sentences = (
            pq.read_table(folder / f"{n}.parquet", columns=["text"])["text"].to_pylist() for n in ("clinc150", "wiki_sents")
        )
        return [str(rng.choice(requests if rng.random() < 0.8 else sentences)) for _ in range(TEXTS)]
    words = _WORDS.split()
    lengths = np.exp(rng.normal(2.5, 0.8, TEXTS)).astype(int).clip(2, 200)
    return [" ".join(rng.choice(words, length)) for length in lengths]


def bare_session(model: Path) -> ort.InferenceSession:
    """ONNX Runtime as it comes, with the embedder's number of threads."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = cpu_share()
    return ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


def run_feeds(session: ort.InferenceSession, feeds: Sequence[Feed]) -> None:
    """Batches that were tokenised beforehand."""
    for feed in feeds:
        session.run(["embedding"], feed)


def paired(one: Callable[[], object], other: Callable[[], object]) -> list[tuple[float, float]]:
    """Seconds that each took, one right after the other, in turns first; a warm-up goes before."""
    one(), other()
    pairs = []
    for turn in range(ROUNDS):
        if turn % 2:
            late = seconds(other)
            pairs.append((seconds(one), late))
        else:
            pairs.append((seconds(one), seconds(other)))
    return pairs


def seconds(work: Callable[[], object]) -> float:
    """Wall time."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    run()
