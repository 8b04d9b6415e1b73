"""Which version of a reference counts."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from service.artefacts import LOCAL, versions
from service.ports import Folders


class InForce(Protocol):
    """Whoever knows which version counts."""

    def reference(self, monitor: str) -> int | None:
        """The version in force, or None."""

    def activate(self, monitor: str, version: int) -> None:
        """Brings a version into force."""


class Newest:
    """Without a store, for tools and tests: the newest version that waits for nobody, or the one activated here."""

    def __init__(self, directory: Path, folders: Folders = LOCAL) -> None:
        self._directory, self._folders = directory, folders
        self._chosen: dict[str, int] = {}

    def reference(self, monitor: str) -> int | None:
        """Its number, or None."""
        folder = self._directory / monitor
        known = reversed(versions(folder, self._folders.names))
        accepted = (n for n in known if not self._folders.manifest(folder / f"v{n}")["provisional"])
        return self._chosen.get(monitor) or next(accepted, None)

    def activate(self, monitor: str, version: int) -> None:
        """From now on."""
        self._chosen[monitor] = version
