"""Published folders in a bucket; copies of those in use lie where they would lie on a disk that all share.

A folder `references/chat/v3` is an object `published/references/chat/v3.json`, its manifest, and one for each file, named by its
checksum: `files/references/chat/v3/<checksum>`. The manifest comes last, and only where there is none: that publishes. Another revision
has other files and a manifest that takes the place of the one before; then the files that it does not name go.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import structlog

from service.adapters.object_storage.copies import COPIES, Copies
from service.adapters.object_storage.index import Index, manifest_key
from service.adapters.object_storage.objects import Objects
from service.artefacts import MANIFEST, PublishedError, checksum, drafted, read_manifest, redraft, seal
from service.errors import ArtefactError, ConflictError

__all__ = ["COPIES", "ObjectFolders"]

KINDS = ("references", "datasets", "models", "reports")
_FILES = "files"
_LEFT_SECONDS = 86_400.0
"""How long a publication may take: what it leaves behind is kept so long."""
_ATTEMPTS = 4

log = structlog.get_logger()


class ObjectFolders:
    """What is published is asked of the bucket at most once a second for each kind, and anew where something is not there."""

    def __init__(self, objects: Objects, root: Path, *, cache_bytes: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._objects = objects
        self._root = root
        self._copies = Copies(root, cache_bytes)
        self._index = Index(objects, clock)
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    # --- what there is --------------------------------------------------------------------------------------------------

    def names(self, folder: Path) -> list[str]:
        """Of what is published directly below a folder, ascending."""
        return self._index.below(self._name(folder))

    def manifest(self, folder: Path) -> dict[str, Any]:
        """What a folder says of itself."""
        return self._index.manifest(self._name(folder))

    def revised(self, folder: Path) -> str:
        """The manifest's tag, '' where there is none."""
        return self._index.tag(self._name(folder)) or ""

    def changed(self, folder: Path) -> str:
        """The names themselves."""
        return "/".join(self.names(folder))

    def verified(self, folder: Path) -> dict[str, Any]:
        """The files here are held against their checksums; a copy that is damaged is fetched anew."""
        try:
            return read_manifest(self.here(folder))
        except ArtefactError as error:
            if self._index.tag(self._name(folder)) is None:
                raise
            log.warning("copy_damaged", folder=str(folder), reason=str(error))
            self._copies.drop(self._name(folder))
            return read_manifest(self.here(folder))

    def here(self, folder: Path) -> Path:
        """Fetched, unless the newest revision is here already; a copy of what has gone goes too."""
        name = self._name(folder)
        with self._locks[name]:
            tag = self._index.tag(name)
            if tag is None:
                self._copies.drop(name)
            elif not self._copies.holds(name, tag):
                self._fetch(folder, name)
        return folder

    # --- changes --------------------------------------------------------------------------------------------------------

    def publish(self, target: Path, manifest: Mapping[str, Any], write: Callable[[Path], None]) -> None:
        """Files first, then the manifest where there is none; PublishedError where another was first."""
        name = self._name(target)
        with drafted(target) as draft:
            write(draft)
            sealed = seal(draft, manifest)
            self._upload(name, draft, sealed["files"])
            content = (draft / MANIFEST).read_bytes()
            if not self._objects.create(manifest_key(name), content):
                self._index.forget(name)
                self._withdraw(name, sealed["files"], self._index.manifest(name)["files"])
                raise PublishedError(f"{target}: exists already in {self._objects}; published versions never change")
            self._settle(name, draft, content)

    def adopt(self, folder: Path) -> bool:
        """A folder that was published on a disk; False where it is here already, PublishedError where there is another under its name."""
        name, content = self._name(folder), (folder / MANIFEST).read_bytes()
        if self._index.tag(name) is not None and self._index.published(name)[0] == content:
            return False
        self._upload(name, folder, read_manifest(folder)["files"])
        if not self._objects.create(manifest_key(name), content):
            raise PublishedError(f"{folder}: another lies in {self._objects}; give this installation a `storage.prefix` of its own")
        self._index.forget(name)
        self._copies.keep(name, self._index.tag(name) or "")
        return True

    def share(self, folder: Path) -> None:
        """A manifest is made for the files at its top, and put whatever was there before."""
        name = self._name(folder)
        with drafted(folder) as draft:
            for path in folder.iterdir():
                if path.is_file() and path.name != MANIFEST:
                    (draft / path.name).hardlink_to(path)
            sealed = seal(draft, {"kind": "files"})
            self._upload(name, draft, sealed["files"])
            self._objects.put(manifest_key(name), (draft / MANIFEST).read_bytes())
        self._index.forget(name)
        self._copies.keep(name, self._index.tag(name) or "")

    def replace(self, folder: Path, write: Callable[[Path], None], changes: Mapping[str, Any]) -> None:
        """ConflictError where another revision came meanwhile; files that are not named any more go at once."""
        name = self._name(folder)
        with drafted(folder) as draft:
            self.here(folder)
            before, tag = self._index.published(name)
            old = self._index.read(name, before)["files"]
            sealed = redraft(folder, draft, write, changes)
            self._upload(name, draft, {file: at for file, at in sealed["files"].items() if at not in old.values()})
            content = (draft / MANIFEST).read_bytes()
            if not self._objects.replace(manifest_key(name), content, tag):
                self._index.forget(name)
                raise ConflictError(f"{folder}: changed meanwhile; try again")
            self._withdraw(name, old, sealed["files"])
            self._settle(name, draft, content)

    def remove(self, folder: Path) -> None:
        """The manifest first: without it there is nothing."""
        name = self._name(folder)
        self._objects.delete([manifest_key(name)])
        self._objects.delete([found.key for found in self._objects.list(f"{_FILES}/{name}")])
        self._index.forget(name)
        self._copies.drop(name)

    def mend(self, folder: Path) -> None:
        """An erasure that was cut short left files that no manifest names any more: they go before it is repeated."""
        self._clear(self._name(folder), time.time())

    def sweep(self) -> int:
        """Copies whose manifest has another tag by now, or is gone."""
        stale = [name for name, tag in self._copies.all().items() if self._index.known(name) != tag]
        for name in stale:
            self._copies.drop(name)
        return len(stale)

    def tidy(self, *, now: float) -> None:
        """Files that no manifest names, of publications that came to no end."""
        for kind in KINDS:
            self._clear(kind, now)

    # --- parts ----------------------------------------------------------------------------------------------------------

    def _name(self, folder: Path) -> str:
        return folder.relative_to(self._root).as_posix()

    def _upload(self, name: str, draft: Path, files: Mapping[str, str]) -> None:
        for file, at in files.items():
            self._objects.put(f"{_FILES}/{name}/{at}", draft / file)

    def _withdraw(self, name: str, files: Mapping[str, str], but: Mapping[str, str]) -> None:
        self._objects.delete(f"{_FILES}/{name}/{at}" for at in {*files.values()} - {*but.values()})

    def _settle(self, name: str, draft: Path, content: bytes) -> None:
        """What was published is here, as the copy."""
        self._index.forget(name)
        found, tag = self._index.published(name)
        if found == content:
            self._copies.put(name, draft, tag)

    def _fetch(self, folder: Path, name: str) -> None:
        """Every file is held against its checksum; where one went meanwhile, there is another revision."""
        for _ in range(_ATTEMPTS):
            published = self._index.published(name)
            with drafted(folder) as draft:
                files = self._index.read(name, published[0])["files"]
                if all(self._got(name, draft / file, at) for file, at in files.items()):
                    (draft / MANIFEST).write_bytes(published[0])
                    self._copies.put(name, draft, published[1])
                    return
            self._index.forget(name)
        raise ArtefactError(f"{folder}: files that its manifest names are missing in {self._objects}; restore them from a backup")

    def _got(self, name: str, path: Path, at: str) -> bool:
        if not self._objects.download(f"{_FILES}/{name}/{at}", path):
            return False
        if checksum(path) != at:
            key = f"{_FILES}/{name}/{at}"
            raise ArtefactError(f"{path.name} of {name}: damaged in {self._objects}, {key}; restore that object from a backup")
        return True

    def _clear(self, below: str, now: float) -> None:
        """Of a published folder at once what is as old as its manifest; what is newer, or of no folder yet, may be of a publication that is
        under way."""
        put = self._index.within(below)
        named = {f"{_FILES}/{name}/{at}" for name in put for at in self._index.manifest(name)["files"].values()}
        left = [each for each in self._objects.list(f"{_FILES}/{below}") if each.key not in named]
        over = now - _LEFT_SECONDS
        self._objects.delete(each.key for each in left if each.modified <= max(put.get(_folder(each.key), over), over))


def _folder(key: str) -> str:
    """The name of the folder that a file is of."""
    return key.removeprefix(f"{_FILES}/").rsplit("/", 1)[0]
