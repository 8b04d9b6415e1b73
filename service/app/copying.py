"""What lies below a directory goes into the bucket that is configured now."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from service.adapters.object_storage import BlobObjects, ObjectFolders, Objects, PaneObjects
from service.adapters.pane_segments import PaneSegments
from service.errors import ConfigurationError
from service.ports import Stretch
from service.settings import S3Storage, Settings

_PUBLISHED = ("references/*/v*", "datasets/*/*/v*", "reports/*/*")
_PANES = 4_000
"""That are read at once: about 12 MB."""


def copy_files(settings: Settings) -> Mapping[str, int]:
    """Published folders, models, payloads and old panes; kind → how many. Nothing goes here, and what is there already is not sent again.

    Nobody may write to the directory meanwhile.
    """
    if not isinstance(settings.storage, S3Storage):
        raise ConfigurationError("storage: of type directory; configure the bucket first, then copy what lies in the directory")
    objects, copied = Objects(settings.storage), Counter[str]()
    folders = ObjectFolders(objects, settings.directory, cache_bytes=settings.storage.cache_bytes)
    for folder in _published(settings.directory):
        copied[folder.relative_to(settings.directory).parts[0]] += folders.adopt(folder)
    for folder in _models(settings.directory / "models"):
        if not folders.revised(folder):
            folders.share(folder)
            copied["models"] += 1
    copied["payloads"] += sum(_blobs(settings, objects))
    for folder in sorted((settings.directory / "panes").glob("*/*")):
        copied["panes"] += _panes(settings, objects, folder.parent, folder.name)
    return copied


def _published(directory: Path) -> Iterator[Path]:
    """Drafts begin with a dot."""
    return (path for pattern in _PUBLISHED for path in sorted(directory.glob(pattern)) if path.is_dir() and path.name[0] != ".")


def _models(directory: Path) -> Iterator[Path]:
    """Folders with an ONNX file; uploads that came to no end begin with a dot."""
    found = {path.parent for path in directory.rglob("*.onnx")}
    return (folder for folder in sorted(found) if not any(part[0] == "." for part in folder.relative_to(directory).parts))


def _blobs(settings: Settings, objects: Objects) -> Iterator[int]:
    """Those that stay for a time though nothing refers to them go on to."""
    blobs, now = BlobObjects(objects, cap_bytes=settings.blobs.cap_bytes), time.time()
    for path in sorted((settings.directory / "blobs").glob("??/*")):
        if path.name[0] != ".":
            yield blobs.put(path.read_bytes(), seconds=max(path.stat().st_mtime - now, 0.0)) is not None


def _panes(settings: Settings, objects: Objects, folder: Path, monitor: str) -> int:
    """From the first from which a replay can start, with the checkpoint there."""
    limits = settings.pane_log
    size, seconds = limits.retention_bytes, limits.retention_seconds
    segments = PaneSegments(folder, retain_bytes=size, retain_seconds=seconds)
    into = PaneObjects(objects, folder.name, retain_bytes=size, retain_seconds=seconds)
    last, moment = segments.last(monitor)
    begins = segments.start(monitor, last)
    if begins is None:
        return 0
    at, checkpoint = begins
    if checkpoint is not None:
        into.append(Stretch(monitor, at, at, moment, 0, ()), checkpoint)
    copied = 0
    while at < last:
        panes = segments.read(monitor, at, last, _PANES)
        until = panes[-1][0] if len(panes) == _PANES else last
        into.append(Stretch(monitor, at, until, moment, sum(len(pane) for _, pane in panes), panes), b"")
        at, copied = until, copied + len(panes)
    return copied
