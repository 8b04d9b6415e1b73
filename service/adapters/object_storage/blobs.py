"""Payloads by their content's address, as objects under a cap of bytes that holds roughly."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence

import structlog

from service.adapters.object_storage.objects import Listed, Objects
from service.artefacts import CHECKSUM, checksum_of
from service.errors import UnavailableError
from service.ports import GRACE_SECONDS

_BLOBS, _LASTING, _ACCOUNT = "blobs", "lasting", "accounts/blobs"
_DAY = 86_400.0
_LOOK_SECONDS = 60.0

log = structlog.get_logger()


class BlobObjects:
    """An object per content, named by its hash; the server says when it was put last.

    Whoever collects counts what there is and writes it down for all; each process adds what it has put since. So the cap is passed at
    most by what the others put between two collections. `refused` counts, since the process began, what did not fit.
    """

    def __init__(self, objects: Objects, *, cap_bytes: int, clock: Callable[[], float] = time.time) -> None:
        self._objects = objects
        self._cap = cap_bytes
        self._clock = clock
        self._booking = threading.Lock()
        self._counted: tuple[float, int] = (0.0, 0)
        self._looked = -_LOOK_SECONDS
        self._own = self._own_then = 0
        self._loose: dict[str, float] = {}
        self.refused = 0

    @property
    def stored_bytes(self) -> int:
        """As far as this process knows."""
        with self._booking:
            if self._clock() - self._looked >= _LOOK_SECONDS:
                self._look()
            return self._counted[1] + self._own

    def put(self, content: bytes, *, seconds: float = 0.0) -> str | None:
        """The address; None beyond the cap. It stays for `seconds` even if nothing here refers to it."""
        if self.stored_bytes + len(content) > self._cap:
            self._refuse(len(content))
            return None
        address = checksum_of(content)
        if seconds:  # first: what has no blob harms nobody
            self._objects.put(f"{_LASTING}/{_until(self._clock() + seconds)}/{address}", b"")
        self._objects.put(_key(address), content)
        with self._booking:
            self._own += len(content)
        return address

    def get(self, address: str) -> bytes | None:
        """None where it is gone; one that is damaged goes, so that it can be put again."""
        if not CHECKSUM.fullmatch(address):
            return None
        found = self._objects.get(_key(address))
        if found is None:
            return None
        if checksum_of(found[0]) == address:
            return found[0]
        log.warning("blob_damaged", address=address)
        self._objects.delete([_key(address)])
        return None

    def discard(self, addresses: Collection[str]) -> None:
        """Removes these at once, however new they are."""
        self._objects.delete(_key(address) for address in addresses if CHECKSUM.fullmatch(address))

    def collect(self, referred: Collection[str], *, now: float) -> int:
        """Removes what nothing has referred to since a collection an hour ago and was not put lately, and sets the account right. A
        process that is new here gives all of it another hour."""
        lasting, loose = {*self._lasting(now)}, dict[str, float]()
        there = gone = 0
        for page in self._objects.pages(_BLOBS):
            found = {"".join(each.key.split("/")[-2:]): each for each in page}
            loose |= {address: self._loose.get(address, now) for address in found if address not in referred}
            ended = [found[address] for address in found if address not in lasting and loose.get(address, now) <= now - GRACE_SECONDS]
            over = [each for each in ended if each.modified <= now - GRACE_SECONDS]
            self._objects.delete(each.key for each in over)  # at once: what is put again after it was listed goes too
            there, gone = there + _size(page), gone + _size(over)
        self._loose = loose
        self._objects.put(_ACCOUNT, json.dumps({"bytes": there - gone, "time": now}).encode())
        return gone

    def _lasting(self, now: float) -> Iterator[str]:
        """What is referred to from elsewhere; marks that have ended go."""
        for page in self._objects.pages(_LASTING):
            marks = [each.key.split("/") for each in page]
            yield from (address for _, until, address in marks if until >= _until(now))
            self._objects.delete("/".join(mark) for mark in marks if mark[1] < _until(now))

    def _look(self) -> None:
        """A newer count holds what was put before the look before it, at least; what came since counts twice rather than not at all."""
        self._looked = self._clock()
        try:
            found = self._objects.get(_ACCOUNT)
        except UnavailableError:  # who only wants to show the number needs no answer now, and who puts will be told
            return
        if found is None:
            return
        account = json.loads(found[0])
        if account["time"] != self._counted[0]:
            self._own, self._counted = self._own - self._own_then, (account["time"], int(account["bytes"]))
        self._own_then = self._own

    def _refuse(self, size: int) -> None:
        if not self.refused:
            log.warning("blob_refused", why="cap", bytes=size, cap=self._cap)
        self.refused += 1


def _key(address: str) -> str:
    return f"{_BLOBS}/{address[:2]}/{address[2:]}"


def _size(page: Sequence[Listed]) -> int:
    return sum(each.size for each in page)


def _until(moment: float) -> str:
    """The first day on which it has ended, so that what is put again and again has few marks."""
    return f"{int(moment // _DAY) + 1:08d}"
