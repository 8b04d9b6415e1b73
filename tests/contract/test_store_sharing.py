"""What a Store promises to several processes on it: where each partition stands, what shapes it, who may decide, what is owed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from detectors import Summary
from service.errors import ConflictError, NotFoundError
from service.ports import Store
from service.records import (
    Alarm,
    Commit,
    DeadLetter,
    Decision,
    Declaration,
    DeclarationState,
    Fence,
    Original,
    Pane,
    Partition,
    Position,
    Sample,
    Step,
    Waiting,
)
from tests.contract.stored import PARTITION, Opener, alarm, assert_same_pane, event, item, letter, pane, pooled, step

OTHER = replace(PARTITION, number=1)
RECREATED = replace(PARTITION, topic_id="topic-2")
LONG = 1_000.0
SHORT = 0.2
PATIENCE = 30.0


@pytest.fixture
def store(open_store: Opener) -> Store:
    return open_store()


def position(store: Store, partition: Partition) -> Position:
    (found,) = [position for position in store.positions() if position.partition == partition]
    return found


def eventually(attempt: Callable[[], int | None]) -> int:
    """What `attempt` returns once it returns something: leases run by the store's clock."""
    ends = time.monotonic() + PATIENCE
    while time.monotonic() < ends:
        if (found := attempt()) is not None:
            return found
        time.sleep(SHORT / 10)
    raise AssertionError("it never came")


# --- positions


def test_a_partition_never_seen_begins_where_it_is_told(store: Store) -> None:
    assert store.assign(PARTITION, start=40).offset == 40
    assert store.assign(PARTITION, start=7).offset == 40
    assert store.positions() == [Position(PARTITION, start=40, offset=40, epoch=2, time=0.0)]


def test_positions_tell_of_every_partition_in_order(store: Store) -> None:
    assert store.positions() == []
    partitions = [Partition("a", "2"), Partition("a", "10"), Partition("b", "1", 10), Partition("b", "1", 2)]
    for number, partition in enumerate(partitions):
        store.commit(replace(step(store.assign(partition, start=number), 8), shapes={"chat": 3, "search": 1}, lost=number))

    found = store.positions()

    assert [position.partition for position in found] == [partitions[1], partitions[0], partitions[3], partitions[2]]
    assert found[1] == Position(partitions[0], 0, 8, 1, 8.0, shapes={"chat": (3, 0), "search": (1, 0)})
    assert found[3] == Position(partitions[2], 2, 10, 1, 10.0, lost=2, shapes={"chat": (3, 2), "search": (1, 2)})


def test_siblings_are_of_one_topic_and_number(store: Store) -> None:
    assert store.siblings(PARTITION) == []
    like = Partition(f"{PARTITION.topic}/x", PARTITION.topic_id)
    for partition in (RECREATED, OTHER, like, PARTITION):
        store.commit(replace(step(store.assign(partition)), shapes={"chat": 2}))

    assert store.siblings(PARTITION) == [found for found in store.positions() if found.partition in (PARTITION, RECREATED)]
    assert [found.partition for found in store.siblings(replace(PARTITION, topic_id="topic-3"))] == [PARTITION, RECREATED]
    assert [found.partition for found in store.siblings(like)] == [like]


def test_epochs_are_told_of_what_was_assigned(store: Store) -> None:
    assert store.epochs([PARTITION]) == {}
    store.assign(PARTITION)
    store.assign(OTHER)
    store.assign(OTHER)

    assert store.epochs([RECREATED, OTHER, PARTITION]) == {OTHER: 2, PARTITION: 1}
    assert store.epochs([OTHER]) == {OTHER: 2}
    assert store.epochs([]) == {}


def test_lost_offsets_add_up(store: Store) -> None:
    held = store.assign(PARTITION)
    store.commit(step(held, 10, lost=4))
    store.commit(step(held, 0, at=10))
    store.commit(step(held, 10, at=10, lost=10))

    assert (position(store, PARTITION).lost, position(store, PARTITION).offset) == (14, 20)


# --- shapes


def test_a_shape_counts_from_the_commit_that_brings_it(store: Store) -> None:
    held = store.assign(PARTITION)
    assert held.shapes == {}
    store.commit(step(held, shapes={"chat": 1}))
    store.commit(step(held, at=8, shapes={"chat": 1, "search": 4}))
    store.commit(step(held, at=16))
    store.commit(step(held, at=24, shapes={"chat": 3}))

    assert position(store, PARTITION).shapes == {"chat": (3, 24), "search": (4, 8)}
    assert store.assign(PARTITION).shapes == {"chat": 3, "search": 4}
    assert store.assign(OTHER).shapes == {}


