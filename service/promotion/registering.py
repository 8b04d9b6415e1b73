"""Models that come back for a cycle, kept below the installation's directory: models/<monitor>/<cycle>/<first of the checksum>/."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from service.artefacts import LOCAL, sync
from service.errors import ArtefactError, InputError
from service.ports import Folders
from service.promotion.unpacking import CLASSES, RUN, Unpacked, laid_out, unpack
from service.records import Artefact, RefreshCycle

VERSION = re.compile(r"^[\x21-\x7e]{1,200}$")
"""What a model's version may look like: as `model_version` of outputs has it."""

Address: TypeAlias = Callable[[str], str | None]
"""From a path of the API to where it is reached from outside; None where nobody said."""

MOST_CLASSES = 10_000
_LEFT_SECONDS = 86_400.0
MOST_RUN_BYTES = 256_000
"""Of what is kept of how a model was made: it goes into the store with its cycle."""


@dataclass(frozen=True, slots=True)
class Given:
    """A model as whoever trained it hands it over: an ONNX file, or a tar of it with what belongs to it.

    `version` is what outputs will carry as `model_version`, '' for the first 12 digits of its checksum; `classes` () where the file names
    them, or they are the monitor's.
    """

    path: Path
    version: str
    classes: tuple[str, ...] = ()
    run: Mapping[str, Any] = field(default_factory=dict)
    uri: str = ""

    def __post_init__(self) -> None:
        if self.version and not VERSION.fullmatch(self.version):
            raise InputError("version", f"version: 1 to 200 printable ASCII characters without spaces, found {self.version!r:.80}")
        if len(self.uri) > 2_000:
            raise InputError("uri", f"uri: at most 2,000 characters, found {len(self.uri):,}")
        check_classes(self.classes)
        if len(json.dumps(dict(self.run))) > MOST_RUN_BYTES:
            raise InputError("run", f"run: at most {MOST_RUN_BYTES:,} bytes as JSON; cite large files by checksum")


def _nowhere(_path: str) -> None:
    """Nobody said where the installation is reached from outside."""


class Shelf:
    """Where models of cycles are kept. A model is there as a whole or not at all, once, however often it comes."""

    def __init__(self, directory: Path, *, max_bytes: int = 2**31, address: Address = _nowhere, folders: Folders = LOCAL) -> None:
        """`max_bytes`: of a model with all that belongs to it. `address`: of a path of the API."""
        self.directory = directory
        self._max_bytes = max_bytes
        self._address = address
        self._folders = folders

    @property
    def incoming(self) -> Path:
        """Where uploads are written to before anything is known of them: on the same disk, so that nothing is copied twice."""
        folder = self.directory / "models" / ".incoming"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def path(self, model: Artefact) -> Path:
        """Of its ONNX file, which is here then."""
        found = self.directory / model.path
        if not found.exists():
            self._folders.here(found.parent)
        return found

    def share(self, path: Path) -> None:
        """A model that was made in the folder of another is everybody's from here on."""
        self._folders.share(path.parent)

    def url(self, cycle: RefreshCycle) -> str | None:
        """Where a cycle's model is fetched, with the installation's token; None where it is not reached from outside."""
        return self._address(f"/v1/refresh/{cycle.id}/model")

    def given_out(self, model: Artefact) -> Path:
        """The model as one file: the ONNX file, or where weights lie beside it a tar of both, which goes with the next day's."""
        unpacked = laid_out(self.path(model).parent)
        if not unpacked.weights:
            return unpacked.model
        target = self.incoming / f"{model.checksum}.tar"
        if target.is_file():
            return target
        with self._draft() as folder:  # one of its own: several may ask at once
            draft = folder / target.name
            with tarfile.open(draft, "w") as archive:
                for path in (unpacked.model, *unpacked.weights):
                    archive.add(path, path.name)
            draft.replace(target)
        return target

    def below(self, path: str) -> Path:
        """A file named from the installation's directory; InputError where it is none, or lies somewhere else."""
        root = self.directory.resolve()
        try:
            found = (root / path).resolve()
            is_there = found.is_relative_to(root) and found.is_file()
        except (OSError, ValueError):  # a name that no file can have: with a zero byte, or too long
            is_there = False
        if not is_there:
            raise InputError("path", f"path: {path!r:.200} is no file below the installation's directory; upload it instead")
        return found

    def keep(self, cycle: RefreshCycle, given: Given, *, now: float) -> Artefact:
        """The model among the cycle's, with all that belongs to it."""
        try:
            with self._draft() as draft:
                unpacked = unpack(given.path, draft, limit=self._max_bytes)
                found = checksum(unpacked)
                folder = f"models/{cycle.monitor}/{cycle.id}/{found[:12]}"
                classes, run = given.classes or _listed(draft / CLASSES), given.run or _run(draft / RUN)
                _settle(draft, self.directory / folder)
                self._folders.share(self.directory / folder)
                artefact = Artefact(
                    path=f"{folder}/{laid_out(self.directory / folder).model.name}",
                    checksum=found,
                    classes=classes,
                    version=given.version or found[:12],
                    created=now,
                    uri=given.uri,
                    run=run,
                )
        except OSError as error:
            raise ArtefactError(f"{given.path.name}: can't be kept ({error.strerror or error}); see to room and rights") from error
        return artefact

    def tidy(self, *, now: float) -> None:
        """Lets go of uploads that came to no end."""
        for path in self.incoming.iterdir():
            with suppress(FileNotFoundError):  # another process tidies too
                if now - path.stat().st_mtime > _LEFT_SECONDS:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()

    @contextmanager
    def _draft(self) -> Iterator[Path]:
        draft = Path(tempfile.mkdtemp(prefix="draft-", dir=self.incoming))
        try:
            yield draft
        finally:
            shutil.rmtree(draft, ignore_errors=True)


