"""Copies of published folders on this machine, under a cap of bytes: which there are, of which revision, and when each was used last."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote, unquote

COPIES = ".copies"
"""Below the installation's directory: a file for each copy, with its tag; whoever finds it knows that the folder may go."""

_IN_USE_SECONDS = 600.0
_TOUCH_SECONDS = 60.0


class Copies:
    """A folder without a mark here is none of ours, and stays."""

    def __init__(self, root: Path, cap_bytes: int) -> None:
        self._root = root
        self._cap = cap_bytes
        self._marks = root / COPIES

    def all(self) -> Mapping[str, str]:
        """Name → tag."""
        return {unquote(path.name): tag for path in self._files() if (tag := _read(path)) is not None}

    def holds(self, name: str, tag: str) -> bool:
        """Whether that revision is here; it then counts as used now."""
        mark = self._mark(name)
        if not (self._root / name).is_dir() or _read(mark) != tag:
            return False
        with suppress(FileNotFoundError):
            if time.time() - mark.stat().st_mtime > _TOUCH_SECONDS:
                os.utime(mark)
        return True

    def put(self, name: str, draft: Path, tag: str) -> None:
        """The draft takes the folder's place; others may go for it."""
        folder = self._root / name
        draft.chmod(0o755)
        if folder.exists():
            self._away(folder)
        draft.rename(folder)
        self.keep(name, tag)
        self._shrink()

    def keep(self, name: str, tag: str) -> None:
        """What lies there is that revision."""
        self._marks.mkdir(parents=True, exist_ok=True)
        mark = self._mark(name)
        draft = mark.with_name(f".{os.getpid()}-{time.monotonic_ns()}")
        draft.write_text(tag, encoding="utf-8")
        draft.replace(mark)

    def drop(self, name: str) -> None:
        """Only a copy goes."""
        mark = self._mark(name)
        if mark.is_file():
            mark.unlink(missing_ok=True)
            self._away(self._root / name)

    def _away(self, folder: Path) -> None:
        """Out of its place at once, whole."""
        if folder.is_dir():
            grave = Path(tempfile.mkdtemp(prefix=".going-", dir=folder.parent))
            with suppress(FileNotFoundError):
                folder.rename(grave / folder.name)
            shutil.rmtree(grave, ignore_errors=True)

    def _shrink(self) -> None:
        """Those go that were not used for the longest time; what was used lately may be open."""
        found = [(path.stat().st_mtime, unquote(path.name)) for path in self._files()]
        sizes = {name: _size(self._root / name) for _, name in found}
        total = sum(sizes.values())
        for used, name in sorted(found):
            if total <= self._cap or used > time.time() - _IN_USE_SECONDS:
                return
            self.drop(name)
            total -= sizes[name]

    def _files(self) -> list[Path]:
        return [path for path in self._marks.iterdir() if path.name[0] != "."] if self._marks.is_dir() else []

    def _mark(self, name: str) -> Path:
        return self._marks / quote(name, safe="")


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file()) if folder.is_dir() else 0
