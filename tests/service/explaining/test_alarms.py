"""What an alarm is explained by: the kept samples of its window, and what was lost meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np
import pytest

from service.adapters.sqlite import SqliteStore
from service.controller import Controller
from service.observe import Silent
from service.records import WHOLE, Alarm

if TYPE_CHECKING:
    from tests.service.conftest import World


@pytest.fixture
def store() -> Iterator[SqliteStore]:
    with closing(SqliteStore(":memory:")) as store:
        yield store


def explained(store: SqliteStore, world: World, *, before: int, since: int) -> Alarm:
    """A drift of a tenth of the traffic being lost to a topic, with so many losses a pane before it and since."""
    log = world.log(store)
    log.add(world.ordinary(640, 1), losses={"type": before})
    kept = world.ordinary(1_600, 2)
    nearest = ((kept[:, None] - world.topics[None, :12]) ** 2).sum(2).argmin(1)
    log.add(np.resize(kept[nearest > 1], (1_280, kept.shape[1])), losses={"type": since})
    controller = Controller(world.settings, world.reference, store, Silent())
    while controller.step(now=5_000.0):
        pass
    return next(alarm for alarm in store.find(Alarm) if alarm.segment == WHOLE)


def test_a_loss_that_explains_the_drift_is_named(store: SqliteStore, world: World) -> None:
    alarm = explained(store, world, before=0, since=3)
    assert alarm.kind == "feed: input lost"
    (finding,) = [finding for finding in alarm.findings if finding.what == "lost samples"]
    assert finding.share == pytest.approx(3 / 19, abs=0.03)
    assert finding.expected == 0
    assert "`type`" in finding.advice


def test_what_was_always_lost_explains_nothing(store: SqliteStore, world: World) -> None:
    alarm = explained(store, world, before=3, since=3)
    assert alarm.kind == "changed mix"
    assert [finding.what for finding in alarm.findings] == []
