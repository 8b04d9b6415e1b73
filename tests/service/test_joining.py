from __future__ import annotations

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from service.joining import Join, Key, event_key
from service.records import Sample, Waiting

BOUND = 4


def waiting(event: str, index: int = 0, expires: float = 60.0, monitor: str = "chat") -> Waiting:
    vector = np.zeros(2, np.float32)
    return Waiting(event_key(monitor, event), index, Sample(monitor, f"{event}/{index}", 0.0, vector), vector, "f1", expires)


def names(samples: list[Waiting]) -> list[str]:
    return [sample.sample.id for sample in samples]


def test_an_answer_takes_every_instance_of_its_event_in_order() -> None:
    join = Join()
    for index in (1, 0, 2):
        join.wait(waiting("a", index))
    join.wait(waiting("b"))
    assert names(join.answer("chat/a")) == ["a/0", "a/1", "a/2"]
    assert join.answer("chat/a") == []
    assert len(join) == 1


def test_one_event_of_two_monitors_is_two_events() -> None:
    join = Join()
    join.wait(waiting("a"))
    join.wait(waiting("a", monitor="mail"))
    assert len(join.answer(event_key("mail", "a"))) == 1
    assert [sample.sample.monitor for sample in join] == ["chat"]


def test_expires_when_time_has_passed_and_not_at_the_moment_itself() -> None:
    join = Join([waiting("late", expires=20.0), waiting("soon", expires=10.0)])
    assert join.expired(10.0) == []
    assert names(join.expired(10.5)) == ["soon/0"]
    assert names(join.expired(99.0)) == ["late/0"]


def test_a_full_buffer_gives_up_the_first_to_expire() -> None:
    join = Join(bound=2)
    assert join.wait(waiting("a", expires=30.0)) is None
    assert join.wait(waiting("b", expires=20.0)) is None
    displaced = join.wait(waiting("c", expires=40.0))
    assert displaced is not None
    assert displaced.sample.id == "b/0"
    assert len(join) == 2


def test_the_store_hears_only_of_what_outlives_the_batch() -> None:
    join = Join([waiting("old")])
    join.wait(waiting("new"))
    join.wait(waiting("brief"))
    join.answer("chat/brief")
    join.answer("chat/old")
    added, done = join.changes()
    assert names(list(added)) == ["new/0"]
    assert done == (("chat/old", 0),)
    assert join.changes() == ((), ())


def test_a_key_that_waits_again_is_kept_by_the_store() -> None:
    join = Join([waiting("a", expires=10.0)])
    displaced = join.wait(waiting("a", expires=50.0))
    assert displaced is not None
    assert displaced.expires == 10.0
    added, done = join.changes()
    assert [sample.expires for sample in added] == [50.0]
    assert done == ()


def test_memory_is_bounded_though_time_stands_still() -> None:
    join = Join()
    for number in range(5_000):
        join.wait(waiting(str(number)))
        join.answer(event_key("chat", str(number)))
    assert len(join._queue) < 200


class JoinMachine(RuleBasedStateMachine):
    """Against a plain dictionary, and with a store that is told the changes at random moments and restarts the join from them."""

    def __init__(self) -> None:
        super().__init__()
        self.join = Join(bound=BOUND)
        self.model: dict[Key, Waiting] = {}
        self.stored: dict[Key, Waiting] = {}
        self.time = 0.0

    def first(self) -> Key:
        return min(self.model, key=lambda key: (self.model[key].expires, *key))

    @rule(event=st.sampled_from("abcdef"), index=st.integers(0, 2), patience=st.sampled_from([1.0, 5.0]))
    def wait(self, event: str, index: int, patience: float) -> None:
        sample = waiting(event, index, self.time + patience)
        key = (sample.event_id, index)
        gone = key if key in self.model else self.first() if len(self.model) >= BOUND else None
        expected = None if gone is None else self.model.pop(gone)
        assert self.join.wait(sample) is expected
        self.model[key] = sample

    @rule(event=st.sampled_from("abcdef"))
    def answer(self, event: str) -> None:
        keys = sorted(key for key in self.model if key[0] == event_key("chat", event))
        assert self.join.answer(event_key("chat", event)) == [self.model.pop(key) for key in keys]

    @rule(step=st.sampled_from([0.0, 0.5, 3.0]))
    def pass_time(self, step: float) -> None:
        self.time += step
        expected = []
        while self.model and self.model[self.first()].expires < self.time:
            expected.append(self.model.pop(self.first()))
        assert self.join.expired(self.time) == expected

    @rule()
    def commit(self) -> None:
        added, done = self.join.changes()
        self.stored.update({(sample.event_id, sample.index): sample for sample in added})
        for key in done:
            del self.stored[key]
        assert self.stored == self.model

    @precondition(lambda self: self.stored == self.model)
    @rule()
    def restart(self) -> None:
        self.join = Join(reversed(self.stored.values()), bound=BOUND)

    @invariant()
    def holds_the_same(self) -> None:
        assert len(self.join) == len(self.model) <= BOUND


TestJoinMachine = JoinMachine.TestCase


@pytest.mark.parametrize("monitor", ["chat", "mail"])
def test_drains_one_monitor_or_all(monitor: str) -> None:
    join = Join([waiting("a"), waiting("b", monitor="mail")])
    assert [sample.sample.monitor for sample in join.drain(monitor)] == [monitor]
    assert len(join.drain()) == 1
    assert len(join) == 0
