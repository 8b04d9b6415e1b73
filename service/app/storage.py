"""Where a configuration keeps its files: on a disk that all processes share, or in object storage."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from service.adapters.blobs import BlobDirectory
from service.adapters.object_storage import COPIES, BlobObjects, ObjectFolders, Objects, PaneObjects
from service.adapters.pane_segments import PaneSegments
from service.artefacts import LOCAL
from service.errors import ConfigurationError, DriftgateError
from service.ports import Archive, BlobStore, Folders
from service.settings import S3Storage, Settings

Said = tuple[str, str, str]
"""Level, what is the case, remedy."""

_OWN = {"references": "*/v*", "datasets": "*/*/v*", "blobs": "??/*", "panes": "*/*/*.panes"}


@dataclass(frozen=True, slots=True)
class Files:
    """Published folders, payloads and old panes; what is not used is not opened."""

    folders: Folders
    blobs: Callable[[], BlobStore]
    archive: Callable[[str], Archive]
    """For a state's id."""
    probe: Callable[[], None] = lambda: None
    """Raises the reason why nothing can be kept now."""
    tell: Callable[[Callable[[], object]], None] = lambda _: None
    """Whom to tell of each answer: who waits for many of them does not hang."""


def open_files(settings: Settings) -> Files:
    """As configured; ConfigurationError where the directory shows that something would be lost."""
    size, seconds = settings.pane_log.retention_bytes, settings.pane_log.retention_seconds
    directory, storage = settings.directory, settings.storage
    if not isinstance(storage, S3Storage):
        _require_no_copies(directory)
        return Files(
            LOCAL,
            lambda: BlobDirectory(directory / "blobs", cap_bytes=settings.blobs.cap_bytes),
            lambda state: PaneSegments(directory / "panes" / state, retain_bytes=size, retain_seconds=seconds),
        )
    objects = Objects(storage)
    _require_own(directory)
    return Files(
        ObjectFolders(objects, directory, cache_bytes=storage.cache_bytes),
        partial(BlobObjects, objects, cap_bytes=settings.blobs.cap_bytes),
        lambda state: PaneObjects(objects, state, retain_bytes=size, retain_seconds=seconds),
        objects.probe,
        objects.tell,
    )


def examine_storage(settings: Settings) -> Iterator[Said]:
    """Nothing where everything lies below the directory, which is looked at by itself."""
    storage = settings.storage
    if not isinstance(storage, S3Storage):
        return
    own = f"doctor/{secrets.token_hex(8)}"  # others may be at it now
    try:
        objects = Objects(storage)
        try:
            writes, again = objects.create(own, b"driftgate doctor"), objects.create(own, b"another")
            found, listed = objects.get(own), [each.key for each in objects.list("doctor")]
            changes = found is not None and not objects.replace(own, b"stale", f'"{"0" * 32}"')
        finally:
            objects.delete([own])
    except DriftgateError as error:
        yield "fail", str(error), ""
        return
    if not writes or found is None or own not in listed:
        yield "fail", f"{objects}: what was written can't be read", "see to its rights: GetObject, PutObject, DeleteObject, ListBucket"
    elif again or not changes:
        remedy = "use one that has conditional writes (If-None-Match, If-Match)"
        yield "fail", f"{objects}: it takes a second version of what must be written once", remedy
    else:
        yield "ok", f"{objects}: can be written, read, listed and deleted; what must be written once is", ""


def copied_models(folders: Folders, directory: Path, model: Path | None) -> None:
    """A model below the directory that is not here is fetched with all that lies beside it."""
    if model is not None and not model.exists() and model.is_relative_to(directory / "models"):
        folders.here(model.parent)


def _require_no_copies(directory: Path) -> None:
    if (directory / COPIES).is_dir():
        raise ConfigurationError(
            f"{directory} holds copies of what lies in a bucket, and not all of it: configure that `storage`, or give this installation "
            "another directory"
        )


def _require_own(directory: Path) -> None:
    """What lies here and was never in the bucket would be out of sight."""
    if (directory / COPIES).is_dir():
        return
    found = [kind for kind, pattern in _OWN.items() if any((directory / kind).glob(pattern))]
    if found:
        raise ConfigurationError(
            f"{directory}: {', '.join(found)} from before `storage` was of type s3 would be out of sight: `driftgate storage copy` "
            "brings them into the bucket; or begin with an empty directory"
        )
