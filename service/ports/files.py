"""What is too large for the store, or has left it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

GRACE_SECONDS = 3_600.0
"""What was put so lately may be of a batch that is not committed yet; what is named so lately, of a dump that is being backed up."""


class Blobs(Protocol):
    """Bytes by their content's address, under a cap."""

    def put(self, content: bytes) -> str | None:
        """The address; None where the cap is reached: then it is counted, and the sample goes on without its payload."""

    def get(self, address: str) -> bytes | None:
        """None where it is gone or damaged."""

    def discard(self, addresses: Collection[str]) -> None:
        """Removes these at once: what they hold must not be there any more."""

    def collect(self, referred: Collection[str], *, now: float) -> int:
        """Removes what nothing has referred to for a while and is not brand-new; returns how many bytes went."""


class BlobStore(Protocol):
    """Where blobs lie, as whoever opens it has it."""

    refused: int
    """What found no room, since the process began."""

    @property
    def stored_bytes(self) -> int:
        """What all processes have put."""

    def put(self, content: bytes, *, seconds: float = 0.0) -> str | None:
        """As `Blobs`; it stays for `seconds` even if nothing here refers to it."""

    def get(self, address: str) -> bytes | None:
        """As `Blobs`."""

    def discard(self, addresses: Collection[str]) -> None:
        """As `Blobs`."""

    def collect(self, referred: Collection[str], *, now: float) -> int:
        """As `Blobs`."""


@dataclass(frozen=True, slots=True)
class Lasting:
    """Blobs that stay for a time though nothing refers to them here: a letter in a topic may name them."""

    blobs: BlobStore
    seconds: float

    def put(self, content: bytes) -> str | None:
        """As the store of blobs does; put again, it stays that much longer."""
        return self.blobs.put(content, seconds=self.seconds)

    def get(self, address: str) -> bytes | None:
        """As the store of blobs does."""
        return self.blobs.get(address)

    def discard(self, addresses: Collection[str]) -> None:
        """As the store of blobs does."""
        self.blobs.discard(addresses)

    def collect(self, referred: Collection[str], *, now: float) -> int:
        """As the store of blobs does."""
        return self.blobs.collect(referred, now=now)


Revision: TypeAlias = int | str
"""Differs after a change; 0 or '' where there is nothing."""


class Folders(Protocol):
    """Published folders: versioned, checksummed, never changed but by an erasure. They are named by their paths below the
    installation's directory, wherever their content lies."""

    def publish(self, target: Path, manifest: Mapping[str, Any], write: Callable[[Path], None]) -> None:
        """Appears whole, for everybody, or not at all; PublishedError where there is such a folder already."""

    def names(self, folder: Path) -> Sequence[str]:
        """Of what is published directly below a folder, ascending."""

    def manifest(self, folder: Path) -> dict[str, Any]:
        """What a folder says of itself; ArtefactError where it is not published."""

    def verified(self, folder: Path) -> dict[str, Any]:
        """The same, after its files here were held against their checksums; ArtefactError names the one that is damaged."""

    def here(self, folder: Path) -> Path:
        """The same path; the files lie there now, if it is published."""

    def revised(self, folder: Path) -> Revision:
        """Changes when something was erased from the folder."""

    def changed(self, folder: Path) -> Revision:
        """Changes when something came or went directly below a folder."""

    def share(self, folder: Path) -> None:
        """What was written to this folder is everybody's from here on, whatever was there before."""

    def replace(self, folder: Path, write: Callable[[Path], None], changes: Mapping[str, Any]) -> None:
        """The next revision of a published folder, for an erasure: files that `write` puts into a draft, and changes of the manifest."""

    def mend(self, folder: Path) -> None:
        """Makes good what a crash within `replace` has left below a folder."""

    def remove(self, folder: Path) -> None:
        """It goes, with all that is in it."""

    def sweep(self) -> int:
        """Lets go of copies here that are of an earlier revision, or of what has gone; returns how many."""

    def tidy(self, *, now: float) -> None:
        """Lets go of what publications that came to no end have left behind."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """What one checkpoint covers of a monitor's log: panes with numbers above `after` up to `until`; those between are events."""

    monitor: str
    after: int
    until: int
    time: float
    """Of its newest pane, by the log."""
    weight: int
    """How many of the retention's bytes it takes."""
    panes: Sequence[tuple[int, bytes]]
    """(sequence number, encoded pane), in order."""


class Archive(Protocol):
    """Decided panes that a store has let go of, under a retention of their own."""

    def append(self, stretch: Stretch, checkpoint: bytes) -> None:
        """Durable when it returns; ArtefactError where it can't be, and nothing has changed. `checkpoint` is the one at `until`."""

    def read(self, monitor: str, after: int, until: int, limit: int) -> Sequence[tuple[int, bytes]]:
        """Panes with numbers above `after` up to `until`, in order; fewer than `limit` only where none is left."""

    def start(self, monitor: str, until: int) -> tuple[int, bytes | None] | None:
        """The number before the first pane from which on all are kept up to `until`, and the checkpoint there; None while there is none."""
