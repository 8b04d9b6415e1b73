"""Backfills: what is planned, what is left out, and how they are kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from service.backfill import Backfills, cut, plan
from service.errors import ArtefactError, ConflictError, NotFoundError
from service.records import Backfill, BackfillState, Partition, Position, Stretch

FIRST, SECOND = Partition("chats", "t1", 0), Partition("chats", "t1", 1)
STRETCHES = (Stretch(FIRST, 100, 200), Stretch(SECOND, 0, 50))


def position(partition: Partition, start: int, **changes: Any) -> Position:
    return replace(Position(partition, start, offset=start + 10, epoch=1, time=0.0), **changes)


def made(*, monitor: str = "chat", version: int = 1, since: float = 0.0, now: float = 5.0) -> Backfill:
    return plan(monitor, "topic chats", STRETCHES, made_by=(version, 3), now=now, since=since, until=100.0)


@pytest.mark.parametrize(("start", "end"), [(0, 100), (100, 100), (150, 150), (200, 200), (900, 200)])
def test_what_the_live_state_holds_is_left_out(start: int, end: int) -> None:
    first, second = cut(STRETCHES, [position(FIRST, start)], "chat")
    assert (first.first, first.end, first.left_out) == (100, end, 200 - end)
    assert second == STRETCHES[1]


def test_only_of_the_monitors_own_partitions() -> None:
    others = position(FIRST, 0, shapes={"other": (1, 0)})
    deleted = position(Partition("chats", "t0", 0), 0)
    assert cut(STRETCHES, [others, deleted], "chat") == STRETCHES
    mine = position(FIRST, 0, shapes={"other": (1, 0), "chat": (2, 70)})
    assert cut(STRETCHES, [mine], "chat")[0].left_out == 100


def test_its_id_follows_from_what_is_read_and_how() -> None:
    one = made()
    assert (one.id, one.planned, one.left_out) == (made(now=9.0).id, 150, 0)
    assert len({one.id, made(monitor="other").id, made(version=2).id, made(since=1.0).id}) == 4


def test_they_are_kept_and_found(tmp_path: Path) -> None:
    kept = Backfills(tmp_path)
    assert kept.of("chat", now=9.0) == []
    with kept.held(made()) as backfill:
        assert backfill == made()
        kept.save(replace(backfill, read=70, alarms=({"id": "a", "effect": {"low": 0.1}},), dead_letters={"json": 1}))
    with kept.held(made(now=7.0)) as again:
        assert (again.created, again.read, again.alarms) == (5.0, 70, ({"id": "a", "effect": {"low": 0.1}},))
    newer = made(since=1.0, now=6.0)
    with kept.held(newer):
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
    with kept.held(made()), pytest.raises(ConflictError, match="another process"), kept.held(made(now=8.0)):
        pass
    with kept.held(made()), kept.held(made(monitor="other")):
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
