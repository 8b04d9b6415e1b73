"""Every source: ordered offsets, a poll after a seek repeats exactly, and the end is said once everything was given."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from kafka import KafkaProducer

from service.adapters.file_source import FileSource
from service.adapters.kafka import Cluster, KafkaSource
from service.adapters.memory import ListSource
from service.decoding.kafka_records import KafkaDecoder
from service.decoding.options import SampleOptions
from service.ports import Source
from service.records import Partition, Record, Rejected, Sample
from service.settings import EmbedderSettings, KafkaSettings, MonitorSettings, TopicSettings
from tests.servers.kafka_server import KafkaServer

ROWS = 2_600
"""More than two blocks of every reader."""

Maker: TypeAlias = Callable[[Path], Source]


def files(*names: str) -> Maker:
    def make(folder: Path) -> Source:
        for number, name in enumerate(names):
            WRITERS[name.rpartition(".")[2]](folder / name, number)
        return FileSource([folder / name for name in names], "chat", SampleOptions())

    return make


def write_jsonl(path: Path, seed: int) -> None:
    """Some lines are blank, some broken, only some have a time."""
    lines = [json.dumps({"text": f"message {seed} {i}", **({"time": i} if i % 3 else {})}) for i in range(ROWS)]
    lines[5], lines[1_100], lines[-1] = "", "{broken", ""
    path.write_text("\n".join(lines), encoding="utf-8")


def write_npy(path: Path, seed: int) -> None:
    rows = np.random.default_rng(seed).normal(size=(ROWS, 3))
    rows[[7, 1_500]] = np.nan
    np.save(path, rows)


def write_parquet(path: Path, seed: int) -> None:
    rows = np.random.default_rng(seed).normal(size=(ROWS, 3)).tolist()
    pq.write_table(pa.table({"vector": rows, "time": [i if i % 3 else None for i in range(ROWS)]}), path, row_group_size=1_500)


WRITERS: dict[str, Callable[[Path, int], None]] = {"jsonl": write_jsonl, "npy": write_npy, "parquet": write_parquet}


class ToItsEnd:
    """A Kafka source read up to where its partitions end now, from their first record on, like files."""

    def __init__(self, source: KafkaSource) -> None:
        self._source = source
        while len(source.partitions()) < 2:
            source.poll(1, 0.1)
        self._left = {partition: source.bounds(partition).end for partition in source.partitions()}
        self._ends = dict(self._left)
        for partition in self._ends:
            self.seek(partition, 0)

    def seek(self, partition: Partition, offset: int) -> None:
        self._source.seek(partition, min(offset, self._ends[partition]))
        self._left[partition] = self._ends[partition] - min(offset, self._ends[partition])

    def poll(self, limit: int, timeout: float) -> Sequence[Record]:
        records = self._source.poll(limit, max(timeout, 0.0 if self.ended else 0.2))
        for record in records:
            self._left[record.partition] = self._ends[record.partition] - record.offset - 1
        return records

    @property
    def ended(self) -> bool:
        return not any(self._left.values())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)


def in_kafka(topic: str, broker: str) -> Source:
    cluster = Cluster(KafkaSettings(brokers=(broker,), group=f"{topic}-{uuid.uuid4().hex}", session_seconds=6))
    monitor = MonitorSettings(
        name="chat", embedder=EmbedderSettings(input="none", dimension=3), topic=TopicSettings(name=topic, format="json")
    )
    return cast("Source", ToItsEnd(KafkaSource(cluster, {topic: "earliest"}, KafkaDecoder([monitor]).decode)))


@pytest.fixture(scope="session")
def filled_topic(kafka_broker: KafkaServer) -> str:
    """Two partitions of samples with and without id and time, and of what is none."""
    topic = f"contract-{uuid.uuid4().hex[:8]}"
    kafka_broker.create_topics({topic: 2})
    producer = KafkaProducer(bootstrap_servers=kafka_broker.bootstrap)
    for i in range(2 * ROWS):
        sample = {"vector": [i, 1, 2], **({"time": i} if i % 3 else {}), **({"id": str(i)} if i % 5 else {})}
        producer.send(topic, b"{broken" if i % 701 == 7 else json.dumps(sample).encode(), partition=i % 2)
    producer.close()
    return topic


def in_memory(folder: Path) -> Source:
    first, second = Partition("samples", "1", 0), Partition("samples", "1", 1)
    sample = Sample("chat", "a", 0.0, "hello")
    return ListSource(Record(part, offset, float(offset), (sample,)) for part in (first, second) for offset in range(0, ROWS, 2))


@pytest.fixture(
    params=[
        pytest.param(files("a.jsonl"), id="jsonl"),
        pytest.param(files("a.npy"), id="npy"),
        pytest.param(files("a.parquet"), id="parquet"),
        pytest.param(files("a.jsonl", "b.npy", "c.parquet", "d.jsonl"), id="several files"),
        pytest.param(in_memory, id="memory"),
        pytest.param(None, id="kafka", marks=pytest.mark.server("kafka")),
    ]
)
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Source]:
    made: Source
    if request.param is None:
        made = in_kafka(request.getfixturevalue("filled_topic"), request.getfixturevalue("kafka_broker").bootstrap)
    else:
        made = request.param(tmp_path)
    yield made
    made.close()


def drain(source: Source, limit: int = 700) -> list[Record]:
    records: list[Record] = []
    while not source.ended:
        records += source.poll(limit, 0.0)
    return records


def of(records: Sequence[Record], partition: Partition) -> list[Record]:
    return [record for record in records if record.partition == partition]


def shown(record: Record) -> Any:
    """A record as something that `==` compares."""
    items = [(i.id, i.time, np.asarray(i.payload).tolist()) if isinstance(i, Sample) else i for i in record.items]
    return (record.partition, record.offset, record.time, items)


def test_every_partition_is_given_in_order_to_its_end(source: Source) -> None:
    records = drain(source)
    assert {record.partition for record in records} == set(source.partitions())
    for partition in source.partitions():
        offsets = [record.offset for record in of(records, partition)]
        assert offsets == sorted(set(offsets))
        assert len(offsets) > 1_000
    assert all(isinstance(item, Sample | Rejected) for record in records for item in record.items)


def test_after_the_end_there_is_nothing(source: Source) -> None:
    drain(source)
    assert source.ended
    assert not source.poll(10, 0.0)


def test_a_poll_keeps_its_limit(source: Source) -> None:
    while not source.ended:
        assert len(source.poll(301, 0.0)) <= 301


@pytest.mark.parametrize("limit", [1, 64, 5_000])
def test_batches_change_nothing(source: Source, limit: int) -> None:
    whole = [shown(record) for record in drain(source)][:1_000]
    for partition in source.partitions():
        source.seek(partition, 0)
    again: list[Record] = []
    while len(again) < len(whole) and not source.ended:
        again += source.poll(limit, 0.0)
    assert [shown(record) for record in again[: len(whole)]] == whole


@pytest.mark.parametrize("offset", [0, 1, 5, 1_023, 1_024, 1_500, ROWS - 2, ROWS, ROWS + 10])
def test_a_poll_after_a_seek_repeats_exactly(source: Source, offset: int) -> None:
    records = drain(source)
    for partition in source.partitions():
        source.seek(partition, offset)
        expected = [shown(record) for record in of(records, partition) if record.offset >= offset]
        assert [shown(record) for record in drain(source)] == expected


def test_a_seek_in_the_middle_of_reading(source: Source) -> None:
    records = source.poll(300, 0.0)
    partition = records[0].partition
    expected = [shown(record) for record in of(records, partition) if record.offset >= 100]
    source.seek(partition, 100)
    again: list[Record] = []
    while len(again) < len(expected):
        again += of(source.poll(300, 0.0), partition)
    assert [shown(record) for record in again][: len(expected)] == expected
