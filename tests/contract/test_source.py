"""Every source: ordered offsets, a poll after a seek repeats exactly, and the end is said once everything was given."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from service.adapters.file_source import FileSource
from service.adapters.memory import ListSource
from service.decoding.options import SampleOptions
from service.ports import Source
from service.records import Partition, Record, Rejected, Sample

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
    ]
)
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Source]:
    made: Source = request.param(tmp_path)
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
    expected = [shown(record) for record in source.poll(300, 0.0) if record.offset >= 100]
    source.seek(source.partitions()[0], 100)
    assert [shown(record) for record in source.poll(300, 0.0)][: len(expected)] == expected
