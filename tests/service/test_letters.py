from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace

import pytest

from service.adapters.sqlite import SqliteStore
from service.errors import DeliveryError
from service.letters import AGAIN_SECONDS, LOOK_SECONDS, SLICE, Posted
from service.records import Assignment, Commit, DeadLetter, Partition, Rejected

LOG = Partition("chat", "f00d")


class Topic:
    """Takes letters while it is up, and remembers them in order."""

    def __init__(self) -> None:
        self.up = True
        self.taken: list[str] = []
        self.asked = 0

    def send(self, letters: Sequence[DeadLetter]) -> Sequence[DeadLetter]:
        self.asked += 1
        if not self.up:
            return letters
        self.taken += [letter.id for letter in letters]
        return ()

    def close(self) -> None:
        pass


class Clock:
    """Seconds, moved by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def store() -> Iterator[SqliteStore]:
    with closing(SqliteStore(":memory:")) as store:
        yield store


@pytest.fixture
def topic() -> Topic:
    return Topic()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def posted(store: SqliteStore, topic: Topic, clock: Clock) -> Posted:
    return Posted(store, topic, most=3, clock=clock)


def letter(offset: int) -> DeadLetter:
    return DeadLetter(LOG, offset, 1.0, Rejected("json", "not JSON", b"{"))


def take(posted: Posted, held: Assignment, *offsets: int, at: int) -> None:
    posted.commit(Commit(LOG, held.epoch, at, at + len(offsets), 1.0, dead_letters=tuple(map(letter, offsets))))


def test_letters_are_in_their_topic_before_they_are_committed(posted: Posted, topic: Topic, store: SqliteStore) -> None:
    take(posted, posted.assign(LOG), 0, 1, at=0)
    assert topic.taken == [letter(0).id, letter(1).id]
    assert [kept.sent for kept in store.dead_letters()] == [True, True]
    assert store.unsent(10) == []


def test_a_topic_that_is_down_is_made_up_for_in_order(posted: Posted, topic: Topic, store: SqliteStore, clock: Clock) -> None:
    held = posted.assign(LOG)
    take(posted, held, at=0)
    topic.up = False
    take(posted, held, 0, 1, at=0)
    assert [kept.offset for kept in store.unsent(10)] == [0, 1]
    topic.up, clock.now = True, AGAIN_SECONDS
    take(posted, held, 2, at=2)
    assert topic.taken == [letter(0).id, letter(1).id, letter(2).id]
    assert store.unsent(10) == []


def test_a_topic_that_is_down_is_not_asked_at_every_commit(posted: Posted, topic: Topic) -> None:
    held = posted.assign(LOG)
    take(posted, held, at=0)
    topic.up = False
    for offset in range(3):
        take(posted, held, offset, at=offset)
    assert topic.asked == 1


def test_too_many_owed_letters_stop_commits_that_bring_more_and_no_others(
    posted: Posted, topic: Topic, store: SqliteStore, clock: Clock
) -> None:
    held = posted.assign(LOG)
    take(posted, held, at=0)
    topic.up = False
    take(posted, held, 0, 1, 2, at=0)
    with pytest.raises(DeliveryError, match="3 letters wait") as refused:
        take(posted, held, 3, at=3)
    assert refused.value.retryable
    posted.commit(Commit(LOG, held.epoch, 3, 9, 1.0))
    topic.up, clock.now = True, AGAIN_SECONDS
    take(posted, held, 9, at=9)
    assert len(topic.taken) == 4
    assert store.unsent(10) == []


def test_what_an_earlier_process_owed_is_sent_first(posted: Posted, topic: Topic, store: SqliteStore, clock: Clock) -> None:
    topic.up = False
    held = posted.assign(LOG)
    take(posted, held, at=0)
    take(posted, held, 0, at=0)
    topic.up = True
    take(Posted(store, topic, clock=clock), held, 1, at=1)
    assert topic.taken == [letter(0).id, letter(1).id]


def test_letters_that_a_dead_worker_owed_are_sent_by_the_living(posted: Posted, topic: Topic, store: SqliteStore, clock: Clock) -> None:
    held = posted.assign(LOG)
    take(posted, held, at=0)
    store.add_dead_letters([replace(letter(7), sent=False)])
    take(posted, held, at=0)
    assert topic.taken == []
    clock.now = LOOK_SECONDS
    take(posted, held, at=0)
    assert topic.taken == [letter(7).id]
    assert store.unsent(10) == []


def test_many_letters_go_in_slices(store: SqliteStore, topic: Topic) -> None:
    posted = Posted(store, topic)
    take(posted, posted.assign(LOG), *range(2 * SLICE + 1), at=0)
    assert topic.asked == 3
    assert len(topic.taken) == 2 * SLICE + 1


def test_what_waits_leaves_even_where_nothing_comes_any_more(posted: Posted, topic: Topic, store: SqliteStore, clock: Clock) -> None:
    held = posted.assign(LOG)
    take(posted, held, at=0)
    topic.up = False
    take(posted, held, 0, at=0)
    topic.up, clock.now = True, AGAIN_SECONDS
    assert posted.epochs([LOG]) == {LOG: held.epoch}
    assert topic.taken == [letter(0).id]
    assert store.unsent(10) == []