def test_whoever_knows_older_settings_cannot_go_on(store: Store) -> None:
    held = store.assign(PARTITION)
    store.commit(step(held, shapes={"chat": 2, "search": 1}))

    with pytest.raises(ConflictError, match="chat"):
        store.commit(step(held, at=8, shapes={"chat": 1, "search": 5}, closed=(pane(8),), counts={"chat": 8}))

    assert position(store, PARTITION).shapes == {"chat": (2, 0), "search": (1, 0)}
    assert position(store, PARTITION).offset == 8
    assert store.entries("chat", 0, 10) == []
    other = store.assign(OTHER)
    store.commit(step(other, shapes={"chat": 1}))
    store.commit(step(held, at=8, shapes={"chat": 2}))


# --- halts


def test_a_halted_partition_is_not_read_on(store: Store) -> None:
    held, free = store.assign(PARTITION), store.assign(OTHER)
    store.commit(step(held, touched=(pane(0, count=3),)))

    store.halt(PARTITION, held.epoch, "offset 8 lies beyond the log's end")

    assert position(store, PARTITION).stopped == "offset 8 lies beyond the log's end"
    for holder in (held, store.assign(PARTITION)):
        with pytest.raises(ConflictError):
            store.commit(step(holder, at=8))
    again = store.assign(PARTITION)
    assert (again.stopped, again.offset, len(again.open_panes)) == ("offset 8 lies beyond the log's end", 8, 1)
    with pytest.raises(ConflictError, match="beyond the log's end"):
        store.commit(step(again))
    assert store.assign(OTHER).stopped == ""
    store.commit(replace(step(free), epoch=free.epoch + 1))


def test_only_the_holder_can_halt(store: Store) -> None:
    zombie = store.assign(PARTITION)
    held = store.assign(PARTITION)

    for partition, epoch in [(PARTITION, zombie.epoch), (PARTITION, held.epoch + 1), (OTHER, 1), (OTHER, 0)]:
        with pytest.raises(ConflictError):
            store.halt(partition, epoch, "no")

    assert position(store, PARTITION).stopped == ""
    store.commit(step(held))


# --- resets


def test_a_reset_lets_go_of_the_reading_before_and_loses_nothing_that_was_counted(store: Store) -> None:
    held, other = store.assign(PARTITION), store.assign(OTHER)
    mine = [pane(8, count=3), replace(pane(8, monitor="search", count=2), losses={"not_json": 2})]
    kept = pane(0, count=5, partition=OTHER)
    waiting = Waiting("ev", 0, Sample("chat", "ev/0", 3.0, "x"), np.zeros(2, np.float32), "f1", 63.0)
    ids = np.arange(5, dtype=np.uint64)
    counts = {"chat": 11, "search": 2}
    first = step(held, 13, closed=(pane(0),), touched=tuple(mine), pooled=(pooled(1),), counts=counts, shapes={"chat": 2})
    store.commit(replace(first, waiting=(waiting,), recent_ids=ids))
    store.commit(step(other, touched=(kept,), recent_ids=ids))
    store.halt(PARTITION, held.epoch, "beyond the end")

    store.reset(PARTITION, 500, [event("r1"), event("r2", monitor="search")])

    assert position(store, PARTITION) == Position(PARTITION, 0, 500, held.epoch + 1, 13.0, shapes={"chat": (2, 0)})
    with pytest.raises(ConflictError):
        store.commit(step(held, at=500))
    chat, search = store.entries("chat", 0, 10), store.entries("search", 0, 10)
    assert_same_pane(chat[1], mine[0], sequence=2)
    assert_same_pane(search[0], mine[1], sequence=1)
    assert chat[2] == replace(event("r1"), sequence=3)
    assert search[1] == replace(event("r2", monitor="search"), sequence=2)
    again = store.assign(PARTITION, start=3)
    assert (again.offset, again.stopped, again.open_panes, again.waiting, again.recent_ids.size) == (500, "", (), (), 0)
    assert again.shapes == {"chat": 2}
    store.commit(step(again, recent_ids=ids[:2]))
    assert store.assign(PARTITION).recent_ids.tolist() == [0, 1]
    assert (store.samples_taken("chat"), len(store.pool("chat"))) == (11, 1)
    untouched = store.assign(OTHER)
    assert (untouched.offset, len(untouched.open_panes), untouched.recent_ids.size) == (8, 1, 5)


