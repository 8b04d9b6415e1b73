"""Items as files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service import annotation
from service.adapters.folder import FolderDestination
from service.adapters.onnx_embedder.vectors import VectorEmbedder
from service.adapters.sqlite import SqliteStore
from service.answer_files import read_answers
from service.datasets import DataSets
from service.errors import DeliveryError
from service.exhibits import Exhibits
from service.records import AnnotationBatch, BatchState, Candidate, OutboxItem, Payload, Sample

ALARM = OutboxItem("abc123", "alarm.opened", "inbox", {"alarm": "a1", "text": "grüße"}, created=5.0)
BATCH = OutboxItem(
    "b1",
    "annotation.batch",
    "inbox",
    {
        "batch": "b1",
        "monitor": "chat",
        "candidates": [{"driftgate_id": "s1", "text": "line\nbreak"}, {"driftgate_id": "s2", "text": "two"}],
    },
    created=5.0,
)


@pytest.fixture
def exhibits(tmp_path: Path) -> Iterator[Exhibits]:
    with closing(SqliteStore(":memory:")) as store:
        yield Exhibits(store, DataSets(tmp_path / "kept"))


def test_an_item_becomes_a_file_of_its_own(tmp_path: Path, exhibits: Exhibits) -> None:
    FolderDestination(tmp_path / "new" / "folder", exhibits).deliver(ALARM, now=9.0)

    (file,) = (tmp_path / "new" / "folder").iterdir()
    assert file.name == "alarm.opened-abc123.json"
    assert json.loads(file.read_text("utf-8")) == {
        "id": "abc123",
        "type": "alarm.opened",
        "timestamp": "1970-01-01T00:00:05Z",
        "data": ALARM.payload,
    }


def test_a_batch_becomes_a_line_per_candidate(tmp_path: Path, exhibits: Exhibits) -> None:
    FolderDestination(tmp_path, exhibits).deliver(BATCH, now=9.0)

    lines = (tmp_path / "annotation.batch-b1.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [
        {"batch": "b1", "monitor": "chat", "driftgate_id": "s1", "text": "line\nbreak"},
        {"batch": "b1", "monitor": "chat", "driftgate_id": "s2", "text": "two"},
    ]


def test_a_repetition_leaves_one_file(tmp_path: Path, exhibits: Exhibits) -> None:
    folder = FolderDestination(tmp_path, exhibits)
    folder.deliver(BATCH, now=9.0)
    before = (tmp_path / "annotation.batch-b1.jsonl").read_bytes()
    folder.deliver(BATCH, now=99.0)

    assert [file.read_bytes() for file in tmp_path.iterdir()] == [before]


@pytest.mark.parametrize(
    ("kind", "id"), [("alarm.opened", "../x"), ("../../etc", "x"), ("alarm/opened", "x"), ("a", ""), ("a", "x" * 300), (".hidden", "x")]
)
def test_a_name_that_leaves_the_folder_is_refused(tmp_path: Path, exhibits: Exhibits, kind: str, id: str) -> None:
    with pytest.raises(DeliveryError) as error:
        FolderDestination(tmp_path / "in", exhibits).deliver(OutboxItem(id, kind, "inbox", {}, created=5.0), now=9.0)
    assert not error.value.retryable
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_tried_again(tmp_path: Path, exhibits: Exhibits) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DeliveryError, match="file") as error:
        FolderDestination(tmp_path / "file", exhibits).deliver(ALARM, now=9.0)
    assert error.value.retryable


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path, exhibits: Exhibits) -> None:
    (tmp_path / "alarm.opened-abc123.json").mkdir()
    with pytest.raises(DeliveryError):
        FolderDestination(tmp_path, exhibits).deliver(ALARM, now=9.0)
    assert [path.name for path in tmp_path.iterdir()] == ["alarm.opened-abc123.json"]


# --- what is no text --------------------------------------------------------------------------------------------------

PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)


class Free(VectorEmbedder):
    """Takes any payload."""

    def check(self, payload: Payload) -> None:
        """Nothing is wrong with any."""

    def embed(self, payloads: Any) -> Any:
        return super().embed([np.full(3, i + 1, np.float32) for i, _ in enumerate(payloads)])


@pytest.fixture
def mixed(tmp_path: Path) -> Iterator[tuple[Exhibits, OutboxItem]]:
    """A batch with a text, an image under a name that is no file's, and a vector."""
    payloads: dict[str, Payload] = {"words": "words", "../image": PNG, "vector": np.array([1, 2, 3], np.float32)}
    with closing(SqliteStore(":memory:")) as store:
        sets = DataSets(tmp_path / "kept")
        samples = [Sample("chat", name, 1.0, payload) for name, payload in payloads.items()]
        sets.add("chat", "pool", samples, Free(3, normalize=False), now=1.0)
        items = tuple(Candidate(name, "novel", 0.1, "all", "words" if name == "words" else "") for name in payloads)
        batch = AnnotationBatch("b1", "chat", "c1", 1, BatchState.SENT, items, 5.0, version=1)
        store.save(batch)
        yield Exhibits(store, sets), annotation.outgoing(batch, destination="inbox", price=0.5, now=5.0)


