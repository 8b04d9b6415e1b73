"""What every Store promises: exact state, compared before it changes, all of it or nothing."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.adapters.sqlite import Retention
from service.errors import ConflictError, NotFoundError
from service.ports import Store
from service.records import (
    Alarm,
    AlarmState,
    AnnotationBatch,
    BatchState,
    Candidate,
    Commit,
    Decision,
    Label,
    Measured,
    Pane,
    Partition,
    Payload,
    Rejected,
    Sample,
    Step,
    Waiting,
)
from tests.contract.stored import PARTITION, RNG, Opener, alarm, assert_same_pane, event, item, letter, pane, pooled, step, summary

FOR_EVER = 1e12


@pytest.fixture
def store(open_store: Opener) -> Store:
    return open_store()


# --- partitions


def test_a_new_partition_starts_at_its_first_record(store: Store) -> None:
    held = store.assign(PARTITION)

    assert (held.partition, held.epoch, held.offset, held.open_panes, held.waiting) == (PARTITION, 1, 0, (), ())
    assert held.recent_ids.dtype == np.uint64
    assert held.recent_ids.size == 0


def test_an_assignment_returns_all_that_the_last_commit_left(store: Store) -> None:
    open_pane, closing = pane(8, count=3), pane(0)
    request = Sample("chat", "ev/0", 3.0, "text", {"locale": "de"})
    tensor = Sample("chat", "ev/1", 3.0, np.arange(12, dtype=np.float32).reshape(3, 4))
    embedding = RNG.normal(size=6).astype(np.float32)
    waiting = (Waiting("ev", 0, request, embedding, "f1", 63.0), Waiting("ev", 1, tensor, embedding, "f2", 63.0))
    ids = np.array([2**64 - 1, 5], np.uint64)
    store.commit(step(store.assign(PARTITION), 11, closed=(closing,), touched=(open_pane,), waiting=waiting, recent_ids=ids))

    held = store.assign(PARTITION)

    assert (held.epoch, held.offset, held.time) == (2, 11, 11.0)
    assert len(held.open_panes) == 1
    assert_same_pane(held.open_panes[0], open_pane)
    assert [(w.event_id, w.index, w.fingerprint, w.expires, w.sample.id, dict(w.sample.segments)) for w in held.waiting] == [
        ("ev", 0, "f1", 63.0, "ev/0", {"locale": "de"}),
        ("ev", 1, "f2", 63.0, "ev/1", {}),
    ]
    np.testing.assert_array_equal(held.waiting[0].embedding, embedding)
    assert held.waiting[0].sample.payload == "text"
    np.testing.assert_array_equal(held.waiting[1].sample.payload, tensor.payload)
    assert held.recent_ids.tolist() == ids.tolist()


def test_an_answered_sample_no_longer_waits(store: Store) -> None:
    held = store.assign(PARTITION)
    waiting = [Waiting("ev", n, Sample("chat", f"ev/{n}", 3.0, "x"), np.zeros(2, np.float32), "f1", 63.0) for n in range(2)]
    store.commit(step(held, waiting=tuple(waiting)))
    store.commit(step(held, at=8, answered=(("ev", 0), ("unknown", 3))))

    assert [w.index for w in store.assign(PARTITION).waiting] == [1]


def test_a_closed_pane_is_no_longer_open(store: Store) -> None:
    held = store.assign(PARTITION)
    store.commit(step(held, touched=(pane(0, count=5), pane(0, segment="locale=de", count=5))))
    assert {p.key.segment for p in store.open_panes("chat")} == {"all", "locale=de"}

    store.commit(step(held, at=8, closed=(pane(0),)))

    assert [p.key.segment for p in store.open_panes("chat")] == ["locale=de"]
    assert store.open_panes("other") == []


def test_a_touched_pane_replaces_its_earlier_state(store: Store) -> None:
    held = store.assign(PARTITION)
    grown = pane(0, count=7)
    store.commit(step(held, touched=(pane(0, count=5),)))
    store.commit(step(held, at=8, touched=(grown,)))

    (found,) = store.open_panes("chat")
    assert_same_pane(found, grown)


def test_whoever_held_the_partition_before_cannot_commit(store: Store) -> None:
    zombie = store.assign(PARTITION)
    held = store.assign(PARTITION)

    with pytest.raises(ConflictError, match="epoch 1"):
        store.commit(step(zombie, closed=(pane(0),), counts={"chat": 8}))

    assert store.entries("chat", 0, 10) == []
    assert store.samples_taken("chat") == 0
    store.commit(step(held))


def test_a_partition_that_was_never_assigned_takes_no_commit(store: Store) -> None:
    with pytest.raises(ConflictError):
        store.commit(Commit(PARTITION, 0, 0, 8, 1.0))


@pytest.mark.parametrize("expected", [0, 7, 9])
def test_a_commit_at_another_offset_changes_nothing(store: Store, expected: int) -> None:
    held = store.assign(PARTITION)
    first = step(held, closed=(pane(0),), pooled=(pooled(0),), counts={"chat": 8}, recent_ids=np.arange(8, dtype=np.uint64))
    store.commit(first)

    with pytest.raises(ConflictError, match="offset"):
        store.commit(replace(first, expected_offset=expected, next_offset=expected + 8))

    after = store.assign(PARTITION)
    assert (after.offset, after.recent_ids.size) == (8, 8)
    assert len(store.entries("chat", 0, 10)) == 1
    assert len(store.pool("chat")) == 1
    assert store.samples_taken("chat") == 8


def test_a_commit_cannot_go_back(store: Store) -> None:
    held = store.assign(PARTITION)
    store.commit(step(held))
    with pytest.raises(ConflictError, match="back"):
        store.commit(replace(step(held, at=8), next_offset=7))


def test_partitions_of_a_recreated_topic_are_different(store: Store) -> None:
    store.commit(step(store.assign(PARTITION)))

    assert store.assign(replace(PARTITION, topic_id="topic-2")).offset == 0


def test_the_newest_ten_thousand_ids_are_remembered_in_order(store: Store) -> None:
    held = store.assign(PARTITION)
    chunks = np.split(np.arange(25_000, dtype=np.uint64), [3_000, 3_001, 14_000, 24_999])
    for number, chunk in enumerate(chunks):
        store.commit(step(held, 1, at=number, recent_ids=chunk))

    assert store.assign(PARTITION).recent_ids.tolist() == list(range(15_000, 25_000))


def test_a_failed_commit_leaves_no_part_behind(store: Store) -> None:
    held = store.assign(PARTITION)
    broken = replace(pooled(1), time="not a number")  # type: ignore[arg-type]  # the error is the point

    with pytest.raises(Exception, match=r".+"):
        store.commit(step(held, closed=(pane(0),), pooled=(pooled(0), broken), counts={"chat": 8}))

    assert store.entries("chat", 0, 10) == []
    assert store.pool("chat") == []
    store.commit(step(held))


# --- the log of panes and events


def test_panes_and_events_of_a_monitor_share_one_sequence(store: Store) -> None:
    held = store.assign(PARTITION)
    mine, others = [pane(0), pane(8), pane(16)], [pane(0, monitor="search")]
    first = store.commit(step(held, 16, closed=(mine[0], others[0], mine[1])))
    recorded = store.record_event(event())
    second = store.commit(step(held, at=16, closed=(mine[2],)))

    assert [p.sequence for p in first] == [1, 1, 2]
    assert (recorded.sequence, second[0].sequence) == (3, 4)
    entries = store.entries("chat", 0, 10)
    assert [entry.sequence for entry in entries] == [1, 2, 3, 4]
    assert entries[2] == recorded
    for found, expected in zip([entries[0], entries[1], entries[3]], mine, strict=True):
        assert_same_pane(found, expected, sequence=found.sequence)
    assert [entry.sequence for entry in store.entries("chat", 1, 2)] == [2, 3]
    assert store.entries("chat", 4, 10) == []
    assert store.entries("unknown", 0, 10) == []


def test_an_event_is_recorded_once(store: Store) -> None:
    first = store.record_event(event())
    store.record_event(event("e2"))

    assert store.record_event(replace(event(), time=99.0)) == first
    assert [entry.sequence for entry in store.entries("chat", 0, 10)] == [1, 2]


def test_nothing_is_decided_at_first(store: Store) -> None:
    assert store.decided("chat") == (0, 0, None)
    assert store.status("chat") == {}


def test_a_decision_writes_alarms_outbox_checkpoint_and_state_together(store: Store) -> None:
    store.commit(step(store.assign(PARTITION), 16, closed=(pane(0), pane(8))))
    store.decide(Decision("chat", 0, 1, (alarm(),), (item(),), b"checkpoint", b'{"samples": 8}'))
    store.decide(Decision("chat", 1, 2))

    assert store.decided("chat") == (2, 1, b"checkpoint")
    assert store.status("chat") == {"samples": 8}
    assert store.get(Alarm, "a1") == alarm()
    assert store.due(0.0, 10) == [item()]


@pytest.mark.parametrize(("expected", "to"), [(0, 2), (2, 2), (1, 3), (1, 0)])
def test_a_decision_from_elsewhere_changes_nothing(store: Store, expected: int, to: int) -> None:
    store.commit(step(store.assign(PARTITION), 16, closed=(pane(0), pane(8))))
    store.decide(Decision("chat", 0, 1, checkpoint=b"c1"))

    with pytest.raises(ConflictError):
        store.decide(Decision("chat", expected, to, (alarm(),), (item(),), b"c2", b"{}"))

    assert store.decided("chat") == (1, 1, b"c1")
    assert store.find(Alarm) == []
    assert store.outbox() == []


def test_a_decision_with_a_stale_alarm_decides_nothing(store: Store) -> None:
    store.commit(step(store.assign(PARTITION), closed=(pane(0),)))
    store.save(alarm(1), alarm(2))

    with pytest.raises(ConflictError, match="a1"):
        store.decide(Decision("chat", 0, 1, (alarm(2),), (item(),)))

    assert store.decided("chat")[0] == 0
    assert store.outbox() == []


def test_a_checkpoint_lets_older_panes_go_and_events_stay(open_store: Opener) -> None:
    store = open_store(panes=Retention(5 * len(summary().to_bytes()), FOR_EVER))
    held = store.assign(PARTITION)
    store.record_event(event())
    store.commit(step(held, 80, closed=tuple(pane(8 * n) for n in range(10))))

    store.decide(Decision("chat", 0, 6, checkpoint=b"six"))
    store.decide(Decision("chat", 6, 10))
    assert len(store.entries("chat", 0, 100)) == 11
    assert store.log_start("chat") == (0, None)

    store.decide(Decision("chat", 10, 11, checkpoint=b"eleven"))
    assert [entry.sequence for entry in store.entries("chat", 0, 100)] == [1, 7, 8, 9, 10, 11]
    assert store.log_start("chat") == (6, b"six")
    assert [entry.sequence for entry in store.events("chat")] == [1]
    assert store.commit(step(held, at=80, closed=(pane(80),)))[0].sequence == 12


def test_nothing_is_kept_behind_the_checkpoint_where_nothing_may_be(open_store: Opener) -> None:
    store = open_store(panes=Retention(0, FOR_EVER))
    store.commit(step(store.assign(PARTITION), 24, closed=(pane(0), pane(8), pane(16))))
    store.decide(Decision("chat", 0, 2, checkpoint=b"two"))
    assert [entry.sequence for entry in store.entries("chat", 0, 100)] == [3]
    assert store.log_start("chat") == (2, b"two")


def test_panes_go_when_their_days_are_over(open_store: Opener) -> None:
    store = open_store(panes=Retention(10**9, 100.0))
    held = store.assign(PARTITION)
    store.commit(step(held, 400, closed=tuple(pane(8 * n) for n in range(50))))
    for to in range(1, 51):
        store.decide(Decision("chat", to - 1, to, checkpoint=b"c%d" % to))
    begins, checkpoint = store.log_start("chat")
    kept = [entry for entry in store.entries("chat", 0, 100) if isinstance(entry, Pane)]
    assert checkpoint == b"c%d" % begins
    assert kept[0].sequence == begins + 1
    assert 100 <= kept[-1].last_time - kept[0].last_time + 8 <= 100 * 9 / 8 + 8


@given(sizes=st.lists(st.integers(1, 6), min_size=1, max_size=25), most=st.integers(0, 20), undecided=st.integers(0, 2))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_kept_log_is_bounded_and_begins_at_a_checkpoint(open_store: Opener, sizes: list[int], most: int, undecided: int) -> None:
    """Whatever the steps in which it is decided; what is not decided yet always stays. Each example is a monitor of its own."""
    each, monitor = len(summary().to_bytes()), f"m{RNG.integers(2**62)}"
    store = open_store(panes=Retention(most * each, FOR_EVER))
    held, panes = store.assign(Partition("http", monitor)), sum(sizes) + undecided
    store.commit(step(held, 8 * panes, closed=tuple(pane(8 * n, monitor=monitor, partition=held.partition) for n in range(panes))))
    decided = 0
    for size in sizes:
        store.decide(Decision(monitor, decided, decided + size, checkpoint=b"c%d" % (decided + size)))
        decided += size
        begins, checkpoint = store.log_start(monitor)
        assert [entry.sequence for entry in store.entries(monitor, 0, 1_000)] == list(range(begins + 1, panes + 1))
        assert checkpoint == (b"c%d" % begins if begins else None)
        assert decided - begins <= most
        assert begins == 0 or decided - begins >= most - most / 8 - max(sizes) - 1


def test_samples_are_counted_per_monitor(store: Store) -> None:
    held = store.assign(PARTITION)
    store.commit(step(held, counts={"chat": 5, "search": 3}))
    store.commit(step(held, at=8, counts={"chat": 2}))

    assert [store.samples_taken(name) for name in ("chat", "search", "unknown")] == [7, 3, 0]


# --- entities


def test_an_entity_changes_by_one_version_at_a_time(store: Store) -> None:
    store.save(alarm(1))
    acknowledged = replace(
        alarm(2), state=AlarmState.ACKNOWLEDGED, history=(*alarm().history, Step("acknowledged", "by hand", 70.0, "ana"))
    )
    store.save(acknowledged, outbox=[item()])

    assert store.get(Alarm, "a1") == acknowledged
    assert store.due(0.0, 10) == [item()]
    for version in (1, 2, 4):
        with pytest.raises(ConflictError, match="a1"):
            store.save(alarm(version), outbox=[item("o2")])
    assert store.get(Alarm, "a1") == acknowledged
    assert len(store.outbox()) == 1


def test_entities_are_saved_all_or_none(store: Store) -> None:
    with pytest.raises(ConflictError):
        store.save(alarm(1), alarm(3, id="a2"))

    assert store.find(Alarm) == []


def test_a_missing_entity_is_named(store: Store) -> None:
    store.save(alarm())
    with pytest.raises(NotFoundError, match="annotation batch 'a1'"):
        store.get(AnnotationBatch, "a1")


def test_entities_are_found_by_monitor_and_state_newest_first(store: Store) -> None:
    store.save(alarm(id="old", opened=1.0), alarm(id="new", opened=3.0), alarm(id="other", opened=2.0, monitor="search"))
    store.save(replace(alarm(2, id="old", opened=1.0), state=AlarmState.RESOLVED))

    def found(**conditions: Any) -> list[str]:
        return [entity.id for entity in store.find(Alarm, **conditions)]

    assert found() == ["new", "other", "old"]
    assert found(limit=2) == ["new", "other"]
    assert found(monitor="chat") == ["new", "old"]
    assert found(states=[AlarmState.OPEN, AlarmState.ACKNOWLEDGED]) == ["new", "other"]
    assert found(monitor="chat", states=["resolved"]) == ["old"]
    assert store.find(AnnotationBatch) == []


def test_a_batch_comes_back_with_its_candidates(store: Store) -> None:
    batch = AnnotationBatch(
        "b1", "chat", "c1", 1, BatchState.PROPOSED, (Candidate("s1", "drifted mass", 0.1, "all", "grüße", None, 3),), 5.0, version=1
    )
    store.save(batch)

    assert store.get(AnnotationBatch, "b1") == batch


def test_a_number_that_a_document_cannot_hold_is_refused_at_once(store: Store) -> None:
    with pytest.raises(ValueError, match=r".+"):
        store.save(replace(alarm(), effect=Measured(0.1, float("nan"), 0.2)))

    assert store.find(Alarm) == []


# --- pool, labels


@pytest.mark.parametrize("payload", ["grüße\x00\n", "", b"\x89PNG", np.arange(6, dtype=np.float32).reshape(2, 3), None])
def test_a_pooled_sample_comes_back_as_it_went_in(store: Store, payload: Payload | None) -> None:
    sample = pooled(4, payload=payload)
    store.commit(step(store.assign(PARTITION), pooled=(sample,)))

    (found,) = store.pool("chat")

    np.testing.assert_array_equal(found.embedding, sample.embedding)
    assert found.embedding.dtype == np.float16
    np.testing.assert_equal(found.payload, payload)
    same = ("monitor", "id", "time", "partition", "offset", "segments", "output", "label", "novelty", "reference_version")
    assert [getattr(found, name) for name in same] == [getattr(sample, name) for name in same]


def test_the_pool_keeps_the_newest_of_each_monitor(open_store: Opener) -> None:
    store = open_store(pool_rows={"chat": 5, "search": 2})
    held = store.assign(PARTITION)
    store.commit(step(held, pooled=tuple(pooled(n, monitor=m) for n in range(4) for m in ("chat", "search"))))
    store.commit(step(held, at=8, pooled=tuple(pooled(n) for n in range(4, 7))))

    def ids(monitor: str, **options: Any) -> list[str]:
        return [sample.id for sample in store.pool(monitor, **options)]

    assert ids("chat") == ["s2", "s3", "s4", "s5", "s6"]
    assert ids("search") == ["s2", "s3"]
    assert ids("chat", since=4.0) == ["s4", "s5", "s6"]
    assert ids("chat", limit=2) == ["s5", "s6"]
    assert ids("unknown") == []
    begins = {name: store.pool_begins(name) for name in ("chat", "search", "unknown")}
    assert begins == {"chat": store.pool("chat")[0].time, "search": store.pool("search")[0].time, "unknown": 0.0}


def test_how_many_bytes_of_payloads_a_pool_holds(open_store: Opener) -> None:
    store = open_store(pool_rows={"chat": 3})
    held = store.assign(PARTITION)
    payloads = ["grüße", b"\x89PNG", np.arange(6, dtype=np.float32), None, b"\x00" * 20_000]
    store.commit(step(held, pooled=tuple(pooled(n, payload=payload) for n, payload in enumerate(payloads[:3]))))
    assert store.pool_bytes("chat") == 7 + 4 + 24
    store.commit(step(held, at=8, pooled=tuple(pooled(n + 3, payload=payload) for n, payload in enumerate(payloads[3:]))))
    assert (store.pool_bytes("chat"), store.pool_bytes("unknown")) == (24 + 20_000, 0)


def test_of_the_pool_some_are_read_by_their_ids_and_without_payloads(open_store: Opener) -> None:
    store = open_store(pool_rows={"chat": 5})
    store.commit(step(store.assign(PARTITION), pooled=tuple(pooled(n) for n in range(4))))
    found = store.pool("chat", ids={"s1", "s3", "s9", "it's \u0000"})
    assert [(row.id, row.payload) for row in found] == [("s1", "hello"), ("s3", "hello")]
    assert list(store.pool("chat", ids=[])) == []
    assert [(row.id, row.payload, row.segments) for row in store.pool("chat", since=3.0, payloads=False)] == [
        ("s3", None, {"locale": "de"})
    ]


def test_a_pool_that_lost_nothing_begins_before_all(open_store: Opener) -> None:
    store = open_store(pool_rows={"chat": 5})
    store.commit(step(store.assign(PARTITION), pooled=tuple(pooled(n) for n in range(5))))
    assert store.pool_begins("chat") == 0.0


def test_one_batch_may_be_larger_than_the_pool(open_store: Opener) -> None:
    store = open_store(pool_rows={"chat": 3})
    store.commit(step(store.assign(PARTITION), pooled=tuple(pooled(n) for n in range(10))))

    assert [sample.id for sample in store.pool("chat")] == ["s7", "s8", "s9"]


def test_the_pool_keeps_the_newest_payloads_within_its_bytes(open_store: Opener) -> None:
    store = open_store(pool_rows={"chat": 5}, pool_bytes=2_500)
    held = store.assign(PARTITION)
    for n in range(8):
        store.commit(step(held, 1, at=n, pooled=(pooled(n, payload="é" * 500), pooled(n, monitor="search"))))
        kept = [sample.payload is not None for sample in store.pool("chat")]
        assert kept == [False, False, False, True, True][-n - 1 :]

    assert [sample.id for sample in store.pool("chat")] == ["s3", "s4", "s5", "s6", "s7"]
    assert all(sample.payload == "hello" for sample in store.pool("search"))


@pytest.mark.parametrize(("before", "after"), [(6, 4), (4, 6)])
def test_a_pool_takes_another_size_after_a_restart(open_durable_store: Opener, before: int, after: int) -> None:
    store = open_durable_store(pool_rows={"chat": before})
    held = store.assign(PARTITION)
    store.commit(step(held, pooled=tuple(pooled(n) for n in range(7))))
    store.close()

    store = open_durable_store(pool_rows={"chat": after})
    assert len(store.pool("chat")) <= after
    store.commit(step(held, at=8, pooled=tuple(pooled(n) for n in range(7, 7 + after))))

    assert [sample.id for sample in store.pool("chat")] == [f"s{n}" for n in range(7, 7 + after)]


def test_the_newest_label_wins_and_repetitions_are_not_counted(store: Store) -> None:
    first = Label("chat", "b1", "s1", "billing", 10.0, "ana")
    assert store.add_labels([first, Label("chat", "b1", "s1", "refund", 10.0, "bo")]) == 2
    assert store.add_labels([first]) == 0
    assert store.add_labels([replace(first, label="refund", time=9.0)]) == 0
    assert store.add_labels([replace(first, time=20.0)]) == 0
    assert store.add_labels([replace(first, label="refund", time=15.0)]) == 0
    assert store.add_labels([replace(first, label=None, unusable=True, time=30.0)]) == 1

    assert [(x.annotator, x.label, x.unusable, x.time) for x in store.labels("chat")] == [
        ("bo", "refund", False, 10.0),
        ("ana", None, True, 30.0),
    ]
    assert store.labels("chat", batch="b2") == []
    assert len(store.labels("chat", batch="b1")) == 2
    assert store.labels("search") == []


def test_an_answer_that_was_taken_back_is_no_label_until_there_is_a_newer_one(store: Store) -> None:
    given = Label("chat", "b1", "s1", "billing", 10.0, "ana")
    store.add_labels([given])
    assert store.add_labels([replace(given, label="", time=20.0)]) == 1
    assert store.labels("chat") == []
    assert store.add_labels([given]) == 0
    assert store.labels("chat") == []
    store.add_labels([replace(given, time=30.0)])
    assert [label.label for label in store.labels("chat")] == ["billing"]


# --- outbox, dead letters


def test_pending_items_are_due_in_order_of_their_time(store: Store) -> None:
    items = [item("late", due=9.0), item("soon", due=2.0), item("now"), item("dead", state="dead")]
    store.save(outbox=items)

    assert [x.id for x in store.due(5.0, 10)] == ["now", "soon"]
    assert [x.id for x in store.due(9.0, 1)] == ["now"]
    assert [x.id for x in store.outbox(states=["dead"])] == ["dead"]
    assert [x.id for x in store.outbox(limit=2)] == ["dead", "now"]


def test_what_is_due_may_leave_destinations_out(store: Store) -> None:
    told = {"destination": "pager", "text": 'so "destination":"pager" stands in it'}
    stuck = [replace(item(f"s{n}"), destination="stuck", payload=told) for n in range(230)]
    others = [replace(item("a", due=1.0), destination="pager"), replace(item("b", due=2.0), destination="chat")]
    store.save(outbox=[*stuck, *others])

    assert [x.id for x in store.due(5.0, 2)] == ["s0", "s1"]
    assert [x.id for x in store.due(5.0, 1, without=["stuck"])] == ["a"]
    assert [x.id for x in store.due(5.0, 9, without=["stuck"])] == ["a", "b"]
    assert [x.id for x in store.due(5.0, 9, without=["stuck", "pager"])] == ["b"]
    assert len(store.due(5.0, 999, without=["chat"])) == 231


def test_an_item_that_was_sent_is_not_queued_again(store: Store) -> None:
    store.save(outbox=[item()])
    delivered = replace(item(), state="delivered", attempts=1)
    store.settle(delivered)
    store.save(outbox=[item()])

    assert store.due(99.0, 10) == []
    assert store.outbox() == [delivered]
    with pytest.raises(NotFoundError, match="o9"):
        store.settle(item("o9"))


def test_an_attempt_and_a_change_of_what_is_told_leave_each_other_alone(store: Store) -> None:
    """A sample is forgotten while what shows it is under way."""
    known = replace(item(), payload={"text": "shown"})
    store.save(outbox=[known])
    store.reword(replace(known, payload={"text": ""}))
    store.settle(replace(known, state="delivered", attempts=1))
    assert store.outbox() == [replace(known, payload={"text": ""}, state="delivered", attempts=1)]
    store.reword(replace(known, payload={"text": "again"}))
    assert store.outbox() == [replace(known, payload={"text": "again"}, state="delivered", attempts=1)]
    with pytest.raises(NotFoundError, match="o9"):
        store.reword(item("o9"))


def test_dead_letters_are_kept_once_newest_first(store: Store) -> None:
    held = store.assign(PARTITION)
    store.commit(step(held, dead_letters=(letter(0), letter(1, monitor=None))))
    store.add_dead_letters([letter(0), letter(2)])

    found = store.dead_letters()
    assert [x.offset for x in found] == [2, 1, 0]
    assert (found[0].id, found[0].rejected) == (letter(2).id, letter(2).rejected)
    assert [x.offset for x in store.dead_letters(monitor="chat")] == [2, 0]
    assert [x.offset for x in store.dead_letters(limit=1)] == [2]


def test_dead_letters_are_bounded(open_store: Opener) -> None:
    store = open_store(dead_letters=(3, 10**9))
    store.commit(step(store.assign(PARTITION), dead_letters=tuple(letter(n) for n in range(5))))
    store.add_dead_letters([letter(5)])

    assert [x.offset for x in store.dead_letters()] == [5, 4, 3]


def test_dead_letters_are_bounded_in_bytes(open_store: Opener) -> None:
    large = [replace(letter(n), rejected=Rejected("text", "too long", bytes(1_000))) for n in range(6)]
    store = open_store(dead_letters=(100, 3_500))
    store.commit(step(store.assign(PARTITION), dead_letters=tuple(large[:5])))
    store.add_dead_letters(large[5:])
    assert [x.offset for x in store.dead_letters()] == [5, 4, 3]

    store.add_dead_letters([replace(letter(6), rejected=Rejected("text", "too long", bytes(9_000)))])
    assert [x.offset for x in store.dead_letters()] == [6]


# --- several at once, and afterwards


def test_everything_is_there_after_a_restart(open_durable_store: Opener) -> None:
    store = open_durable_store()
    held = store.assign(PARTITION)
    store.commit(step(held, closed=(pane(0),), pooled=(pooled(0),), counts={"chat": 8}))
    store.close()

    store = open_durable_store()
    assert store.assign(PARTITION).offset == 8
    assert (len(store.entries("chat", 0, 10)), len(store.pool("chat")), store.samples_taken("chat")) == (1, 1, 8)


def test_another_handle_sees_and_changes_the_same_state(open_durable_store: Opener) -> None:
    serving, tool = open_durable_store(), open_durable_store()
    serving.save(alarm(1))
    tool.save(alarm(2))

    with pytest.raises(ConflictError):
        serving.save(alarm(2))


def test_of_many_that_change_an_entity_at_once_one_wins(store: Store) -> None:
    store.save(alarm(1))
    won: list[int] = []

    def change(number: int) -> None:
        try:
            store.save(replace(alarm(2), kind=f"by {number}"))
        except ConflictError:
            return
        won.append(number)

    threads = [threading.Thread(target=change, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(won) == 1
    assert store.get(Alarm, "a1").kind == f"by {won[0]}"


def test_readers_see_whole_commits_while_a_writer_works(store: Store) -> None:
    held = store.assign(PARTITION)
    torn: list[int] = []
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            entries = store.entries("chat", 0, 1000)
            if len(entries) % 2 or [entry.sequence for entry in entries] != list(range(1, len(entries) + 1)):
                torn.append(len(entries))

    watcher = threading.Thread(target=watch)
    watcher.start()
    for number in range(60):
        store.commit(step(held, 16, at=16 * number, closed=(pane(16 * number), pane(16 * number + 8))))
    done.set()
    watcher.join()

    assert torn == []
    assert len(store.entries("chat", 0, 1000)) == 120
