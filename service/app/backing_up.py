"""A copy of all that an installation keeps, taken while it works, and put back where nothing is. docs/backup.md has the order and why.

State comes first, what it names after it: payloads, panes, references and data sets are written before state names them, and a payload
stays for an hour after it was first found that nothing names it any more. So what the copied state names is in the copy.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import Any

from service.adapters.sqlite import put_to_use, snapshots, version_of
from service.app.files import LOCK, LOG, STORE, alone, files_of
from service.artefacts import MANIFEST, checksum, read_manifest, revised, sync
from service.errors import ArtefactError, ConfigurationError
from service.moments import written
from service.ports import GRACE_SECONDS
from service.settings import Settings

FORMAT = 1
DUMP, FILES = "redis.rdb", "files"
"""In a backup: the dump of Redis, and what lies below the installation's directory."""

_OF_THE_MACHINE = frozenset({LOCK, "logs", "embedders", "lost+found"})
"""In the directory, but not of the installation: the chart mounts `embedders` there."""
_LEFT_OUT = _OF_THE_MACHINE | {STORE, LOG}
"""What is not copied as a file: databases have a way of their own."""
_BESIDE = ("-wal", "-shm", "-journal", ".lock")
"""How the names of files end that belong to an open database, or to nobody."""
_PIECE = 1 << 20
_RDB_BEGINS, _RDB_END, _RDB_CHECKSUM_BYTES = b"REDIS", b"\xff", 8

Copied = Callable[[int], None]
"""Told of the bytes that were copied so far."""


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup that was made or put back."""

    folder: Path
    manifest: Mapping[str, Any]

    @property
    def bytes(self) -> int:
        """Of all its files."""
        return sum(each["bytes"] for each in self.manifest["files"].values())


def back_up(settings: Settings, target: Path, *, now: float, dump: Path | None = None, copied: Copied = lambda _: None) -> Backup:
    """Copies state and what belongs to it into a new folder, whole or not at all. With Redis, `dump` is what was dumped of it before."""
    _require_dump(settings, dump, now)
    if target.exists():
        raise ConfigurationError(f"--output {target}: exists already; name a new folder")
    if target.resolve().is_relative_to(settings.directory.resolve()):
        raise ConfigurationError(f"--output {target}: lies in what is copied, directory {settings.directory}; name a folder outside of it")
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        _copy_state(settings, draft, dump)
        _copy_files(settings.directory, draft / FILES, copied)
        manifest = {
            "format": FORMAT,
            "version": version("driftgate"),
            "made": written(now),
            "levels": {path.name: version_of(draft / FILES / path.name, schema) for path, schema in files_of(settings).items()},
            "files": {name: {"bytes": path.stat().st_size, "checksum": checksum(path)} for name, path in _files(draft)},
        }
        (draft / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
        _settle(draft)
        draft.rename(target)
        sync(target.parent)
    except OSError as error:
        raise ArtefactError(f"--output {target}: can't be written ({error.strerror or error}); see to room and rights") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return Backup(target, manifest)


def examined(source: Path) -> Backup:
    """A backup, every file of it held against its checksum; ArtefactError for one that is not whole."""
    try:
        manifest = json.loads((source / MANIFEST).read_text(encoding="utf-8"))
        files: Mapping[str, Any] = manifest["files"]
        found = manifest["format"]
    except FileNotFoundError as error:
        raise ArtefactError(f"--input {source}: no {MANIFEST}: no backup, or one that was broken off; take another") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ArtefactError(f"--input {source / MANIFEST}: damaged ({error}); take another backup") from error
    if found != FORMAT:
        raise ArtefactError(f"--input {source}: of format {found}, this driftgate reads {FORMAT}; use the version that made it")
    for name, stated in files.items():
        _require_whole(source, name, stated)
    return Backup(source, manifest)


def restore(settings: Settings, source: Path, *, copied: Copied = lambda _: None) -> Backup:
    """Puts a backup's files into the installation's directory, where there is nothing yet; the databases last. What was dumped of Redis is
    given to a Redis before."""
    backup = examined(source)
    _require_levels(settings, backup)
    settings.directory.mkdir(parents=True, exist_ok=True)
    with alone(settings.directory):
        _require_empty(settings.directory)
        draft = Path(tempfile.mkdtemp(prefix=".restoring-", dir=settings.directory))
        try:
            listed = (source / name for name in backup.manifest["files"])
            _copy_tree((path for path in listed if path.is_relative_to(source / FILES)), source / FILES, draft, copied)
            for path in (draft / name for name in (STORE, LOG) if (draft / name).is_file()):
                put_to_use(path)
            _settle(draft)
            for path in sorted(draft.iterdir(), key=lambda path: path.name in (STORE, LOG)):
                path.rename(settings.directory / path.name)
            sync(settings.directory)
        except OSError as error:
            raise ArtefactError(f"directory {settings.directory}: can't be written ({error.strerror or error})") from error
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return backup


def _require_dump(settings: Settings, dump: Path | None, now: float) -> None:
    if settings.storage.type == "s3":
        raise ConfigurationError("storage.type is s3: version or replicate the bucket, and dump Redis by itself; see docs/backup.md")
    if settings.redis is None:
        if dump is not None:
            raise ConfigurationError("--redis-dump: redis is not configured; the state lies in the directory")
        return
    if dump is None:
        raise ConfigurationError(
            "--redis-dump is missing: dump Redis first (`redis-cli --rdb FILE`), then name the file; see docs/backup.md"
        )
    _require_sound(dump, now)


def _require_sound(dump: Path, now: float) -> None:
    """A dump that is whole, and so new that what it names is still there."""
    try:
        with dump.open("rb") as file:
            begins = file.read(len(_RDB_BEGINS))
            file.seek(max(os.fstat(file.fileno()).st_size - _RDB_CHECKSUM_BYTES - 1, 0))
            ends, made = file.read(1), os.fstat(file.fileno()).st_mtime
    except OSError as error:
        raise ConfigurationError(f"--redis-dump {dump}: {error.strerror}") from error
    if begins != _RDB_BEGINS:
        raise ConfigurationError(f"--redis-dump {dump}: no dump of Redis; `redis-cli --rdb FILE` writes one")
    if ends != _RDB_END:
        raise ConfigurationError(f"--redis-dump {dump}: has no end, it was broken off; dump Redis anew (`redis-cli --rdb FILE`)")
    if made < now - GRACE_SECONDS:
        raise ConfigurationError(f"--redis-dump {dump}: more than an hour old, and what it names may have gone since; dump Redis anew")


def _copy_state(settings: Settings, draft: Path, dump: Path | None) -> None:
    """Databases that belong together as they stood at one moment."""
    (draft / FILES).mkdir()
    if dump is not None:
        shutil.copyfile(dump, draft / DUMP)
    snapshots([path for path in files_of(settings) if path.is_file()], draft / FILES)


def _copy_files(directory: Path, target: Path, copied: Copied) -> None:
    """All else, histories' databases as such."""
    databases = sorted((directory / "backfills").glob("*.sqlite"))
    others = (path for path in _below(directory, _LEFT_OUT) if path not in databases)
    _copy_tree(others, directory, target, copied)
    for manifest in [path for path in _below(directory, _LEFT_OUT) if path.name == MANIFEST]:
        _make_whole(target / manifest.parent.relative_to(directory), manifest.parent)
    for database in databases:
        snapshots([database], target / "backfills")


