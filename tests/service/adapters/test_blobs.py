"""Payloads by their content's address."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing
from pathlib import Path

import pytest

from service.adapters.blobs import BlobDirectory
from service.ports import GRACE_SECONDS, Lasting

NOW = 1_800_000_000.0
DAY = 86_400.0
LATER = NOW + 2 * GRACE_SECONDS


class Clock:
    """Goes when it is told to."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def blobs(tmp_path: Path, clock: Clock) -> Iterator[BlobDirectory]:
    with closing(BlobDirectory(tmp_path, cap_bytes=1_000, clock=clock)) as opened:
        yield opened


def put(blobs: BlobDirectory, content: bytes) -> str:
    address = blobs.put(content)
    assert address is not None
    return address


def collected(blobs: BlobDirectory, *referred: str) -> int:
    """By `LATER`, what was loose an hour before."""
    gone = blobs.collect(referred, now=LATER - GRACE_SECONDS)
    return gone + blobs.collect(referred, now=LATER)


def place(folder: Path, address: str) -> Path:
    return folder / address[:2] / address[2:]


def test_the_same_content_is_kept_once(blobs: BlobDirectory) -> None:
    first, other, empty = put(blobs, b"one"), put(blobs, b"other"), put(blobs, b"")
    assert put(blobs, b"one") == first != other
    assert [blobs.get(address) for address in (first, other, empty)] == [b"one", b"other", b""]
    assert blobs.stored_bytes == 8


@pytest.mark.parametrize("address", ["", "0" * 40, "../bytes", "é" * 40, "0" * 39])
def test_what_is_no_address_or_gone_is_nothing(blobs: BlobDirectory, address: str) -> None:
    assert blobs.get(address) is None


def test_beyond_the_cap_it_is_counted_and_never_a_stop(blobs: BlobDirectory) -> None:
    kept = put(blobs, b"x" * 990)
    assert blobs.put(b"y" * 11) is None
    assert blobs.put(b"z" * 11) is None
    assert put(blobs, b"x" * 990) == kept
    assert blobs.put(b"y" * 10) is not None
    assert (blobs.refused, blobs.stored_bytes) == (2, 1_000)


def test_a_disk_that_takes_nothing_is_like_the_cap(blobs: BlobDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    assert blobs.put(b"one") is None
    assert (blobs.refused, blobs.stored_bytes) == (1, 0)


@pytest.mark.parametrize("torn", [b"", b"on", b"oNe"])
def test_what_reads_back_wrong_is_gone_and_can_be_put_again(blobs: BlobDirectory, tmp_path: Path, torn: bytes) -> None:
    address = put(blobs, b"one")
    place(tmp_path, address).write_bytes(torn)
    assert blobs.get(address) is None
    assert put(blobs, b"one") == address
    assert blobs.get(address) == b"one"


def test_a_torn_one_is_put_again_without_being_read(blobs: BlobDirectory, tmp_path: Path) -> None:
    place(tmp_path, put(blobs, b"one")).write_bytes(b"o")
    assert blobs.get(put(blobs, b"one")) == b"one"


def test_what_nothing_refers_to_is_collected(blobs: BlobDirectory) -> None:
    kept, loose = put(blobs, b"kept"), put(blobs, b"loose")
    assert collected(blobs, kept) == 5
    assert (blobs.get(kept), blobs.get(loose), blobs.stored_bytes) == (b"kept", None, 4)


def test_what_was_named_lately_stays_however_long_ago_it_was_put(blobs: BlobDirectory) -> None:
    """A dump that is being backed up may name it."""
    address = put(blobs, b"evicted")
    assert blobs.collect({address}, now=LATER) == 0
    assert blobs.collect((), now=LATER + 300) == 0
    assert blobs.collect({address}, now=LATER + 600) == 0
    assert [blobs.collect((), now=LATER + 900 + passed) for passed in (0, GRACE_SECONDS - 1, GRACE_SECONDS)] == [0, 0, 7]


def test_what_was_put_lately_or_again_stays(blobs: BlobDirectory, clock: Clock) -> None:
    again = put(blobs, b"put again")
    put(blobs, b"old")
    clock.now = LATER - 1
    new = put(blobs, b"new")
    assert put(blobs, b"put again") == again
    assert collected(blobs) == 3
    assert (blobs.get(again), blobs.get(new)) == (b"put again", b"new")


def test_what_others_refer_to_stays_for_a_time(blobs: BlobDirectory, clock: Clock) -> None:
    letters = Lasting(blobs, 7 * DAY)
    once, both, twice = letters.put(b"once"), letters.put(b"both"), letters.put(b"twice")
    assert put(blobs, b"both") == both
    clock.now += 2 * DAY
    assert letters.put(b"twice") == twice

    assert blobs.collect((), now=NOW + 7 * DAY) == 0
    assert blobs.collect((), now=NOW + 7 * DAY + GRACE_SECONDS) == 8
    assert [blobs.get(address or "") for address in (once, both, twice)] == [None, None, b"twice"]
    assert letters.collect((), now=NOW + 9 * DAY + GRACE_SECONDS) == 5


def test_what_is_put_while_it_is_collected_is_there_or_put_anew(
    blobs: BlobDirectory, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody puts it at the last moment: between the look whether it was put lately and its removal."""
    address, unlink = put(blobs, b"loose"), Path.unlink
    clock.now = LATER
    with ThreadPoolExecutor(1) as pool, closing(BlobDirectory(tmp_path, cap_bytes=1_000, clock=clock)) as other:

        def late(path: Path, missing_ok: bool = False) -> None:
            putting.append(pool.submit(other.put, b"loose"))
            wait(putting, timeout=0.2)  # it must not be done before the file is gone
            unlink(path, missing_ok=missing_ok)

        putting: list[Future[str | None]] = []
        with monkeypatch.context() as patched:
            patched.setattr(Path, "unlink", late)
            collected(blobs)
        assert [done.result() for done in putting] == [address]
    assert blobs.get(address) == b"loose"
    assert blobs.stored_bytes == 5


def test_the_oldest_goes_first(blobs: BlobDirectory, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    contents = [b"%d" % number for number in range(20)]
    for content in contents:
        clock.now += 1
        put(blobs, content)
    gone, unlink = list[bytes](), Path.unlink

    def noted(path: Path, missing_ok: bool = False) -> None:
        gone.append(path.read_bytes())
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", noted)
    collected(blobs)
    assert gone == contents


def test_collecting_sets_the_account_right_and_takes_drafts_of_a_crash(blobs: BlobDirectory, tmp_path: Path) -> None:
    kept = put(blobs, b"kept")
    draft = place(tmp_path, kept).with_name(".draft-of-a-crash")
    draft.write_bytes(b"half")
    os.utime(draft, (NOW, NOW))
    (tmp_path / "bytes").write_bytes(b"%020d" % 999)
    assert collected(blobs, kept) == 4
    assert blobs.stored_bytes == 4
    assert not draft.exists()


def fill(folder: Path, begins: int) -> None:
    with closing(BlobDirectory(folder, cap_bytes=500)) as blobs:
        for number in range(begins, begins + 100):
            blobs.put(b"%05d" % number)


@pytest.mark.long
def test_several_processes_share_the_cap(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=fill, args=(tmp_path, begins)) for begins in (0, 1_000)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    with closing(BlobDirectory(tmp_path, cap_bytes=500)) as blobs:
        assert blobs.stored_bytes == 500
        assert sum(len(file.read_bytes()) for file in tmp_path.glob("??/*")) == 500
