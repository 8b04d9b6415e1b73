"""Decided panes beyond the hot store."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.adapters.pane_segments import PaneSegments, _blocks
from service.errors import ArtefactError
from service.ports import Archive, Stretch

FOR_EVER = 1e15
SIZE = 100


def stretch(after: int, until: int, *, time: float | None = None) -> Stretch:
    """Every fifth number is an event's."""
    panes = [(number, b"%d:" % number + bytes(SIZE)) for number in range(after + 1, until + 1) if number % 5]
    return Stretch("chat", after, until, 10.0 * until if time is None else time, SIZE * len(panes), panes)


def checkpoint(at: int) -> bytes:
    return b"checkpoint %d" % at


def opened(path: Path, *, retain_bytes: int = 10**9, retain_seconds: float = FOR_EVER) -> PaneSegments:
    return PaneSegments(path, retain_bytes=retain_bytes, retain_seconds=retain_seconds)


def append(segments: Archive, *bounds: int) -> None:
    for after, until in pairwise(bounds):
        segments.append(stretch(after, until), checkpoint(until))


def numbers(panes: Sequence[tuple[int, bytes]]) -> list[int]:
    for number, body in panes:
        assert body == b"%d:" % number + bytes(SIZE)
    return [number for number, _ in panes]


def panes_between(after: int, until: int) -> list[int]:
    return [number for number in range(after + 1, until + 1) if number % 5]


def files(path: Path) -> list[Path]:
    return sorted((path / "chat").iterdir())


def test_nothing_is_there_at_first(tmp_path: Path) -> None:
    assert opened(tmp_path).start("chat", 0) is None
    assert opened(tmp_path).read("chat", 0, 0, 10) == []


def test_what_was_appended_is_read_in_order_by_anybody(tmp_path: Path) -> None:
    append(opened(tmp_path), 0, 7, 12, 30)
    reader = opened(tmp_path)
    assert numbers(reader.read("chat", 0, 30, 100)) == panes_between(0, 30)
    assert numbers(reader.read("chat", 8, 29, 100)) == panes_between(8, 29)
    assert numbers(reader.read("chat", 8, 29, 3)) == panes_between(8, 29)[:3]
    assert reader.start("chat", 30) == (0, None)
    assert len(files(tmp_path)) == 1


def test_a_stretch_of_events_alone_leaves_no_gap(tmp_path: Path) -> None:
    segments = opened(tmp_path)
    append(segments, 0, 4)
    segments.append(Stretch("chat", 4, 5, 40.0, 0, []), checkpoint(5))
    append(segments, 5, 9)
    assert numbers(segments.read("chat", 0, 9, 100)) == panes_between(0, 9)


def test_it_begins_at_a_checkpoint_once_panes_have_gone(tmp_path: Path) -> None:
    segments = opened(tmp_path, retain_bytes=10 * SIZE)
    append(segments, *range(0, 101, 2))
    begins = segments.start("chat", 100)
    assert begins is not None
    assert begins == (begins[0], checkpoint(begins[0]))
    assert 6 <= len(panes_between(begins[0], 100)) <= 10
    assert numbers(segments.read("chat", 0, 100, 1_000)) == panes_between(begins[0], 100)
    assert len(files(tmp_path)) <= 10


def test_days_count_by_the_time_of_the_log(tmp_path: Path) -> None:
    segments = opened(tmp_path, retain_seconds=100.0)
    append(segments, *range(101))
    begins = segments.start("chat", 100)
    assert begins is not None
    assert 85 <= begins[0] <= 90
    assert begins[1] == checkpoint(begins[0])


def test_nothing_is_kept_where_nothing_may_be(tmp_path: Path) -> None:
    segments = opened(tmp_path, retain_bytes=0)
    append(segments, 0, 3, 9)
    assert segments.start("chat", 9) == (9, checkpoint(9))
    assert segments.read("chat", 0, 9, 10) == []


def test_a_file_that_another_writer_holds_is_left_alone(tmp_path: Path) -> None:
    append(opened(tmp_path), 0, 7)
    (held,) = files(tmp_path)
    size = held.stat().st_size
    with held.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        append(opened(tmp_path), 7, 20)
    assert held.stat().st_size == size
    assert numbers(opened(tmp_path).read("chat", 0, 20, 100)) == panes_between(0, 20)


def test_a_writer_that_was_fenced_off_does_no_harm(tmp_path: Path) -> None:
    """It wakes up long after, when what it was about to append has come and gone."""
    first, second = opened(tmp_path, retain_bytes=20 * SIZE), opened(tmp_path, retain_bytes=20 * SIZE)
    append(first, 0, 5)
    append(second, *range(5, 201, 5))
    before = second.start("chat", 200)
    append(first, 5, 10)
    assert second.start("chat", 200) == before
    append(second, 200, 210)
    begins = second.start("chat", 210)
    assert begins is not None
    assert numbers(second.read("chat", 0, 210, 1_000)) == panes_between(begins[0], 210)


def test_what_a_store_wrote_after_it_lost_its_last_second_counts(tmp_path: Path) -> None:
    append(opened(tmp_path), 0, 10, 20)
    other = replace(stretch(10, 20), panes=[(11, b"another")])
    opened(tmp_path).append(other, b"another")
    assert opened(tmp_path).read("chat", 9, 20, 100) == [(11, b"another")]


