"""Items as files: for annotators who work on tables, and for people who want to see what would be sent."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from service.artefacts import sync
from service.errors import DeliveryError
from service.exhibits import Exhibits, image_type
from service.handoff import BATCH, beyond_text
from service.records import OutboxItem, Payload

_SAFE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")


class FolderDestination:
    """Writes each item to `<type>-<id>.json`; an annotation batch to `.jsonl` or `.parquet`, one candidate per row, and its images to
    a folder of the same name beside it."""

    def __init__(self, path: Path, exhibits: Exhibits, *, parquet: bool = False) -> None:
        self._path = path
        self._exhibits = exhibits
        self._parquet = parquet

    def deliver(self, item: OutboxItem, *, now: float) -> None:  # noqa: ARG002 - the port's signature
        """Appears whole or not at all; a repetition writes the same file again."""
        name = f"{item.kind}-{item.id}"
        if not (_SAFE.fullmatch(item.kind) and _SAFE.fullmatch(item.id)):
            raise DeliveryError(
                f"type {item.kind!r:.100} and id {item.id!r:.100} can't be a file name: letters, digits, '.', '_' and '-' only",
                retryable=False,
            )
        try:
            self._path.mkdir(parents=True, exist_ok=True)
            if item.kind == BATCH:
                self._write_batch(name, item)
            else:
                _publish(self._path / f"{name}.json", _document(item))
        except OSError as error:
            raise DeliveryError(f"{self._path}: {error.strerror or error}", retryable=True) from error

    def close(self) -> None:
        """Nothing is kept open."""

    def _write_batch(self, name: str, item: OutboxItem) -> None:
        """The table last: whoever sees it finds the images that it names."""
        rows = self._rows(name, item.payload)
        if self._parquet:
            _publish(self._path / f"{name}.parquet", _table(rows))
        else:
            _publish(self._path / f"{name}.jsonl", b"".join(msgspec.json.encode(row) + b"\n" for row in rows))

    def _rows(self, name: str, batch: Mapping[str, Any]) -> list[dict[str, Any]]:
        header = {field: value for field, value in batch.items() if field != "candidates"}
        rows = [{**header, **candidate} for candidate in batch["candidates"]]
        samples = beyond_text(batch, self._exhibits)
        return [
            row | self._shown(name, number, samples[row["driftgate_id"]].payload) if row["driftgate_id"] in samples else row
            for number, row in enumerate(rows, 1)
        ]

    def _shown(self, name: str, number: int, payload: Payload) -> dict[str, Any]:
        """An image as a file; it is called by its place, as ids may be anything."""
        if isinstance(payload, bytes):
            file = f"{name}/{number:05}.{image_type(payload).suffix}"
            (self._path / name).mkdir(exist_ok=True)
            _publish(self._path / file, payload)
            return {"image": file}
        return {"text": payload} if isinstance(payload, str) else {"vector": np.asarray(payload).tolist()}


def _document(item: OutboxItem) -> bytes:
    occurred = datetime.fromtimestamp(item.created, UTC)
    return msgspec.json.encode({"id": item.id, "type": item.kind, "timestamp": occurred, "data": item.payload}) + b"\n"


def _table(rows: list[dict[str, Any]]) -> bytes:
    """As Parquet, with an empty column for the answers: `label`, and `unusable`, `annotator` beside it. What is no number or text is
    JSON."""
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra, as large as the rest of the service
        import pyarrow.parquet as pq  # noqa: PLC0415 - as above
    except ImportError as error:
        raise DeliveryError("format parquet needs pyarrow: install driftgate[parquet]", retryable=True) from error
    names = dict.fromkeys(name for row in rows for name in row)
    table = pa.table({name: [_cell(row.get(name)) for row in rows] for name in names})
    for name, kind in (("label", pa.string()), ("unusable", pa.bool_()), ("annotator", pa.string())):
        table = table.append_column(name, pa.nulls(len(table), kind))
    content = BytesIO()
    pq.write_table(table, content)
    return content.getvalue()


def _cell(value: Any) -> Any:
    flat = isinstance(value, list) and all(isinstance(each, float) for each in value)
    return value if flat or isinstance(value, str | int | float | None) else msgspec.json.encode(value).decode()


def _publish(path: Path, content: bytes) -> None:
    """Durable under its name once it returns."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise
    sync(path.parent)