def _make_whole(copy: Path, folder: Path) -> None:
    """What an erasure put another in place of while it was copied is copied anew; what is damaged where it lies stays so."""
    copied = -1
    while not _is_whole(copy) and copied != (revision := revised(folder)):
        copied = revision
        shutil.rmtree(copy, ignore_errors=True)
        _copy_tree(_below(folder), folder, copy, lambda _: None)


def _is_whole(folder: Path) -> bool:
    try:
        read_manifest(folder)
    except ArtefactError:
        return False
    return True


def _copy_tree(paths: Iterable[Path], source: Path, target: Path, copied: Copied) -> None:
    """What is gone by the time that it is its turn was let go of meanwhile; drafts, whose names begin with a dot, are nobody's yet."""
    total = 0
    for path in paths:
        place = target / path.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            total += _copy(path, place)
        except FileNotFoundError:
            continue
        copied(total)


def _below(source: Path, left_out: Collection[str] = ()) -> Iterator[Path]:
    for folder, folders, names in os.walk(source):
        top = Path(folder) == source
        folders[:] = sorted(name for name in folders if not name.startswith(".") and not (top and name in left_out))
        for name in sorted(names):
            path = Path(folder) / name
            left = name.startswith(".") or name.endswith(_BESIDE) or (top and name in left_out)
            if not left and path.is_file() and not path.is_symlink():
                yield path


def _copy(path: Path, place: Path) -> int:
    """As much as there is when it begins: files that grow are read as far as they are whole."""
    with path.open("rb") as source, place.open("xb") as target:
        left = size = os.fstat(source.fileno()).st_size
        while left and (piece := source.read(min(left, _PIECE))):
            target.write(piece)
            left -= len(piece)
        os.fchmod(target.fileno(), stat.S_IMODE(os.fstat(source.fileno()).st_mode))
    return size


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path.relative_to(folder).as_posix(), path


def _settle(folder: Path) -> None:
    """All of it outlives the machine's power."""
    for path in folder.rglob("*"):
        sync(path)
    sync(folder)


def _require_whole(source: Path, name: str, stated: Mapping[str, Any]) -> None:
    parts = PurePosixPath(name).parts
    path = source.joinpath(*parts)
    if not parts or ".." in parts or PurePosixPath(name).is_absolute() or path.is_symlink() or not path.is_file():
        raise ArtefactError(f"--input {source}: {name!r:.200} is missing; take another backup")
    if path.stat().st_size != stated["bytes"] or checksum(path) != stated["checksum"]:
        raise ArtefactError(f"--input {path}: damaged, its checksum is not the manifest's; take another backup")


def _require_levels(settings: Settings, backup: Backup) -> None:
    """A database of a newer driftgate is refused before anything is written."""
    made_by, newest = backup.manifest["version"], {path.name: schema.version for path, schema in files_of(settings).items()}
    if (settings.redis is not None) != (DUMP in backup.manifest["files"]):
        kept = "Redis" if DUMP in backup.manifest["files"] else "files"
        raise ConfigurationError(f"--input {backup.folder}: its state was in {kept}; restore it with a configuration of that kind")
    for name, level in backup.manifest["levels"].items():
        if name in newest and level > newest[name]:
            raise ArtefactError(
                f"--input {backup.folder}: {name} is of level {level}, this driftgate works with {newest[name]}; use {made_by}"
            )


def _require_empty(directory: Path) -> None:
    there = sorted(path.name for path in directory.iterdir() if path.name not in _OF_THE_MACHINE)
    if there:
        raise ConfigurationError(
            f"directory {directory}: holds {', '.join(there[:3])}; a backup is put back where nothing is: move that away"
        )
