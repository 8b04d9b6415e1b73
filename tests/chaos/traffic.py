"""Traffic that is known: what each record holds follows from its number, so that the log can be recounted without the program."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from types import TracebackType
from typing import Any, Self

import msgspec
import numpy as np
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from numpy.typing import NDArray

DIMENSION = 6
TOPICS = np.random.default_rng(3).normal(size=(16, DIMENSION)) * 1.5
LOCALES = ("en", "de")
RATE = 1_500.0
"""Samples a second."""
BLOCK = 75
"""Records that are sent at once; the last is poison, and the one before repeats an id."""
AFTER_DRIFT = 3_000
"""Records that at least follow once new content has begun."""
POISON = (b"{", b'{"vector": [1]}', b'{"id": 7, "vector": null}', b'{"text": "of another kind"}', b"\xff\xfe", b"", b"[[[[", None)


def draw(n: int, seed: int, *, new: float = 0.0) -> NDArray[np.float32]:
    """(n, DIMENSION) vectors around twelve topics, a share of them around four others."""
    rng = np.random.default_rng(seed)
    topics = np.where(rng.random(n) < new, rng.integers(12, 16, n), rng.integers(0, 12, n))
    return (TOPICS[topics] + 0.4 * rng.normal(size=(n, DIMENSION))).astype(np.float32)


def body(number: int, row: NDArray[np.float32]) -> bytes:
    """A sample as JSON."""
    return msgspec.json.encode({"id": str(number), "vector": row.tolist(), "segments": {"locale": LOCALES[number % 2]}})


def block(index: int, *, new: float) -> list[tuple[bytes, bytes | None]]:
    """(key, value) of a block's records."""
    first = index * BLOCK
    rows = draw(BLOCK - 2, index, new=new)
    samples = [(b"%d" % (first + i), body(first + i, row)) for i, row in enumerate(rows)]
    return [*samples, samples[index % len(samples)], (b"%d" % first, POISON[index % len(POISON)])]


class Feed:
    """Sends blocks at a steady rate until it is left; what is in the log by then is what counts."""

    def __init__(self, bootstrap: str, topic: str, rate: float = RATE) -> None:
        self._bootstrap = bootstrap
        self._topic = topic
        self._rate = rate
        self._stop = threading.Event()
        self._new = 0.0
        self._until = 0
        self._sent = 0
        self._thread = threading.Thread(target=self._run, name="feed")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is not None:
            self._until = 0
        self._stop.set()
        self._thread.join()

    def drift(self, share: float = 0.5) -> None:
        """From now on so much of it is of topics that the reference has never seen."""
        self._until = self._sent + AFTER_DRIFT
        self._new = share

    def _run(self) -> None:
        producer = KafkaProducer(bootstrap_servers=self._bootstrap, linger_ms=5, delivery_timeout_ms=180_000, max_block_ms=120_000)
        with closing(producer):
            due = time.monotonic()
            while not self._stop.is_set() or self._sent < self._until:
                for key, value in block(self._sent // BLOCK, new=self._new):
                    producer.send(self._topic, key=key, value=value)
                self._sent += BLOCK
                due += BLOCK / self._rate
                time.sleep(max(0.0, due - time.monotonic()))
            producer.flush(timeout=180)


def ends(bootstrap: str, topic: str) -> Mapping[int, int]:
    """Partition → the offset after its last record."""
    with closing(KafkaConsumer(bootstrap_servers=bootstrap)) as consumer:
        partitions = [TopicPartition(topic, n) for n in sorted(consumer.partitions_for_topic(topic) or ())]
        return {partition.partition: end for partition, end in consumer.end_offsets(partitions).items()}


def messages(bootstrap: str, topic: str) -> Mapping[int, Sequence[Any]]:
    """Every record of every partition, in order, as the client library gives it."""
    until = ends(bootstrap, topic)
    found: dict[int, list[Any]] = {number: [] for number in until}
    with closing(KafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)) as consumer:
        consumer.assign([TopicPartition(topic, n) for n in until])
        consumer.seek_to_beginning()
        while any(consumer.position(TopicPartition(topic, n)) < end for n, end in until.items()):
            for partition, batch in consumer.poll(1_000).items():
                found[partition.partition] += batch
    return found
