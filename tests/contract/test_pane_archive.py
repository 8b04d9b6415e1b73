"""Decided panes beyond the store: one suite over a directory and over object storage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count, pairwise
from pathlib import Path
from typing import TypeAlias

import pytest

from service.adapters.object_storage import Objects, PaneObjects
from service.adapters.pane_segments import PaneSegments
from service.errors import ArtefactError
from service.ports import Archive, Stretch
from tests.contract.test_folders import settings_for

SIZE = 100
_PREFIXES = count()

Open: TypeAlias = Callable[..., Archive]
"""Each call is another process; by keyword the retention."""


@pytest.fixture(params=["directory", pytest.param("s3", marks=pytest.mark.server("versitygw"))])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    def on_disk(retain_bytes: int = 10**9, retain_seconds: float = 1e9) -> Archive:
        return PaneSegments(tmp_path / "state", retain_bytes=retain_bytes, retain_seconds=retain_seconds)

    if request.param == "directory":
        return on_disk
    settings = settings_for(request.getfixturevalue("s3_server"), tmp_path, f"panes-{next(_PREFIXES)}")

    def in_bucket(retain_bytes: int = 10**9, retain_seconds: float = 1e9) -> Archive:
        objects = Objects(settings.storage)  # type: ignore[arg-type]  # of type s3, as declared
        return PaneObjects(objects, "state", retain_bytes=retain_bytes, retain_seconds=retain_seconds)

    return in_bucket


def append(archive: Archive, *bounds: int) -> None:
    """Every fifth number is an event's."""
    for after, until in pairwise(bounds):
        panes = [(number, b"%d:" % number + bytes(SIZE)) for number in range(after + 1, until + 1) if number % 5]
        archive.append(Stretch("chat", after, until, 10.0 * until, SIZE * len(panes), panes), b"checkpoint %d" % until)


def numbers(panes: Sequence[tuple[int, bytes]]) -> list[int]:
    assert all(body == b"%d:" % number + bytes(SIZE) for number, body in panes)
    return [number for number, _ in panes]


def between(after: int, until: int) -> list[int]:
    return [number for number in range(after + 1, until + 1) if number % 5]


def test_nothing_is_there_at_first(opened: Open) -> None:
    assert opened().start("chat", 1) is None
    assert list(opened().read("chat", 0, 0, 10)) == []


def test_what_was_appended_is_read_in_order_by_anybody(opened: Open) -> None:
    append(opened(), 0, 7, 12, 30)
    reader = opened()
    assert numbers(reader.read("chat", 0, 30, 100)) == between(0, 30)
    assert numbers(reader.read("chat", 8, 29, 100)) == between(8, 29)
    assert numbers(reader.read("chat", 8, 29, 3)) == between(8, 29)[:3]
    assert reader.start("chat", 30) == (0, None)


def test_what_a_writer_repeats_is_read_once(opened: Open) -> None:
    one, other = opened(), opened()
    append(one, 0, 7, 12)
    append(other, 0, 7)
    append(other, 7, 15)
    assert numbers(opened().read("chat", 0, 15, 100)) == between(0, 15)


def test_missing_panes_are_told(opened: Open) -> None:
    append(opened(), 0, 7)
    with pytest.raises(ArtefactError, match="missing"):
        opened().read("chat", 0, 12, 100)


@pytest.mark.parametrize("kept", [{"retain_bytes": 20 * SIZE}, {"retain_seconds": 200.0}])
def test_the_retention_leaves_a_log_that_a_replay_can_start_in(opened: Open, kept: dict[str, float]) -> None:
    archive = opened(**kept)
    append(archive, *range(0, 201, 5))
    begins = archive.start("chat", 200)
    assert begins is not None
    after, checkpoint = begins
    assert 0 < after < 200
    assert checkpoint == b"checkpoint %d" % after
    assert numbers(archive.read("chat", after, 200, 1_000)) == between(after, 200)
    assert min(numbers(archive.read("chat", 0, 200, 1_000))) > 1


def test_monitors_are_apart(opened: Open) -> None:
    append(opened(), 0, 7)
    assert opened().start("other", 1) is None