def test_a_reset_can_go_back(store: Store) -> None:
    held = store.assign(PARTITION, start=100)
    store.commit(step(held, shapes={"chat": 1}))
    store.commit(step(held, at=108, shapes={"search": 1}, lost=3))

    store.reset(PARTITION, 105)
    assert position(store, PARTITION).shapes == {"chat": (1, 100), "search": (1, 105)}
    assert (position(store, PARTITION).start, position(store, PARTITION).lost) == (100, 3)
    store.reset(PARTITION, 20)
    assert position(store, PARTITION).shapes == {"chat": (1, 20), "search": (1, 20)}
    assert (position(store, PARTITION).start, position(store, PARTITION).offset) == (20, 20)
    store.commit(step(store.assign(PARTITION)))


def test_a_partition_need_not_have_been_seen_to_be_reset(store: Store) -> None:
    store.reset(PARTITION, 30, [event()])

    assert position(store, PARTITION).offset == 30
    assert position(store, PARTITION).start == 30
    held = store.assign(PARTITION, start=5)
    assert held.offset == 30
    store.commit(step(held))


def test_a_reset_repeated_records_its_event_once(store: Store) -> None:
    store.reset(PARTITION, 30, [event()])
    store.reset(PARTITION, 30, [event()])

    assert [entry.sequence for entry in store.entries("chat", 0, 10)] == [1]


def test_the_successor_of_a_deleted_topic_takes_its_place(store: Store) -> None:
    held, beside = store.assign(PARTITION), store.assign(OTHER)
    open_pane = pane(8, count=3)
    store.commit(step(held, 11, closed=(pane(0),), touched=(open_pane,), recent_ids=np.arange(3, dtype=np.uint64)))

    store.reset(RECREATED, 0, [event()])

    found = {position.partition: position for position in store.positions()}
    assert {partition: position.retired for partition, position in found.items()} == {PARTITION: True, OTHER: False, RECREATED: False}
    assert (found[PARTITION].offset, found[PARTITION].stopped) == (11, "")
    assert_same_pane(store.entries("chat", 1, 1)[0], open_pane, sequence=2)
    assert store.entries("chat", 2, 10) == [replace(event(), sequence=3)]
    with pytest.raises(ConflictError):
        store.commit(step(held, at=11))
    late = store.assign(PARTITION)
    assert late.stopped
    assert late.open_panes == ()
    with pytest.raises(ConflictError):
        store.commit(step(late))
    store.commit(step(beside))
    store.commit(step(store.assign(RECREATED)))


def test_a_retired_partition_can_be_taken_back(store: Store) -> None:
    store.commit(step(store.assign(PARTITION)))
    store.reset(RECREATED, 0)
    store.reset(PARTITION, 8)

    assert [(found.partition, found.retired) for found in store.positions()] == [(PARTITION, False), (RECREATED, True)]
    held = store.assign(PARTITION)
    assert held.stopped == ""
    store.commit(step(held))


# --- losses


def test_panes_keep_what_could_not_be_used(store: Store) -> None:
    held = store.assign(PARTITION)
    lossy = replace(pane(8, count=3), losses={"not_json": 2, "text": 1})
    nothing_else = replace(pane(16, count=0), last_offset=19, summary=Summary.empty(4, 1, 2), losses={"text": 4})
    store.commit(step(held, 20, closed=(pane(0), nothing_else), touched=(lossy,)))

    assert dict(store.open_panes("chat")[0].losses) == dict(store.assign(PARTITION).open_panes[0].losses) == {"not_json": 2, "text": 1}
    first, second = store.entries("chat", 0, 10)
    assert isinstance(first, Pane)
    assert isinstance(second, Pane)
    assert (dict(first.losses), dict(second.losses)) == ({}, {"text": 4})
    assert_same_pane(second, nothing_else, sequence=2)


# --- the right to decide


def test_a_lease_has_one_holder_at_a_time(store: Store) -> None:
    token = store.lease("decide", "one", LONG)
    assert token is not None
    assert store.lease("decide", "other", LONG) is None
    assert store.lease("decide", "one", LONG) == token
    assert store.lease("tidy", "other", LONG) is not None


def test_an_expired_lease_goes_to_the_next_under_a_higher_token(store: Store) -> None:
    first = store.lease("decide", "one", SHORT)
    assert first is not None
    second = eventually(lambda: store.lease("decide", "other", LONG))
    assert second > first
    assert store.lease("decide", "one", LONG) is None


def test_a_renewed_lease_lasts_longer(store: Store) -> None:
    token = store.lease("decide", "one", SHORT)
    assert store.lease("decide", "one", LONG) == token
    time.sleep(1.5 * SHORT)
    assert store.lease("decide", "other", LONG) is None


