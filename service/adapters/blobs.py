"""Payloads by their content's address: a directory that several processes share, under a cap of bytes."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

from service.artefacts import CHECKSUM, checksum_of
from service.ports import GRACE_SECONDS

_ACCOUNT = "bytes"
"""The file that holds how much there is, as a decimal number."""

log = structlog.get_logger()


class BlobDirectory:
    """A file per content, named by its hash; its time of change is when it was put last, or until when it is to be taken for new.

    Nothing is synced to the disk: what reads back wrong after a power cut is gone, as what was collected is. `refused` counts, since
    the process began, what did not fit.
    """

    def __init__(self, path: Path, *, cap_bytes: int, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._cap = cap_bytes
        self._clock = clock
        self._loose: dict[str, float] = {}
        self.refused = 0
        for number in range(256):
            (path / f"{number:02x}").mkdir(parents=True, exist_ok=True)
        self._booking = threading.Lock()
        self._account = os.open(path / _ACCOUNT, os.O_RDWR | os.O_CREAT, 0o644)

    @property
    def stored_bytes(self) -> int:
        """What all processes have put; a crash may leave it a little wrong until the next `collect`."""
        return int(os.pread(self._account, 20, 0) or b"0")

    def put(self, content: bytes, *, seconds: float = 0.0) -> str | None:
        """The address; None beyond the cap or on a full disk. It stays for `seconds` even if nothing here refers to it."""
        address = checksum_of(content)
        path, until = self._place(address), self._clock() + seconds
        with self._alone():
            if _touched(path, len(content), until):
                return address
            fits = self._booked(len(content), self._cap)
        if not fits:
            self._refuse("cap", len(content))
            return None
        try:
            _publish(path, content, until)
        except OSError as error:
            self._book(-len(content))
            self._refuse(error.strerror or str(error), len(content))
            return None
        return address

    def get(self, address: str) -> bytes | None:
        """None where it is gone; one that is damaged goes, so that it can be put again."""
        if not CHECKSUM.fullmatch(address):
            return None
        path = self._place(address)
        try:
            content = path.read_bytes()
        except OSError:
            return None
        if checksum_of(content) == address:
            return content
        log.warning("blob_damaged", address=address)
        self._remove(path, len(content))
        return None

    def discard(self, addresses: Collection[str]) -> None:
        """Removes these at once, however new they are."""
        for address in addresses:
            path = self._place(address)
            if CHECKSUM.fullmatch(address) and path.is_file():
                self._remove(path, path.stat().st_size)

    def collect(self, referred: Collection[str], *, now: float) -> int:
        """Removes what nothing has referred to since a collection an hour ago and was not put lately, oldest first, and sets the account
        right. A process that is new here gives all of it another hour."""
        booked, there, loose = self.stored_bytes, 0, list[tuple[float, int, Path]]()
        before, self._loose = self._loose, {}
        for path, status in self._files():
            there += status.st_size
            if (name := path.parent.name + path.name) not in referred:
                self._loose[name] = since = before.get(name, now)
                if max(since, status.st_mtime) <= now - GRACE_SECONDS:
                    loose.append((status.st_mtime, status.st_size, path))
        self._book(there - booked)
        return sum(self._remove(path, size, put) for put, size, path in sorted(loose))

    def close(self) -> None:
        """Lets go of the account."""
        os.close(self._account)

    def _place(self, address: str) -> Path:
        return self._path / address[:2] / address[2:]

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """No other thread or process puts or removes meanwhile."""
        with self._booking:
            fcntl.flock(self._account, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.flock(self._account, fcntl.LOCK_UN)

    def _book(self, size: int) -> None:
        with self._alone():
            self._booked(size)

    def _booked(self, size: int, cap: int | None = None) -> bool:
        """Changes the account, which all processes share, unless it would pass the cap."""
        stands = self.stored_bytes + size
        if cap is not None and stands > cap:
            return False
        os.pwrite(self._account, b"%020d" % max(stands, 0), 0)
        return True

    def _refuse(self, why: str, size: int) -> None:
        if not self.refused:
            log.warning("blob_refused", why=why, bytes=size, cap=self._cap)
        self.refused += 1

    def _remove(self, path: Path, size: int, put: float | None = None) -> int:
        """Unless it was put again since `put`, for somebody is about to refer to it then."""
        with self._alone():
            try:
                if put is not None and path.stat().st_mtime > put:
                    return 0
                path.unlink()
            except FileNotFoundError:
                return 0
            self._booked(-size)
        return size

    def _files(self) -> Iterator[tuple[Path, os.stat_result]]:
        """All that is stored, drafts that a crash has left among it."""
        for path in self._path.glob("??/*"):
            try:
                yield path, path.stat()
            except FileNotFoundError:  # collected by another process
                continue


def _publish(path: Path, content: bytes, until: float) -> None:
    """Appears whole."""
    draft = path.with_name(f".{path.name}-{os.getpid()}-{threading.get_ident()}")
    try:
        draft.write_bytes(content)
        os.utime(draft, (until, until))
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise


def _touched(path: Path, size: int, until: float) -> bool:
    """Whether it is there; it then counts as put at `until`, if not later."""
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    if there.st_mtime < until:
        os.utime(path, (until, until))
    return there.st_size == size
