"""Payloads by their address: one suite over a directory and over object storage."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from itertools import count
from pathlib import Path

import pytest

from service.adapters.blobs import BlobDirectory
from service.adapters.object_storage import BlobObjects, Objects
from service.ports import GRACE_SECONDS, BlobStore, Lasting
from tests.contract.test_folders import settings_for

DAY = 86_400.0
_PREFIXES = count()


class Site:
    """Each of `open` is another process."""

    def __init__(self, path: Path, objects: Objects | None) -> None:
        self._path, self._objects = path, objects
        self.directories = list[BlobDirectory]()

    def open(self, cap_bytes: int = 1_000) -> BlobStore:
        if self._objects is not None:
            return BlobObjects(self._objects, cap_bytes=cap_bytes)
        self.directories.append(BlobDirectory(self._path, cap_bytes=cap_bytes))
        return self.directories[-1]


@pytest.fixture(params=["directory", pytest.param("s3", marks=pytest.mark.server("versitygw"))])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    if request.param == "s3":
        settings = settings_for(request.getfixturevalue("s3_server"), tmp_path, f"blobs-{next(_PREFIXES)}")
        yield Site(tmp_path, Objects(settings.storage))  # type: ignore[arg-type]  # of type s3, as declared
        return
    opened = Site(tmp_path / "blobs", None)
    yield opened
    for directory in opened.directories:
        with closing(directory):
            pass


def put(blobs: BlobStore, content: bytes) -> str:
    address = blobs.put(content)
    assert address is not None
    return address


def test_what_one_put_others_get(site: Site) -> None:
    one, other = site.open(), site.open()
    first, empty = put(one, b"one"), put(one, b"")
    assert put(other, b"one") == first
    assert [other.get(address) for address in (first, empty, "0" * 40, "../bytes", "")] == [b"one", b"", None, None, None]


def test_the_cap_refuses_and_counts(site: Site) -> None:
    blobs = site.open(cap_bytes=10)
    assert [blobs.put(content) is None for content in (b"12345", b"123456", b"1234")] == [False, True, False]
    assert (blobs.refused, blobs.stored_bytes) == (1, 9)


def test_what_is_new_or_referred_to_stays(site: Site) -> None:
    blobs = site.open()
    kept, loose = put(blobs, b"kept"), put(blobs, b"loose")
    now = time.time()
    assert blobs.collect([], now=now) == 0
    later = now + GRACE_SECONDS + 60
    assert blobs.collect([kept], now=later) + blobs.collect([kept], now=later + GRACE_SECONDS) == 5
    assert (blobs.get(kept), blobs.get(loose)) == (b"kept", None)
    assert site.open().stored_bytes == 4


def test_a_letter_in_a_topic_keeps_its_original_for_its_time(site: Site) -> None:
    blobs, now = site.open(), time.time()
    address = Lasting(blobs, 3 * DAY).put(b"original")
    assert address is not None
    assert blobs.collect([], now=now + 2 * DAY) == 0
    assert blobs.get(address) == b"original"
    assert blobs.collect([], now=now + 6 * DAY) == 8
    assert blobs.get(address) is None


def test_what_is_discarded_is_gone_at_once(site: Site) -> None:
    blobs = site.open()
    gone, kept = put(blobs, b"gone"), put(blobs, b"kept")
    blobs.discard([gone, "0" * 40, "../bytes"])
    assert (blobs.get(gone), blobs.get(kept)) == (None, b"kept")
