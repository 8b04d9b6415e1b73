"""Backfills: what is planned, what is left out, and how they are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

from service import backfill
from service.adapters.memory import ListSource
from service.adapters.sqlite import SqliteStore
from service.backfill import Backfills, cut, held, plan
from service.errors import ArtefactError, ConflictError, NotFoundError
from service.observe import Silent
from service.records import Backfill, BackfillState, Partition, Record, Sample, Stretch
from service.watched import WatchedMonitor
from service.worker import Worker

MakeMonitor = Callable[..., WatchedMonitor]

FIRST, SECOND = Partition("chats", "t1", 0), Partition("chats", "t1", 1)
STRETCHES = (Stretch(FIRST, 100, 200), Stretch(SECOND, 0, 50))


def made(*, monitor: str = "chat", version: int = 1, since: float = 0.0, now: float = 5.0) -> Backfill:
    return plan(monitor, "topic chats", STRETCHES, made_by=(version, 3), now=now, since=since, until=100.0)


@pytest.mark.parametrize(("start", "end"), [(0, 100), (100, 100), (150, 150), (200, 200), (900, 200)])
def test_what_the_live_state_holds_is_left_out(start: int, end: int) -> None:
    first, second = cut(STRETCHES, {FIRST: start})
    assert (first.first, first.end, first.left_out) == (100, end, 200 - end)
    assert second == STRETCHES[1]


@pytest.fixture
def store() -> Iterator[SqliteStore]:
    with closing(SqliteStore(":memory:")) as store:
        yield store


def live(store: SqliteStore, monitor: WatchedMonitor, partition: Partition, offsets: range) -> None:
    """Reads the partition on, as a worker does."""
    rows = [Record(partition, n, 1_000.0 + n, (Sample("chat", f"{partition.number}/{n}", 0.0, np.ones(6, np.float32)),)) for n in offsets]
    source = ListSource(rows, partitions=[partition])
    intake = Worker(source, store, {"chat": monitor}, Silent())
    store.assign(partition, start=offsets.start)
    intake.step(0.0)


def test_the_live_log_holds_a_partition_from_its_first_pane_on(store: SqliteStore, make_monitor: MakeMonitor) -> None:
    live(store, make_monitor(version=None), FIRST, range(20, 50))
    assert held(store, make_monitor()) == {FIRST: 50}, "without a reference there were no panes"
    live(store, make_monitor(), FIRST, range(50, 70))
    live(store, make_monitor(), SECOND, range(7, 10))
    assert held(store, make_monitor()) == {FIRST: 50, SECOND: 7}, "open panes count"


def test_where_it_can_not_be_told_the_live_log_holds_all_that_was_read(store: SqliteStore, make_monitor: MakeMonitor) -> None:
    live(store, make_monitor(version=None), FIRST, range(20, 50))
    live(store, make_monitor(), FIRST, range(50, 70))
    assert held(store, make_monitor(kserve={})) == {FIRST: 20}, "requests may wait that were read before the first pane"
    with mock.patch.object(backfill, "_LOOKED_THROUGH", 1):
        assert held(store, make_monitor()) == {FIRST: 20}
    with mock.patch.object(store, "log_start", return_value=(3, None)):
        assert held(store, make_monitor()) == {FIRST: 20}


def test_its_id_follows_from_what_is_read_and_how() -> None:
    one = made()
    assert (one.id, one.planned, one.left_out) == (made(now=9.0).id, 150, 0)
    assert len({one.id, made(monitor="other").id, made(version=2).id, made(since=1.0).id}) == 4


def test_they_are_kept_and_found(tmp_path: Path) -> None:
    kept = Backfills(tmp_path)
    assert kept.of("chat", now=9.0) == []
    with kept.taken_up(made()) as backfill:
        assert backfill == made()
        kept.save(replace(backfill, read=70, alarms=({"id": "a", "effect": {"low": 0.1}},), dead_letters={"json": 1}))
    with kept.taken_up(made(now=7.0)) as again:
        assert (again.created, again.read, again.alarms) == (5.0, 70, ({"id": "a", "effect": {"low": 0.1}},))
    newer = made(since=1.0, now=6.0)
    with kept.taken_up(newer):
        kept.save(newer)
    assert [found.created for found in kept.of("chat", now=9.0)] == [6.0, 5.0]
    assert kept.of("other", now=9.0) == []
    assert kept.get(newer.id[:8], now=9.0) == newer


def test_one_that_fell_silent_counts_as_interrupted(tmp_path: Path) -> None:
    running = made()
    assert running.seen(now=100.0).state is BackfillState.RUNNING
    assert running.seen(now=200.0).state is BackfillState.INTERRUPTED
    assert replace(running, state=BackfillState.DONE).seen(now=200.0).state is BackfillState.DONE


def test_two_can_not_carry_out_the_same(tmp_path: Path) -> None:
    kept = Backfills(tmp_path)
    with kept.taken_up(made()), pytest.raises(ConflictError, match="another process"), kept.taken_up(made(now=8.0)):
        pass
    with kept.taken_up(made()), kept.taken_up(made(monitor="other")):
        pass


def test_what_is_not_there_or_damaged_is_said(tmp_path: Path) -> None:
    kept = Backfills(tmp_path)
    for unknown in ("b1", "", "../b1"):
        with pytest.raises(NotFoundError, match="no backfill"):
            kept.get(unknown, now=0.0)
    (tmp_path / "backfills").mkdir()
    for name in ("ab1", "ab2"):
        (tmp_path / "backfills" / f"{name}.json").write_text("{")
    with pytest.raises(NotFoundError, match="2 begin so"):
        kept.get("ab", now=0.0)
    with pytest.raises(ArtefactError, match=r"ab1\.json: not a backfill"):
        kept.get("ab1", now=0.0)
