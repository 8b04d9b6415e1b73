"""Versioned, checksummed, immutable folders: how references, data sets and reports lie on disk."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from service.errors import ArtefactError

MANIFEST = "manifest.json"
CHECKSUM = re.compile(r"[0-9a-f]{40}")
"""What a checksum looks like."""


class PublishedError(ArtefactError):
    """There is such a folder already: published versions never change."""


def checksum_of(content: bytes) -> str:
    """blake2b of the bytes, 40 hex digits."""
    return hashlib.blake2b(content, digest_size=20).hexdigest()


def checksum(path: Path) -> str:
    """That of a file's bytes."""
    digest = hashlib.blake2b(digest_size=20)
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def publish(target: Path, manifest: Mapping[str, Any], write: Callable[[Path], None]) -> None:
    """Writes a folder beside its place, adds the manifest with every file's checksum, and renames it into place.

    PublishedError where there is one already, ArtefactError where the disk takes nothing.
    """
    with drafted(target) as draft:
        write(draft)
        seal(draft, manifest)
        for path in draft.iterdir():
            sync(path)
        draft.chmod(0o755)
        _rename(draft, target)
        sync(target.parent)


@contextmanager
def drafted(target: Path) -> Iterator[Path]:
    """A folder beside its place, which goes; ArtefactError where the disk takes nothing."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=target.parent))
        try:
            yield draft
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    except OSError as error:
        raise ArtefactError(f"{target}: can't be written ({error.strerror or error}); see to room and rights, then try again") from error


def seal(draft: Path, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Adds the manifest, with the checksum of every file there is."""
    files = {path.name: checksum(path) for path in sorted(draft.iterdir()) if path.is_file() and path.name != MANIFEST}
    sealed = {**manifest, "files": files}
    text = json.dumps(sealed, indent=2, ensure_ascii=False, allow_nan=False)
    (draft / MANIFEST).write_text(text + "\n", encoding="utf-8")
    return sealed


def redraft(folder: Path, draft: Path, write: Callable[[Path], None], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The folder's next revision: changed files, the others as they are, and a manifest that counts what was `erased`."""
    manifest = read_manifest(folder, verify=False)
    write(draft)
    for path in folder.iterdir():
        if path.is_file() and path.name != MANIFEST and not (draft / path.name).exists():
            (draft / path.name).hardlink_to(path)
    erased, revision = int(manifest.get("erased", 0)) + changes["erased"], int(manifest.get("revision", 1)) + 1
    return seal(draft, {**manifest, **changes, "erased": erased, "revision": revision})


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


def versions(folder: Path, names: Callable[[Path], Iterable[str]] | None = None) -> list[int]:
    """The version numbers published below a folder, ascending; `names`: what lists it."""
    return sorted(int(name[1:]) for name in (names or LOCAL.names)(folder) if name[:1] == "v" and name[1:].isdigit())


class LocalFolders:
    """Published folders on a disk that all processes share."""

    def publish(self, target: Path, manifest: Mapping[str, Any], write: Callable[[Path], None]) -> None:
        """As `publish`."""
        publish(target, manifest, write)

    def names(self, folder: Path) -> list[str]:
        """Of what is published below a folder, ascending; drafts begin with a dot."""
        return sorted(path.name for path in folder.iterdir() if path.name[0] != ".") if folder.is_dir() else []

    def manifest(self, folder: Path) -> dict[str, Any]:
        """What a folder says of itself."""
        return read_manifest(folder, verify=False)

    def verified(self, folder: Path) -> dict[str, Any]:
        """The same, after every file was held against its checksum."""
        return read_manifest(folder)

    def here(self, folder: Path) -> Path:
        """It is."""
        return folder

    def revised(self, folder: Path) -> int:
        """As `revised`."""
        return revised(folder)

    def changed(self, folder: Path) -> int:
        """When something came or went directly below a folder; 0 where there is none."""
        try:
            return os.stat(folder).st_mtime_ns  # noqa: PTH116 - a tenth of a path's time
        except OSError:
            return 0

    def share(self, folder: Path) -> None:
        """It is shared already."""

    def replace(self, folder: Path, write: Callable[[Path], None], changes: Mapping[str, Any]) -> None:
        """Puts changed files and the manifest that names them into a published folder. A crash in between leaves the old folder whole, or
        the new one; for a moment there is none."""
        draft = Path(tempfile.mkdtemp(prefix=".erasing-", dir=folder.parent))
        try:
            redraft(folder, draft, write, changes)
            for path in draft.iterdir():
                sync(path)
            draft.chmod(0o755)
            old = folder.with_name(f".old-{folder.name}")
            shutil.rmtree(old, ignore_errors=True)
            folder.rename(old)
            draft.rename(folder)
            sync(folder.parent)
            shutil.rmtree(old)
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def mend(self, folder: Path) -> None:
        """After a crash between the two renames: the folder that was moved away comes back."""
        for old in folder.rglob(".old-v*"):
            place = old.with_name(old.name.removeprefix(".old-"))
            if place.exists():
                shutil.rmtree(old)
            else:
                old.rename(place)
        for draft in folder.rglob(".erasing-*"):
            shutil.rmtree(draft, ignore_errors=True)

    def remove(self, folder: Path) -> None:
        """It goes, with all that is in it."""
        shutil.rmtree(folder, ignore_errors=True)

    def sweep(self) -> int:
        """There are no copies that could be of an earlier revision."""
        return 0

    def tidy(self, *, now: float) -> None:
        """Nothing is left behind."""


LOCAL = LocalFolders()


def _rename(draft: Path, target: Path) -> None:
    try:
        draft.rename(target)
    except OSError as error:
        if not target.exists():
            raise
        raise PublishedError(f"{target}: exists already; published versions never change") from error
