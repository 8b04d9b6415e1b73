"""When an item is tried again, when it is given up, and that nothing gets lost on the way."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from service.adapters.sqlite import SqliteStore
from service.errors import DeliveryError, NotFoundError
from service.observe import Silent
from service.outbox import SCHEDULE, Lanes, Outbox, replayed, settled
from service.records import AnnotationBatch, BatchState, OutboxItem

HOUR = 3_600.0
DOWN = DeliveryError("receiver: 503", retryable=True)


def item(id: str = "o1", **changes: Any) -> OutboxItem:
    return replace(OutboxItem(id, "alarm.opened", "hook", {"alarm": "a1"}, created=100.0), **changes)


def rng() -> np.random.Generator:
    return np.random.default_rng(3)


class Receiver:
    """Takes what it is sent, after the failures it was given."""

    def __init__(self, *failures: DeliveryError) -> None:
        self.failures = list(failures)
        self.taken: list[str] = []

    def deliver(self, item: OutboxItem, *, now: float) -> str | None:  # noqa: ARG002 - the port's signature
        if self.failures:
            raise self.failures.pop(0)
        self.taken.append(item.id)
        return None

    def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
def store() -> Iterator[SqliteStore]:
    with closing(SqliteStore(":memory:")) as store:
        yield store


def test_a_delivered_item_is_done() -> None:
    after = settled(item(attempts=2, error="receiver: 503"), None, 500.0, rng())

    assert (after.state, after.attempts, after.error) == ("delivered", 3, "")


def test_attempts_follow_the_schedule_and_then_end() -> None:
    tried, times, now = item(), [100.0], 100.0
    while (tried := settled(tried, DOWN, now, rng())).state == "pending":
        now = tried.due
        times.append(now)

    waits = [later - earlier for earlier, later in pairwise(times)]
    assert len(times) == 10
    assert all(planned <= wait <= 1.1 * planned for wait, planned in zip(waits, SCHEDULE[1:], strict=True))
    assert 75 * HOUR < times[-1] - times[0] < 84 * HOUR
    assert (tried.state, tried.attempts, tried.error) == ("dead", 10, "receiver: 503")


@given(attempts=st.integers(0, 8), asked=st.floats(0, 1e9), seed=st.integers(0, 99))
def test_a_receivers_wish_is_honoured_up_to_a_day(attempts: int, asked: float, seed: int) -> None:
    busy = DeliveryError("receiver: 429", retryable=True, retry_after=asked)
    after = settled(item(attempts=attempts), busy, 1_000.0, np.random.default_rng(seed))

    assert after.due - 1_000.0 >= max(SCHEDULE[attempts + 1], min(asked, 24 * HOUR)) - 1e-6
    assert after.due - 1_000.0 <= 1.1 * 24 * HOUR + 1e-6


def test_what_failed_together_does_not_return_together() -> None:
    generator = rng()
    due = {settled(item(attempts=4), DOWN, 0.0, generator).due for _ in range(20)}
    assert len(due) == 20


def test_a_refusal_for_good_ends_it_at_once() -> None:
    after = settled(item(), DeliveryError("receiver: 410", retryable=False), 1.0, rng())
    assert (after.state, after.attempts, after.error) == ("dead", 1, "receiver: 410")


def test_a_long_error_is_cut() -> None:
    assert len(settled(item(), DeliveryError("x" * 10_000, retryable=True), 1.0, rng()).error) == 500


def test_a_dead_item_can_be_sent_again_under_its_id(store: SqliteStore) -> None:
    hook = Receiver(DeliveryError("receiver: 404", retryable=False))
    outbox = Outbox(store, {"hook": hook}, Silent(), rng=rng())
    store.save(outbox=[item()])
    outbox.step(1.0)
    (dead,) = store.outbox(states=["dead"])

    store.settle(replayed(dead, 50.0))
    assert outbox.step(49.0) == 0
    assert outbox.step(50.0) == 1

    assert hook.taken == ["o1"]
    assert [x.state for x in store.outbox()] == ["delivered"]


def test_an_outage_delays_and_loses_nothing(store: SqliteStore) -> None:
    hook = Receiver(DOWN, DOWN)
    outbox = Outbox(store, {"hook": hook}, Silent(), rng=rng())
    store.save(outbox=[item("o1"), item("o2"), item("later", due=900.0)])

    assert [outbox.step(100.0) for _ in range(3)] == [1, 1, 0]
    assert hook.taken == []
    assert outbox.step(104.0) == 0
    assert [outbox.step(106.0) for _ in range(3)] == [1, 1, 0]
    assert outbox.step(900.0) == 1
    assert sorted(hook.taken) == ["later", "o1", "o2"]
    assert outbox.step(9e9) == 0


def test_an_item_without_its_destination_is_dead_and_says_why(store: SqliteStore) -> None:
    store.save(outbox=[item()])
    Outbox(store, {}, Silent(), rng=rng()).step(1.0)

    (dead,) = store.outbox(states=["dead"])
    assert "'hook' is not configured" in dead.error


GONE = DeliveryError("receiver: 410, the receiver is gone for good", retryable=False, gone=True)


def test_a_destination_that_is_gone_is_sent_nothing_more_and_says_so(store: SqliteStore) -> None:
    hook, other = Receiver(GONE), Receiver()
    outbox = Outbox(store, {"hook": hook, "other": other}, Silent(), rng=rng())
    store.save(outbox=[item("o1"), item("o2"), item("o3", destination="other")])
    assert [outbox.step(1.0) for _ in range(4)] == [1, 1, 1, 0]

    assert (hook.taken, other.taken) == ([], ["o3"])
    assert outbox.disabled == {"hook": "receiver: 410, the receiver is gone for good"}
    dead = {each.id: each.error for each in store.outbox(states=["dead"])}
    assert dead.keys() == {"o1", "o2"}
    assert "disabled (receiver: 410" in dead["o2"]


def test_a_person_s_replay_tries_a_disabled_destination_again(store: SqliteStore) -> None:
    hook = Receiver(GONE, GONE)
    outbox = Outbox(store, {"hook": hook}, Silent(), rng=rng())
    store.save(outbox=[item("o1")])
    outbox.step(1.0)
    for number in (1, 2):
        (dead,) = store.outbox(states=["dead"])
        store.settle(replayed(dead, 10.0 * number))
        assert outbox.disabled
        outbox.step(10.0 * number)

    assert hook.taken == ["o1"]
    assert outbox.disabled == {}
    store.save(outbox=[item("o2")])
    outbox.step(30.0)
    assert hook.taken == ["o1", "o2"]


def test_another_destination_under_the_name_is_not_disabled(store: SqliteStore) -> None:
    destinations = {"hook": Receiver(GONE)}
    outbox = Outbox(store, destinations, Silent(), rng=rng())
    store.save(outbox=[item("o1")])
    outbox.step(1.0)
    destinations["hook"] = moved = Receiver()
    store.save(outbox=[item("o2")])
    outbox.step(2.0)

    assert outbox.disabled == {}
    assert moved.taken == ["o2"]


def test_what_an_item_refers_to_and_is_gone_is_a_failure_with_a_reason(store: SqliteStore) -> None:
    class Empty(Receiver):
        def deliver(self, item: OutboxItem, *, now: float) -> None:  # noqa: ARG002 - the port's signature
            raise NotFoundError("no annotation batch 'b1'")

    store.save(outbox=[item()])
    Outbox(store, {"hook": Empty()}, Silent(), rng=rng()).step(1.0)
    (failed,) = store.outbox(states=["pending"])
    assert failed.error == "no annotation batch 'b1'"


def test_every_attempt_is_told_to_whoever_measures(store: SqliteStore) -> None:
    told: list[tuple[str, str]] = []

    class Counting(Silent):
        def delivery(self, kind: str, outcome: str, seconds: float = 0.0) -> None:
            assert seconds >= 0
            told.append((kind, outcome))

    outbox = Outbox(store, {"hook": Receiver(DOWN)}, Counting(), rng=rng())
    store.save(outbox=[item()])
    outbox.step(100.0)
    outbox.step(200.0)
    store.save(outbox=[item("o2", destination="gone", kind="annotation.batch")])
    outbox.step(300.0)

    assert told == [("alarm.opened", "retry"), ("alarm.opened", "delivered"), ("annotation.batch", "dead")]


def test_a_step_takes_one_item_so_that_slow_receivers_stop_no_heartbeat(store: SqliteStore) -> None:
    hook = Receiver()
    outbox = Outbox(store, {"hook": hook}, Silent(), rng=rng())
    store.save(outbox=[item(f"o{n}") for n in range(3)])

    assert [outbox.step(1.0) for _ in range(4)] == [1, 1, 1, 0]
    assert hook.taken == ["o0", "o1", "o2"]


def test_an_error_that_nobody_foresaw_delays_its_item_and_no_other(store: SqliteStore) -> None:
    class Faulty(Receiver):
        def deliver(self, item: OutboxItem, *, now: float) -> None:
            if item.id == "bad" and now < 50.0:
                raise ZeroDivisionError
            super().deliver(item, now=now)

    hook = Faulty()
    outbox = Outbox(store, {"hook": hook}, Silent(), rng=rng())
    store.save(outbox=[item("bad"), item("good")])

    with pytest.raises(ZeroDivisionError):
        outbox.step(1.0)
    assert [outbox.step(1.0) for _ in range(3)] == [1, 1, 0]
    assert hook.taken == ["good"]
    (failed,) = store.outbox(states=["pending"])
    assert (failed.id, failed.attempts, failed.error) == ("bad", 1, "an unexpected error, see the program's log")
    outbox.step(60.0)
    assert hook.taken == ["good", "bad"]


class Hanging(Receiver):
    """Keeps whoever calls waiting until it is let go."""

    def __init__(self, *failures: DeliveryError) -> None:
        super().__init__(*failures)
        self.called, self.let_go = list[str](), threading.Event()

    def deliver(self, item: OutboxItem, *, now: float) -> str | None:
        self.called.append(item.id)
        assert self.let_go.wait(20.0)
        return super().deliver(item, now=now)


def run(lanes: Lanes, store: SqliteStore, waiting: set[str], *, now: float = 1.0) -> None:
    """Until nothing but these is pending."""
    for _ in range(200):
        lanes.step(now)
        if {each.id for each in store.outbox(states=["pending"])} == waiting:
            return
    raise AssertionError(f"{[each.id for each in store.outbox(states=['pending'])]} are pending, not {waiting}")


def test_a_receiver_that_hangs_holds_nothing_back_that_is_for_others(store: SqliteStore) -> None:
    hook, pager = Hanging(), Receiver()
    lanes = Lanes(Outbox(store, {"hook": hook, "pager": pager}, Silent(), rng=rng()))
    store.save(outbox=[*(item(f"h{n}") for n in range(3)), item("p1", destination="pager"), item("p2", destination="pager")])

    run(lanes, store, {"h0", "h1", "h2"})
    assert (pager.taken, hook.called) == (["p1", "p2"], ["h0"]), "in a lane it is one at a time"
    hook.let_go.set()
    run(lanes, store, set())
    lanes.finish(20.0)
    assert hook.taken == ["h0", "h1", "h2"]
    assert lanes.step(1.0) == 0


def test_what_is_under_way_has_time_to_end_and_is_settled_then(store: SqliteStore) -> None:
    hook = Hanging(DOWN)
    lanes = Lanes(Outbox(store, {"hook": hook}, Silent(), rng=rng()))
    store.save(outbox=[item()])
    lanes.step(1.0)
    lanes.finish(0.0)
    assert [(each.state, each.attempts) for each in store.outbox()] == [("pending", 0)]
    hook.let_go.set()
    lanes.finish(20.0)
    assert [(each.state, each.attempts, each.error) for each in store.outbox()] == [("pending", 1, "receiver: 503")]


def test_an_error_that_nobody_foresaw_ends_no_lane(store: SqliteStore) -> None:
    class Faulty(Receiver):
        def deliver(self, item: OutboxItem, *, now: float) -> str | None:
            if item.id == "bad" and now < 50.0:
                raise ZeroDivisionError
            return super().deliver(item, now=now)

    hook = Faulty()
    lanes = Lanes(Outbox(store, {"hook": hook}, Silent(), rng=rng()))
    store.save(outbox=[item("bad"), item("good")])
    with capture_logs() as told:
        run(lanes, store, {"bad"})
    assert [entry["destination"] for entry in told if entry["event"] == "step failed"] == ["hook"]
    run(lanes, store, set(), now=60.0)
    assert hook.taken == ["good", "bad"]


def test_a_crash_between_delivery_and_record_delivers_again(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    hook = Receiver()
    outbox = Outbox(store, {"hook": hook}, Silent(), rng=rng())
    store.save(outbox=[item()])

    def die(_: OutboxItem) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(store, "settle", die)
        with pytest.raises(KeyboardInterrupt):
            outbox.step(1.0)
    outbox.step(1.0)

    assert hook.taken == ["o1", "o1"]


class Stepwise(Receiver):
    """Gives a receipt first, and goes on with it only once it is kept."""

    def __init__(self, store: SqliteStore, *failures: DeliveryError) -> None:
        super().__init__(*failures)
        self._store = store
        self.begun = 0

    def deliver(self, item: OutboxItem, *, now: float) -> str | None:
        if not item.receipt:
            self.begun += 1
            return "uid-1"
        (kept,) = self._store.outbox()
        assert kept.receipt == item.receipt, "it went on before the receipt was kept"
        return super().deliver(item, now=now)


def test_a_receipt_is_kept_before_the_delivery_goes_on_and_it_never_begins_anew(store: SqliteStore) -> None:
    store.save(outbox=[item()])
    receiver, told = Stepwise(store, DOWN), list[OutboxItem]()
    outbox = Outbox(store, {"hook": receiver}, Silent(), rng=rng(), received=told.append)
    outbox.step(100.0)
    (kept,) = store.outbox()
    assert (kept.state, kept.receipt, receiver.taken, [each.receipt for each in told]) == ("pending", "uid-1", [], ["uid-1"])
    outbox.step(kept.due)
    assert (store.outbox()[0].state, receiver.begun, receiver.taken) == ("delivered", 1, ["o1"])
    assert [each.receipt for each in told] == ["uid-1", "uid-1"], "told again: the first time may have been cut off"


@pytest.mark.parametrize(("state", "taken"), [(BatchState.SENT, ["o1"]), (BatchState.CANCELLED, [])])
def test_a_batch_that_was_cancelled_meanwhile_does_not_leave(store: SqliteStore, state: BatchState, taken: list[str]) -> None:
    receiver = Receiver()
    store.save(
        AnnotationBatch("b1", "chat", "c1", 1, state, (), 100.0, version=1), outbox=[item(kind="annotation.batch", payload={"batch": "b1"})]
    )
    Outbox(store, {"hook": receiver}, Silent(), rng=rng()).step(200.0)
    assert receiver.taken == taken
    assert [kept.error for kept in store.outbox(states=["dead"])] == ([] if taken else ["the batch was cancelled before it had left"])


def waiting(store: SqliteStore, *failures: DeliveryError) -> tuple[Receiver, Outbox]:
    """A batch that does not get through, and priorities that were edited meanwhile."""
    receiver = Receiver(*failures)
    batch = item("batch", kind="annotation.batch", payload={"batch": "b1"}, created=100.0)
    store.save(AnnotationBatch("b1", "chat", "c1", 1, BatchState.SENT, (), 100.0, version=1), outbox=[batch])
    outbox = Outbox(store, {"hook": receiver}, Silent(), rng=rng())
    outbox.step(200.0)
    edited = AnnotationBatch("b1", "chat", "c1", 1, BatchState.SENT, (), 100.0, version=2)
    store.save(edited, outbox=[item("order", kind="annotation.priority", payload={"batch": "b1"}, created=201.0)])
    return receiver, outbox


def test_new_priorities_do_not_overtake_their_batch(store: SqliteStore) -> None:
    receiver, outbox = waiting(store, DOWN, DOWN)
    for now in np.arange(201.0, 900.0, 1.0).tolist():
        outbox.step(now)
        if len(receiver.taken) == 2:
            break
    assert receiver.taken == ["batch", "order"]
    assert {kept.id: (kept.state, kept.attempts) for kept in store.outbox()} == {"batch": ("delivered", 3), "order": ("delivered", 1)}


def test_priorities_of_a_batch_that_never_arrived_wait_for_a_person(store: SqliteStore) -> None:
    receiver, outbox = waiting(store, DeliveryError("receiver: 400", retryable=False))
    assert outbox.step(202.0) == 1
    assert receiver.taken == []
    assert [kept.error for kept in store.outbox(states=["dead"]) if kept.id == "order"] == [
        "its batch has not arrived; replay the batch, then this"
    ]
