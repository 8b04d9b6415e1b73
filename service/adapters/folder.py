"""Items as files: for annotators who work on JSONL, and for people who want to see what would be sent."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from service.artefacts import sync
from service.errors import DeliveryError
from service.records import OutboxItem

_SAFE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")


class FolderDestination:
    """Writes each item to `<type>-<id>.json`; an annotation batch to `.jsonl`, one candidate per line."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def deliver(self, item: OutboxItem, *, now: float) -> None:  # noqa: ARG002 - the port's signature
        """Appears whole or not at all; a repetition writes the same file again."""
        if not (_SAFE.fullmatch(item.kind) and _SAFE.fullmatch(item.id)):
            raise DeliveryError(
                f"type {item.kind!r:.100} and id {item.id!r:.100} can't be a file name: letters, digits, '.', '_' and '-' only",
                retryable=False,
            )
        try:
            self._path.mkdir(parents=True, exist_ok=True)
            _publish(self._path / _name(item), _content(item))
        except OSError as error:
            raise DeliveryError(f"{self._path}: {error.strerror or error}", retryable=True) from error

    def close(self) -> None:
        """Nothing is kept open."""


def _name(item: OutboxItem) -> str:
    return f"{item.kind}-{item.id}.{'jsonl' if item.kind == 'annotation.batch' else 'json'}"


def _content(item: OutboxItem) -> bytes:
    if item.kind != "annotation.batch":
        occurred = datetime.fromtimestamp(item.created, UTC)
        return msgspec.json.encode({"id": item.id, "type": item.kind, "timestamp": occurred, "data": item.payload}) + b"\n"
    header = {name: value for name, value in item.payload.items() if name != "candidates"}
    candidates: Sequence[Mapping[str, Any]] = item.payload["candidates"]
    return b"".join(msgspec.json.encode({**header, **candidate}) + b"\n" for candidate in candidates)


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
