"""Versioned, checksummed, immutable folders: how references and data sets lie on disk."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from service.errors import ArtefactError

MANIFEST = "manifest.json"


def checksum(path: Path) -> str:
    """blake2b of a file's bytes, 40 hex digits."""
    digest = hashlib.blake2b(digest_size=20)
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def publish(target: Path, manifest: Mapping[str, Any], write: Callable[[Path], None]) -> None:
    """Writes a folder beside its place, adds the manifest with every file's checksum, and renames it into place.

    ConflictError's cousin: an existing target is an ArtefactError, as versions never change. So is a disk that takes nothing.
    """
    try:
        _publish(target, manifest, write)
    except OSError as error:
        raise ArtefactError(f"{target}: can't be written ({error.strerror or error}); see to room and rights, then try again") from error


def _publish(target: Path, manifest: Mapping[str, Any], write: Callable[[Path], None]) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=target.parent))
    try:
        write(draft)
        files = {path.name: checksum(path) for path in sorted(draft.iterdir())}
        text = json.dumps({**manifest, "files": files}, indent=2, ensure_ascii=False, allow_nan=False)
        (draft / MANIFEST).write_text(text + "\n", encoding="utf-8")
        for path in draft.iterdir():
            sync(path)
        draft.chmod(0o755)
        _rename(draft, target)
        sync(target.parent)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def read_manifest(folder: Path, *, verify: bool = True) -> dict[str, Any]:
    """The manifest of a published folder; every file is held against its checksum first."""
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ArtefactError(f"{folder}: no {MANIFEST}; not a published artefact") from error
    except json.JSONDecodeError as error:
        raise ArtefactError(f"{folder / MANIFEST}: damaged ({error}); restore it from a backup") from error
    for name, expected in manifest.get("files", {}).items() if verify else ():
        path = folder / name
        if not path.is_file():
            raise ArtefactError(f"{path}: missing; restore the folder from a backup")
        if checksum(path) != expected:
            raise ArtefactError(f"{path}: damaged, its checksum is not the manifest's; restore it from a backup")
    return manifest


def replace_text(path: Path, text: str) -> None:
    """Replaces a small file as a whole, durably: a crash leaves the one or the other."""
    draft = path.with_name(f".{path.name}-{os.getpid()}")
    draft.write_text(text, encoding="utf-8")
    sync(draft)
    draft.replace(path)
    sync(path.parent)


def sync(path: Path) -> None:
    """What a file holds, or what a folder names, outlives the machine's power."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def revised(folder: Path) -> int:
    """Changes when something was erased from a published folder, which else never changes."""
    try:
        return (folder / MANIFEST).stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def versions(folder: Path) -> list[int]:
    """The version numbers published below a folder, ascending."""
    if not folder.is_dir():
        return []
    return sorted(int(path.name[1:]) for path in folder.iterdir() if path.name[:1] == "v" and path.name[1:].isdigit())


def _rename(draft: Path, target: Path) -> None:
    try:
        draft.rename(target)
    except OSError as error:
        raise ArtefactError(f"{target}: exists already; published versions never change") from error
