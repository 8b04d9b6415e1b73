from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from service.adapters.onnx_embedder.vectors import VectorEmbedder
from service.embedding import CHUNK, Vectors, embed_records
from service.errors import InputError
from service.observe import Silent
from service.ports import Embedded
from service.records import Output, Partition, Payload, Record, Request, Sample
from service.watched import WatchedMonitor

LOG = Partition("chat", "f00d")
MakeVector = Callable[[int], NDArray[np.float32]]
MakeMonitor = Callable[..., WatchedMonitor]


class Fragile(VectorEmbedder):
    """Fails on a payload only once it is embedded, and with logits of two classes: the sign of the first number."""

    def __init__(self, dimension: int) -> None:
        super().__init__(dimension, normalize=False)
        self.calls = 0

    def embed(self, payloads: Sequence[Payload]) -> Embedded:
        self.calls += 1
        rows = super().embed(payloads).embedding
        if (rows[:, 0] > 100).any():
            raise InputError("embedding", "the model gives no finite vector for it")
        return Embedded(rows, np.stack([rows[:, 0], -rows[:, 0]], axis=1))


def embed(samples: Sequence[Sample], monitor: WatchedMonitor) -> Vectors:
    return embed_records([Record(LOG, n, 0.0, (s,)) for n, s in enumerate(samples)], {monitor.settings.name: monitor}, Silent())


def test_one_bad_sample_harms_no_other(make_monitor: MakeMonitor, vector: MakeVector) -> None:
    samples = [Sample("chat", str(n), 0.0, vector(n)) for n in range(16)]
    short, poison = Sample("chat", "short", 0.0, np.zeros(2, np.float32)), Sample("chat", "poison", 0.0, np.full(6, 1000, np.float32))
    embedder = Fragile(6)
    vectors = embed([*samples[:5], poison, short, *samples[5:]], make_monitor(model=embedder))
    assert {sample.id: error.reason for sample, error in vectors.failures.items()} == {"short": "dimension", "poison": "embedding"}
    for sample in samples:
        np.testing.assert_array_equal(vectors.rows[sample], sample.payload)
    assert embedder.calls < 12


def test_requests_are_embedded_and_unknown_monitors_are_not(make_monitor: MakeMonitor, vector: MakeVector) -> None:
    known, unknown = Sample("chat", "e/0", 0.0, vector(0)), Sample("mail", "e/0", 0.0, vector(1))
    record = Record(LOG, 0, 0.0, (Request("chat", "e", (known,)), unknown))
    vectors = embed_records([record], {"chat": make_monitor()}, Silent())
    assert set(vectors.rows) == {known}
    assert not vectors.failures


def test_the_embedders_logits_stand_in_for_a_missing_output(make_monitor: MakeMonitor) -> None:
    first = np.array([2, 0, 0, 0, 0, 0], np.float32)
    bare, answered = Sample("chat", "a", 0.0, first), Sample("chat", "b", 0.0, -first, output=Output(label="yes"))
    vectors = embed([bare, answered], make_monitor(model=Fragile(6), classes=("yes", "no")))
    assert vectors.outputs == {bare: Output(label="yes", logits=(2.0, -2.0))}


def test_logits_of_another_width_than_the_classes_say_nothing(make_monitor: MakeMonitor, vector: MakeVector) -> None:
    sample = Sample("chat", "a", 0.0, vector(0))
    assert not embed([sample], make_monitor(model=Fragile(6), classes=("yes", "no", "maybe"))).outputs
    assert not embed([sample], make_monitor(model=Fragile(6))).outputs


class Slow(VectorEmbedder):
    """Takes its time for each sample."""

    def __init__(self, dimension: int, seconds: float) -> None:
        super().__init__(dimension, normalize=False)
        self.seconds = seconds
        self.now = 0.0
        self.sizes: list[int] = []

    def embed(self, payloads: Sequence[Payload]) -> Embedded:
        self.now += self.seconds * len(payloads)
        self.sizes.append(len(payloads))
        return super().embed(payloads)


@pytest.mark.parametrize(("seconds", "largest", "silence"), [(0.04, 50, 2.0), (3.0, 1, 3.0), (0.0001, CHUNK, 2.0)])
def test_a_slow_model_is_heard_of_while_it_works(
    make_monitor: MakeMonitor, vector: MakeVector, seconds: float, largest: int, silence: float
) -> None:
    slow, beats = Slow(6, seconds), [0.0]
    samples = [Sample("chat", str(n), 0.0, vector(n)) for n in range(1_500)]
    records = [Record(LOG, n, 0.0, (sample,)) for n, sample in enumerate(samples)]
    monitors = {"chat": make_monitor(model=slow)}
    vectors = embed_records(records, monitors, Silent(), beat=lambda: beats.append(slow.now), clock=lambda: slow.now)
    assert len(vectors.rows) == sum(slow.sizes) == 1_500
    assert max(slow.sizes) == largest
    assert max(later - earlier for earlier, later in pairwise(beats)) <= silence + 1e-9


def test_the_pace_of_a_model_is_remembered_between_batches(make_monitor: MakeMonitor, vector: MakeVector) -> None:
    slow, pace = Slow(6, 1 / 32), dict[str, int]()
    monitors = {"chat": make_monitor(model=slow)}
    for batch in range(3):
        samples = [Sample("chat", f"{batch}/{n}", 0.0, vector(n)) for n in range(60)]
        records = [Record(LOG, n, 0.0, (sample,)) for n, sample in enumerate(samples)]
        embed_records(records, monitors, Silent(), clock=lambda: slow.now, pace=pace)
    assert slow.sizes == [1, 8, 51, 60, 60]
