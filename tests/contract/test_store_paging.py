"""Lists that are read page by page, counts that are kept, and entities that retention lets go of: in both stores."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from service.adapters.sqlite import SqliteStore
from service.errors import ConflictError, NotFoundError
from service.ports import Store
from service.records import Alarm, AlarmState, AnnotationBatch
from tests.contract.conftest import redis_store
from tests.contract.stored import Opener, alarm, item, letter
from tests.servers.redis_server import RedisServer


@pytest.fixture
def store(open_store: Opener) -> Store:
    return open_store()


def pages(read: Callable[[str | None], Sequence[Alarm]]) -> list[list[str]]:
    """The ids of every page until an empty one."""
    found, after = list[list[str]](), None
    while page := read(after):
        found.append([entity.id for entity in page])
        after = page[-1].id
    return found


def test_pages_go_on_where_the_last_one_ended_though_moments_are_equal(store: Store) -> None:
    store.save(*(alarm(id=f"a{number}", opened=float(number // 3)) for number in range(8)))
    for limit in (1, 2, 3, 8, 9):
        found = list(itertools.chain(*pages(lambda after, limit=limit: store.find(Alarm, after=after, limit=limit))))  # type: ignore[misc]  # a lambda's default
        assert found == [each.id for each in store.find(Alarm)]
        assert len(set(found)) == 8


def test_pages_stay_as_they_are_while_entities_come_and_change(store: Store) -> None:
    store.save(*(alarm(id=f"a{number}", opened=float(number)) for number in range(6)))
    first = store.find(Alarm, states=[AlarmState.OPEN], limit=2)
    assert [each.id for each in first] == ["a5", "a4"]
    store.save(alarm(id="a9", opened=9.0), replace(first[-1], state=AlarmState.RESOLVED, version=2))

    assert [each.id for each in store.find(Alarm, states=[AlarmState.OPEN], after="a4", limit=2)] == ["a3", "a2"]


def test_a_page_after_what_is_not_there_is_refused(store: Store) -> None:
    store.save(alarm())
    with pytest.raises(NotFoundError, match="alarm 'a7'"):
        store.find(Alarm, after="a7")
    with pytest.raises(NotFoundError, match="outbox item 'a7'"):
        store.outbox(after="a7")
    with pytest.raises(NotFoundError, match="dead letter 'a7'"):
        store.dead_letters(after="a7")


def test_several_monitors_are_read_as_one_list(store: Store) -> None:
    owners = itertools.cycle(("chat", "search", "mail"))
    store.save(*(alarm(id=f"a{number}", opened=float(number), monitor=next(owners)) for number in range(9)))

    def found(**given: object) -> list[str]:
        return [each.id for each in store.find(Alarm, **given)]  # type: ignore[arg-type]  # as the test gives them

    assert found(monitors=["chat", "mail"]) == ["a8", "a6", "a5", "a3", "a2", "a0"]
    assert found(monitors={"chat", "mail"}, after="a6", limit=2, states=["open"]) == ["a5", "a3"]
    assert found(monitor="chat", monitors=["chat", "mail"]) == ["a6", "a3", "a0"]
    assert found(monitor="search", monitors=["chat"]) == found(monitors=()) == []


def test_items_that_leave_are_read_page_by_page(store: Store) -> None:
    for number in range(5):
        store.save(alarm(id=f"a{number}"), outbox=[item(f"o{number}", state="dead" if number % 2 else "pending")])

    assert [each.id for each in store.outbox(limit=2)] == ["o4", "o3"]
    assert [each.id for each in store.outbox(after="o3", limit=2)] == ["o2", "o1"]
    assert [each.id for each in store.outbox(states=["dead"], after="o2")] == ["o1"]
    assert store.outbox(after="o0") == []


def test_dead_letters_are_read_page_by_page(store: Store) -> None:
    letters = [letter(offset, monitor="chat" if offset % 2 else "search") for offset in range(6)]
    store.add_dead_letters(letters)

    assert [each.offset for each in store.dead_letters(limit=2)] == [5, 4]
    assert [each.offset for each in store.dead_letters(after=letters[4].id, limit=2)] == [3, 2]
    assert [each.offset for each in store.dead_letters(monitor="chat", after=letters[4].id)] == [3, 1]


def test_what_is_let_go_is_found_nowhere_and_may_come_anew(store: Store) -> None:
    store.save(alarm(id="a1"), alarm(id="a2"), alarm(id="a3", monitor="search"))
    assert store.drop(Alarm, ["a1", "a3", "a7"]) == 2
    assert store.drop(Alarm, ["a1"]) == store.drop(AnnotationBatch, ["a2"]) == store.drop(Alarm, []) == 0

    assert [each.id for each in store.find(Alarm)] == ["a2"]
    assert store.find(Alarm, monitor="search") == store.find(Alarm, monitor="search", states=["open"]) == []
    assert store.tally(Alarm) == {("chat", "open"): 1}
    with pytest.raises(NotFoundError):
        store.get(Alarm, "a1")
    store.save(alarm(id="a1"))
    assert store.tally(Alarm) == {("chat", "open"): 2}


IDS = [f"a{number}" for number in range(6)]
MONITORS = ["chat", "search", "a:b"]


@dataclass(frozen=True)
class Known:
    """What the model knows of an alarm."""

    entity: Alarm
    order: int


class EntityMachine(RuleBasedStateMachine):
    """Alarms come, change state and go; pages, narrowed ones and counts are those of a dictionary. Another adapter overrides `open`."""

    def open(self) -> Store:
        return SqliteStore(":memory:")

    @initialize()
    def start(self) -> None:
        self.store, self.known, self.orders = self.open(), dict[str, Known](), itertools.count()

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()

    @rule(id=st.sampled_from(IDS), monitor=st.sampled_from(MONITORS), opened=st.integers(0, 2), state=st.sampled_from(AlarmState))
    def save(self, id: str, monitor: str, opened: int, state: AlarmState) -> None:
        known = self.known.get(id)
        new = alarm(id=id, monitor=monitor, opened=float(opened)) if known is None else known.entity
        new = replace(new, state=state, version=1 if known is None else new.version + 1)
        self.store.save(new)
        self.known[id] = Known(new, next(self.orders) if known is None else known.order)

    @rule(id=st.sampled_from(IDS))
    def save_a_stale_version(self, id: str) -> None:
        if id in self.known:
            with pytest.raises(ConflictError):
                self.store.save(self.known[id].entity)

    @rule(ids=st.sets(st.sampled_from(IDS), max_size=3))
    def drop(self, ids: set[str]) -> None:
        assert self.store.drop(Alarm, ids) == len(ids & self.known.keys())
        for each in ids:
            self.known.pop(each, None)

    @rule(
        monitors=st.none() | st.sets(st.sampled_from(MONITORS)),
        states=st.sets(st.sampled_from(AlarmState)),
        limit=st.integers(1, 4),
    )
    def page_through(self, monitors: set[str] | None, states: set[AlarmState], limit: int) -> None:
        read = pages(lambda after: self.store.find(Alarm, monitors=monitors, states=states, after=after, limit=limit))
        assert all(len(page) == limit for page in read[:-1])
        found = list(itertools.chain(*read))
        assert sorted(found) == sorted(known.entity.id for known in self._matching(monitors, states))
        moments = [self.known[each].entity.opened for each in found]
        assert moments == sorted(moments, reverse=True)

    @invariant()
    def counts_are_those_of_what_is_there(self) -> None:
        expected = Counter((known.entity.monitor, str(known.entity.state)) for known in self.known.values())
        assert dict(self.store.tally(Alarm)) == dict(expected)

    def _matching(self, monitors: Iterable[str] | None, states: Iterable[AlarmState]) -> list[Known]:
        wanted, allowed = None if monitors is None else set(monitors), set(states)
        return [
            known
            for known in self.known.values()
            if (wanted is None or known.entity.monitor in wanted) and (not allowed or known.entity.state in allowed)
        ]


def test_entities_live_alike_in_a_file() -> None:
    run_state_machine_as_test(EntityMachine, settings=settings(max_examples=60, stateful_step_count=25, deadline=None))


@pytest.mark.server("redis-server")
def test_entities_live_alike_in_redis(redis_server: RedisServer, tmp_path: Path) -> None:
    lives = itertools.count()

    class RedisEntityMachine(EntityMachine):
        def open(self) -> Store:
            number = next(lives)
            return redis_store(redis_server.url, f"page{number}", tmp_path / str(number))

    run_state_machine_as_test(RedisEntityMachine, settings=settings(max_examples=25, stateful_step_count=25, deadline=None))
