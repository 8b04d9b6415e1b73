"""What embedding costs beyond ONNX Runtime: text in arbitrary order through the embedder, against the bare runtime on the same batches."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime as ort

from benchmarks.figures import Figure, Progress, Skipped
from benchmarks.public_sets import column, public_sets
from service.adapters.onnx_embedder import load_embedder
from service.adapters.onnx_embedder.graph import Feed, Graph, cpu_share
from service.adapters.onnx_embedder.text import TextFeeder
from service.model_build import cached_minilm
from service.settings import EmbedderSettings

TEXTS, CHUNK, ROUNDS = 512, 128, 8
BAR = 0.90
"""The embedder's throughput over the bare runtime's."""

_WORDS = """
my order parcel invoice account card refund has not arrived since monday please help why is the payment declined can you change
delivery address tomorrow morning I forgot password app crashes when uploading photo of receipt thanks hello cancel subscription
before renewal and send confirmation by email to both of us because last time nobody answered in three weeks
"""


def run(progress: Progress) -> Sequence[Figure]:
    """On one thread, and on as many as the machine gives."""
    progress("building MiniLM, the first time only")
    model = cached_minilm(Path(".cache/models"))
    texts = mixed_texts(np.random.default_rng(0))
    return [figure for threads in sorted({1, cpu_share()}) for figure in compared(model, texts, threads, progress)]


def compared(model: Path, texts: Sequence[str], threads: int, progress: Progress) -> list[Figure]:
    """The median ratio of throughputs over paired runs, each on the same texts."""
    settings = EmbedderSettings(model=model, threads=threads)
    embedder = load_embedder(settings)
    feeder = TextFeeder(settings, Graph(model, threads=1))
    session = bare_session(model, threads)
    pairs: list[tuple[float, float]] = []
    for start in range(0, TEXTS, CHUNK):
        progress(f"{threads} threads, {start} of {TEXTS} texts")
        chunk = texts[start : start + CHUNK]
        feeds = [batch.feed for batch in feeder.batches(chunk)]
        pairs += paired(partial(run_feeds, session, feeds), partial(embedder.embed, chunk))
    ratio = float(np.median([bare / whole for bare, whole in pairs]))
    bare, whole = (CHUNK / float(np.median(seconds)) for seconds in zip(*pairs, strict=True))
    return [
        Figure(f"threads {threads}: ONNX Runtime alone, batches made beforehand", f"{bare:,.0f} texts/s"),
        Figure(f"threads {threads}: embedder, from texts to vectors", f"{whole:,.0f} texts/s"),
        Figure(f"threads {threads}: ratio, median of paired runs", f"{ratio:.3f}", f"≥ {BAR}", ratio >= BAR),
    ]


def mixed_texts(rng: np.random.Generator, count: int = TEXTS) -> list[str]:
    """CLINC150 and Wikipedia sentences where they are at hand, else made up: mostly short, some of a few hundred words."""
    try:
        folder = public_sets() / "text"
    except Skipped:
        words = _WORDS.split()
        lengths = np.exp(rng.normal(2.5, 0.8, count)).astype(int).clip(2, 200)
        return [" ".join(rng.choice(words, length)) for length in lengths]
    requests, sentences = column(folder / "clinc150.parquet", "text"), column(folder / "wiki_sents.parquet", "text")
    return [str(rng.choice(requests if rng.random() < 0.8 else sentences)) for _ in range(count)]


def bare_session(model: Path, threads: int) -> ort.InferenceSession:
    """ONNX Runtime as it comes, with the embedder's number of threads."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
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
