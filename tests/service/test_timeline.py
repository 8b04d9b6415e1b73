"""The timeline follows from the log alone: however it is decided, and wherever that stops."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from service.adapters.sqlite import SqliteStore
from service.controller import Controller
from service.observe import Silent
from service.records import LEVELS, WHOLE, Passage

if TYPE_CHECKING:
    from tests.service.conftest import World


def decided(world: World, *, cuts: Sequence[int], restart: bool) -> list[Sequence[Passage]]:
    """All levels after the same log, decided in steps that begin at these samples."""
    with closing(SqliteStore(":memory:")) as store:
        log, rows = world.log(store), world.drifted(640, 5)
        deciding = Controller(world.settings, world.reference, store, Silent())
        for start, end in zip([0, *cuts], [*cuts, len(rows)], strict=True):
            log.add(rows[start:end])
            if restart:
                deciding = Controller(world.settings, world.reference, store, Silent())
            while deciding.step(now=5_000.0):
                pass
        return [store.timeline("chat", WHOLE, seconds) for seconds, _ in LEVELS]


@pytest.fixture(scope="module")
def at_once(world: World) -> list[Sequence[Passage]]:
    return decided(world, cuts=[], restart=False)


def test_every_level_counts_every_sample(world: World, at_once: list[Sequence[Passage]]) -> None:
    assert [sum(passage.samples for passage in level) for level in at_once] == [640] * 4
    assert [len(level) for level in at_once] == [40, 12, 2, 1]  # log time goes from 1,000 s to 1,640 s
    strongest = max(passage.evidence for passage in at_once[1])
    assert at_once[3][0].evidence == strongest > at_once[3][0].threshold


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("step", [16, 208])
def test_batches_and_restarts_change_nothing(world: World, at_once: list[Sequence[Passage]], step: int, restart: bool) -> None:
    assert decided(world, cuts=range(step, 640, step), restart=restart) == at_once