def test_a_lease_that_ran_out_untaken_goes_on(store: Store) -> None:
    token = store.lease("decide", "one", SHORT)
    assert token is not None
    time.sleep(1.5 * SHORT)
    renewed = store.lease("decide", "one", LONG)
    assert renewed is not None
    assert renewed >= token


def test_a_released_lease_is_free_at_once(store: Store) -> None:
    first = store.lease("decide", "one", LONG)
    store.release("decide", "other")
    store.release("never taken", "other")
    assert store.lease("decide", "other", LONG) is None

    store.release("decide", "one")
    second = store.lease("decide", "other", LONG)
    assert first is not None
    assert second is not None
    assert second > first
    store.release("decide", "one")
    assert store.lease("decide", "one", LONG) is None


def test_of_many_that_want_a_lease_one_gets_it(store: Store) -> None:
    tokens: list[int] = []

    def want(holder: str) -> None:
        token = store.lease("decide", holder, LONG)
        if token is not None:
            tokens.append(token)

    threads = [threading.Thread(target=want, args=(f"holder {n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(tokens) == 1


def test_whoever_was_overtaken_decides_nothing(store: Store) -> None:
    store.commit(step(store.assign(PARTITION), 16, closed=(pane(0), pane(8))))
    first = store.lease("decide", "one", LONG)
    assert first is not None
    store.decide(Decision("chat", 0, 1, fence=Fence("decide", first)))
    store.release("decide", "one")
    second = store.lease("decide", "other", LONG)
    assert second is not None

    for fence in (Fence("decide", first), Fence("decide", second + 1), Fence("never taken", 1)):
        with pytest.raises(ConflictError, match=fence.lease):
            store.decide(Decision("chat", 1, 2, (alarm(),), (item(),), b"c", b"{}", fence))

    assert store.decided("chat") == (1, 0, None)
    assert (store.find(Alarm), store.outbox(), store.status("chat")) == ([], [], {})
    store.decide(Decision("chat", 1, 2, fence=Fence("decide", second)))
    assert store.decided("chat")[0] == 2


def test_monitors_with_something_to_decide_are_listed(store: Store) -> None:
    assert store.undecided() == []
    panes = (pane(0), pane(0, monitor="search"))
    store.commit(step(store.assign(PARTITION), closed=panes, touched=(pane(8, monitor="open"),), counts={"counted": 8}))
    store.record_event(event(monitor="told"))
    assert store.undecided() == ["chat", "search", "told"]

    store.decide(Decision("chat", 0, 1))
    store.decide(Decision("told", 0, 1))
    assert store.undecided() == ["search"]
    store.record_event(event("e2"))
    assert store.undecided() == ["chat", "search"]


# --- declarations


def declaration(version: int = 1, *, name: str = "chat", shape: int = 1) -> Declaration:
    return Declaration(
        id=name,
        monitor=name,
        settings={"name": name, "segments": {"tags": ["locale"]}, "rate": 0.5, "none": None},
        origin="/etc/driftgate/chat.yaml",
        shape=shape,
        reference=None if version == 1 else version,
        state=DeclarationState.DECLARED,
        created=5.0,
        history=(Step("declared", "file", 5.0),),
        version=version,
    )


def test_a_declaration_changes_by_one_version_at_a_time(store: Store) -> None:
    store.save(declaration(), declaration(name="search"))
    store.save(declaration(2, shape=2))

    with pytest.raises(ConflictError, match="chat"):
        store.save(declaration(2, shape=7))
    assert store.get(Declaration, "chat") == declaration(2, shape=2)
    assert {found.id for found in store.find(Declaration)} == {"chat", "search"}
    assert store.find(Declaration, monitor="search") == [declaration(name="search")]
    store.save(replace(declaration(3), state=DeclarationState.WITHDRAWN))
    assert [found.id for found in store.find(Declaration, states=[DeclarationState.DECLARED])] == ["search"]
    with pytest.raises(NotFoundError, match="declaration 'other'"):
        store.get(Declaration, "other")


# --- dead letters on their way to a topic


@pytest.mark.parametrize(
    "original",
    [None, Original(b"\xffkey", b"\x00value", (("ce-id", b"1"), ("ce-id", b"\xff")), 12.5), Original(None, None)],
)
def test_a_dead_letter_keeps_the_record_that_held_it(store: Store, original: Original | None) -> None:
    sent = replace(letter(3), original=original)
    store.add_dead_letters([letter(1), sent])

    found = store.dead_letter(sent.id)

    assert (found.id, found.partition, found.offset, found.time, found.rejected) == (sent.id, PARTITION, 3, 3.0, sent.rejected)
    assert found.original == original
    with pytest.raises(NotFoundError, match="no dead letter 'other'"):
        store.dead_letter("other")


def owed(*offsets: int) -> tuple[DeadLetter, ...]:
    return tuple(replace(letter(offset), sent=False) for offset in offsets)


def test_letters_wait_for_their_topic_oldest_first(store: Store) -> None:
    held = store.assign(PARTITION)
    store.commit(step(held, dead_letters=(*owed(1), letter(2), *owed(3))))
    store.add_dead_letters(owed(0))

    assert [(found.offset, found.sent) for found in store.unsent(10)] == [(1, False), (3, False), (0, False)]
    assert store.unsent_count() == 3
    assert [found.offset for found in store.unsent(2)] == [1, 3]
    assert [(found.offset, found.sent) for found in store.dead_letters()] == [(0, False), (3, False), (2, True), (1, False)]

    store.mark_sent([letter(1).id, letter(0).id, letter(2).id, "unknown"])
    store.mark_sent([])
    assert [found.offset for found in store.unsent(10)] == [3]
    assert store.unsent_count() == 1
    assert {found.offset for found in store.dead_letters() if found.sent} == {0, 1, 2}
    assert store.dead_letter(letter(1).id).sent


def test_a_letter_that_has_arrived_waits_no_more(store: Store) -> None:
    store.add_dead_letters([*owed(1, 2), letter(3)])
    store.add_dead_letters([letter(1), *owed(2, 3)])

    assert [found.offset for found in store.unsent(10)] == [2]
    assert [found.offset for found in store.dead_letters()] == [3, 2, 1]


def test_letters_that_wait_make_no_room_for_newer_ones(open_store: Opener) -> None:
    store = open_store(dead_letters=(2, 10**6))
    store.add_dead_letters(owed(0))
    store.commit(step(store.assign(PARTITION), dead_letters=tuple(letter(n) for n in range(1, 6))))
    assert [found.offset for found in store.dead_letters()] == [5, 4, 0]

    store.mark_sent([letter(0).id])
    store.add_dead_letters([letter(6)])
    assert [found.offset for found in store.dead_letters()] == [6, 5]


# --- upkeep, and afterwards


def test_upkeep_takes_nothing_that_is_in_use(store: Store) -> None:
    held = store.assign(PARTITION)
    store.commit(step(held, 11, closed=(pane(0),), touched=(pane(8, count=3),), pooled=(pooled(1),), dead_letters=owed(1)))
    store.decide(Decision("chat", 0, 1, (alarm(),), (item(),), b"checkpoint", b'{"samples": 8}'))

    store.tidy(now=1e9)
    store.tidy(now=2e9)

    assert [sample.payload for sample in store.pool("chat")] == ["hello"]
    assert (len(store.entries("chat", 0, 10)), len(store.open_panes("chat")), len(store.unsent(10))) == (1, 1, 1)
    assert (store.decided("chat"), store.status("chat")) == ((1, 1, b"checkpoint"), {"samples": 8})
    assert (store.get(Alarm, "a1"), store.outbox()) == (alarm(), [item()])


def test_what_is_shared_is_there_after_a_restart(open_durable_store: Opener) -> None:
    store = open_durable_store()
    held = store.assign(PARTITION, start=5)
    lossy = replace(pane(8, count=3), losses={"text": 2})
    store.commit(step(held, shapes={"chat": 2}, lost=3, touched=(lossy,), dead_letters=owed(1)))
    store.halt(PARTITION, held.epoch, "stopped by hand")
    store.save(declaration())
    token = store.lease("decide", "one", LONG)
    before = store.positions()
    store.close()

    store = open_durable_store()
    assert store.positions() == before
    assert store.assign(PARTITION).stopped == "stopped by hand"
    assert dict(store.open_panes("chat")[0].losses) == {"text": 2}
    assert [found.offset for found in store.unsent(10)] == [1]
    assert store.get(Declaration, "chat") == declaration()
    assert store.lease("decide", "other", LONG) is None
    assert store.lease("decide", "one", LONG) == token


def test_another_handle_holds_to_leases_and_epochs(open_durable_store: Opener) -> None:
    one, other = open_durable_store(), open_durable_store()
    token = one.lease("decide", "one", LONG)
    assert token is not None
    assert other.lease("decide", "other", LONG) is None
    held = one.assign(PARTITION)
    other.reset(PARTITION, 50)

    with pytest.raises(ConflictError):
        one.commit(Commit(PARTITION, held.epoch, 0, 8, 1.0))
    assert one.assign(PARTITION).offset == 50
