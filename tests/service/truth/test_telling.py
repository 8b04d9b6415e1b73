"""What became known is told in the log once, as counts."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.adapters.sqlite import SqliteStore
from service.errors import ConflictError
from service.records import Event, Judgement, Truths
from service.truth.telling import MOST, TRUTH, Telling, blocks, counted, tell
from tests.service.truth.conftest import Judge


def know(store: SqliteStore, judgement: Judge, *numbers: int, wrong: bool = False) -> None:
    store.judge(Truths("chat", tuple(judgement(n, wrong=wrong) for n in numbers), 100_000))


def test_each_label_is_told_once(store: SqliteStore, judgement: Judge) -> None:
    know(store, judgement, 0, 1, 2)
    first = tell(store, "chat", now=50.0)
    assert tell(store, "chat", now=51.0) is None
    know(store, judgement, 3, wrong=True)
    second = tell(store, "chat", now=52.0)
    assert first
    assert second
    assert store.events("chat") == [first, second]
    assert (first.kind, first.time, first.sequence) == (TRUTH, 50.0, 1)
    assert first.body["versions"] == {"1": {"streams": {"all": [3, 0, 0, 0], "locale=de": [3, 0, 0, 0]}, "delay": [60.0, 60.0]}}
    assert second.body["versions"]["1"]["streams"]["all"] == [1, 1]


def test_a_correction_is_not_told_again_but_in_time_it_is_told_right(store: SqliteStore, judgement: Judge) -> None:
    know(store, judgement, 0, 1, wrong=True)
    know(store, judgement, 0)
    tell(store, "chat", now=50.0)
    know(store, judgement, 1)
    assert tell(store, "chat", now=51.0) is None
    (event,) = store.events("chat")
    assert event.body["versions"]["1"]["streams"]["all"] == [2, 0, 1]


def test_two_who_tell_at_once_tell_once(store: SqliteStore, judgement: Judge) -> None:
    know(store, judgement, 0, 1)
    slow = store.untold("chat", 10)
    tell(store, "chat", now=50.0)
    with pytest.raises(ConflictError, match="read again"):
        store.tell(Event("e", "chat", TRUTH, 50.0, "driftgate"), after=slow.after, until=slow.until)
    assert len(store.events("chat")) == 1


def test_many_labels_are_several_events(store: SqliteStore, judgement: Judge) -> None:
    know(store, judgement, *range(MOST + 10))
    tell(store, "chat", now=50.0)
    told = [event.body["versions"]["1"]["streams"]["all"] for event in store.events("chat")]
    assert [labels for labels, *_ in told] == [MOST, 10]


def test_versions_are_told_apart_and_their_streams(judgement: Judge) -> None:
    told = counted([judgement(0), judgement(1, version=2, streams=("locale=en", "plan=pro"), wrong=True)])
    assert told["1"]["streams"] == {"all": [1, 0], "locale=de": [1, 0]}
    assert told["2"]["streams"] == {"all": [1, 1], "locale=en": [1, 1], "plan=pro": [1, 1]}


@given(st.lists(st.booleans(), min_size=1, max_size=200))
def test_blocks_hold_what_was_counted_in_order(wrong: list[bool]) -> None:
    judgements = [Judgement("chat", str(n), "a", "b" if bad else "a", 1.0, {}, 0, 1, 0.0, 0.0) for n, bad in enumerate(wrong)]
    found = list(blocks(counted(judgements)["1"]["streams"]["all"]))
    assert (sum(labels for labels, _ in found), len(found)) == (len(wrong), min(len(found), 16))
    ends = [0]
    for labels, _ in found:
        ends.append(ends[-1] + labels)
    assert [errors for _, errors in found] == [sum(wrong[start:end]) for start, end in pairwise(ends)]


def test_an_event_is_small(judgement: Judge) -> None:
    streams = [f"locale={n}" for n in range(20)]
    told = counted([judgement(n, streams=(streams[n % 20],), wrong=n % 3 == 0) for n in range(MOST)])
    assert len(json.dumps(told)) < 2_000


def test_a_monitor_is_told_of_at_once_and_then_once_a_minute(store: SqliteStore, judgement: Judge) -> None:
    telling = Telling(store, lambda: ["chat", "search"])
    know(store, judgement, 0)
    assert telling.step(1_000.0) == 1
    know(store, judgement, 1)
    assert [telling.step(now) for now in (1_001.0, 1_030.0, 1_055.0, 1_061.0)] == [0, 0, 0, 1]