def test_images_lie_beside_the_table(tmp_path: Path, mixed: tuple[Exhibits, OutboxItem]) -> None:
    exhibits, item = mixed
    out = tmp_path / "out"
    for _ in range(2):
        FolderDestination(out, exhibits).deliver(item, now=9.0)

    table = out / f"annotation.batch-{item.id}.jsonl"
    rows = {row["driftgate_id"]: row for row in map(json.loads, table.read_text("utf-8").splitlines())}
    assert (out / rows["../image"]["image"]).read_bytes() == PNG
    assert rows["../image"]["image"].endswith(".png")
    assert rows["vector"]["vector"] == [1.0, 2.0, 3.0]
    assert rows["words"]["text"] == "words"
    assert sorted(path.name for path in out.rglob("*")) == sorted([table.name, table.stem, Path(rows["../image"]["image"]).name])


def test_parquet_comes_back_with_answers(tmp_path: Path, mixed: tuple[Exhibits, OutboxItem]) -> None:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    exhibits, item = mixed
    FolderDestination(tmp_path / "out", exhibits, parquet=True).deliver(item, now=9.0)
    path = tmp_path / "out" / f"annotation.batch-{item.id}.parquet"
    table = pq.read_table(path)
    rows = {row["driftgate_id"]: row for row in table.to_pylist()}
    assert (tmp_path / "out" / rows["../image"]["image"]).read_bytes() == PNG
    assert rows["vector"]["vector"] == [1.0, 2.0, 3.0]
    assert rows["words"]["text"] == "words"
    assert {row["batch"] for row in rows.values()} == {"b1"}

    answers = ["refund" if name == "words" else None for name in table["driftgate_id"].to_pylist()]
    done = table.set_column(table.schema.get_field_index("label"), "label", pa.array(answers, pa.string()))
    pq.write_table(done, tmp_path / "answered.parquet")
    assert [(answer.sample, answer.label) for answer in read_answers(tmp_path / "answered.parquet")["b1"]] == [("words", "refund")]


def test_the_same_parquet_twice(tmp_path: Path, mixed: tuple[Exhibits, OutboxItem]) -> None:
    pytest.importorskip("pyarrow")
    exhibits, item = mixed
    folder = FolderDestination(tmp_path / "out", exhibits, parquet=True)
    folder.deliver(item, now=9.0)
    before = (tmp_path / "out" / f"annotation.batch-{item.id}.parquet").read_bytes()
    folder.deliver(item, now=99.0)
    assert (tmp_path / "out" / f"annotation.batch-{item.id}.parquet").read_bytes() == before
