"""Items as files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from service.adapters.folder import FolderDestination
from service.adapters.sqlite import SqliteStore
from service.datasets import DataSets
from service.errors import DeliveryError
from service.exhibits import Exhibits
from service.records import OutboxItem

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