def test_a_full_disk_changes_nothing_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    for bounds in ((0, 7), (7, 12)):
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            with pytest.raises(ArtefactError, match="free space"):
                append(opened(tmp_path), *bounds)
        append(opened(tmp_path), *bounds)
    assert len(files(tmp_path)) == 1
    assert numbers(opened(tmp_path).read("chat", 0, 12, 100)) == panes_between(0, 12)


def test_damage_is_told_with_the_file(tmp_path: Path) -> None:
    append(opened(tmp_path), 0, 7, 12)
    (file,) = files(tmp_path)
    content = bytearray(file.read_bytes())
    content[content.index(b"3:\0")] ^= 1
    file.write_bytes(content)
    with pytest.raises(ArtefactError, match=r"000000000001\.panes: damaged at byte"):
        opened(tmp_path).read("chat", 0, 12, 100)


def test_panes_that_are_missing_are_told_of(tmp_path: Path) -> None:
    """The log then begins at the first checkpoint after them."""
    append(opened(tmp_path, retain_bytes=40 * SIZE), *range(0, 30, 3))
    first, *_ = files(tmp_path)
    first.unlink()
    begins = opened(tmp_path).start("chat", 27)
    assert begins is not None
    assert begins == (begins[0], checkpoint(begins[0]))
    for file in files(tmp_path):
        file.unlink()
    with pytest.raises(ArtefactError, match="after number 0 are missing"):
        opened(tmp_path).read("chat", 0, 27, 100)
    assert opened(tmp_path).start("chat", 27) is None


def test_another_format_is_refused(tmp_path: Path) -> None:
    append(opened(tmp_path), 0, 7)
    (file,) = files(tmp_path)
    file.write_bytes(file.read_bytes().replace(b"panes 1", b"panes 2"))
    with pytest.raises(ArtefactError, match="another version"):
        opened(tmp_path).read("chat", 0, 7, 100)


def test_readers_find_no_gap_while_it_grows_and_is_shortened(tmp_path: Path) -> None:
    archived, done, pages = [0], threading.Event(), list[tuple[int, list[int]]]()

    def read() -> None:
        reader = opened(tmp_path)
        while not done.is_set():
            until = archived[0]
            pages.append((until, numbers(reader.read("chat", 0, until, 1_000))))

    thread = threading.Thread(target=read)
    thread.start()
    writer = opened(tmp_path, retain_bytes=30 * SIZE)
    for until in range(2, 402, 2):
        append(writer, until - 2, until)
        archived[0] = until
    done.set()
    thread.join()
    assert pages
    for until, found in pages:
        assert found == panes_between(found[0] - 1 if found else until, until)


def test_what_is_appended_while_a_file_is_looked_at_is_found_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer, reader = opened(tmp_path), opened(tmp_path)
    append(writer, 0, 4)

    def late(file: BinaryIO) -> Iterator[Any]:
        yield from _blocks(file)
        monkeypatch.undo()
        append(writer, 4, 8)

    monkeypatch.setattr("service.adapters.pane_segments._blocks", late)
    assert numbers(reader.read("chat", 0, 4, 100)) == panes_between(0, 4)
    assert numbers(reader.read("chat", 0, 8, 100)) == panes_between(0, 8)


@dataclass
class World:
    """What the store believes: archived up to here."""

    path: Path
    archived: int = 0

    def append(self, writer: int, length: int) -> None:
        append(self.writers[writer], self.archived, self.archived + length)
        self.archived += length

    def repeat(self, writer: int, length: int) -> None:
        """A writer that was stopped after it read what was archived goes on."""
        append(self.writers[writer], max(self.archived - length, 0), self.archived)

    def tear(self, writer: int, length: int) -> None:
        """Killed while it appends: some bytes have reached the disk."""
        before = {file: file.stat().st_size for file in files(self.path)} if self.archived else {}
        append(self.writers[writer], self.archived, self.archived + 3)
        for file in files(self.path):
            whole, size = before.get(file, 0), file.stat().st_size
            if size > whole:
                os.truncate(file, whole + (size - whole) * length // 100)
        self.writers[writer] = opened(self.path, retain_bytes=25 * SIZE)

    def __post_init__(self) -> None:
        self.writers = [opened(self.path, retain_bytes=25 * SIZE) for _ in range(2)]


STEPS = st.lists(st.tuples(st.sampled_from(["append", "append", "repeat", "tear"]), st.integers(0, 1), st.integers(1, 12)), max_size=30)


@given(steps=STEPS, after=st.integers(0, 60), limit=st.integers(1, 50))
@settings(max_examples=60)
def test_whatever_writers_do_and_whenever_they_die(steps: list[tuple[str, int, int]], after: int, limit: int) -> None:
    with TemporaryDirectory() as folder:
        world = World(Path(folder))
        for kind, writer, length in steps:
            getattr(world, kind)(writer, length * 8 if kind == "tear" else length)
            reader = opened(Path(folder))
            begins = reader.start("chat", world.archived)
            since = begins[0] if begins else 0
            assert numbers(reader.read("chat", 0, world.archived, 1_000)) == panes_between(since, world.archived)
            page = numbers(reader.read("chat", after, world.archived, limit))
            assert page == panes_between(max(after, since), world.archived)[:limit]
            if since:
                assert begins == (since, checkpoint(since))