def checksum(unpacked: Unpacked) -> str:
    """SHA-256 of the ONNX file's bytes and, after them, those of its weights by name; 64 hex digits."""
    digest = hashlib.sha256()
    for path in (unpacked.model, *unpacked.weights):
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    return digest.hexdigest()


def check_classes(classes: Sequence[str]) -> None:
    """InputError unless they are distinct names, not too many."""
    if len(classes) > MOST_CLASSES or len(set(classes)) != len(classes) or not all(name and len(name) <= 200 for name in classes):
        raise InputError(
            "classes", f"classes: distinct names of 1 to 200 characters, at most {MOST_CLASSES:,}, in the order of the logits; "
            f"found {len(classes):,}, {len(set(classes)):,} of them different"
        )  # fmt: skip


def _listed(path: Path) -> tuple[str, ...]:
    """One class per line; () without the file."""
    if not path.is_file():
        return ()
    try:
        found = tuple(line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    except UnicodeDecodeError as error:
        raise InputError("classes", f"{path.name}: not UTF-8, one class per line: {error}") from error
    check_classes(found)
    return found


def _run(path: Path) -> Mapping[str, Any]:
    """How it was made; {} without the file."""
    if not path.is_file():
        return {}
    return run_of(path.read_bytes(), path.name)


def run_of(content: bytes, name: str) -> Mapping[str, Any]:
    """How a model was made, as its trainer wrote it down: a JSON object."""
    if len(content) > MOST_RUN_BYTES:
        raise InputError("run", f"{name}: at most {MOST_RUN_BYTES:,} bytes; cite large files by checksum")
    try:
        found = json.loads(content, parse_constant=_no_number)
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise InputError("run", f"{name}: not JSON: {error}") from error
    if not isinstance(found, dict):
        raise InputError("run", f"{name}: a JSON object is needed, found {type(found).__name__}")
    return found


def _no_number(constant: str) -> float:
    raise InputError("run", f"run.json: {constant} is no number that JSON has; write null")


def _settle(draft: Path, folder: Path) -> None:
    """The folder's files are what its name says, so one that is there already stays."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    if folder.is_dir():
        return
    for path in draft.iterdir():
        sync(path)
    draft.chmod(0o755)
    try:
        draft.rename(folder)
    except OSError:
        if not folder.is_dir():  # else somebody else was faster
            raise
    sync(folder.parent)
