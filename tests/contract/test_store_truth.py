"""What every Store promises of answers and of what turned out to be right."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from service.errors import ConflictError
from service.ports import Store
from service.records import Answer, Event, Truths
from tests.contract.stored import PARTITION, Opener, block, judgement, step


@pytest.fixture
def store(open_store: Opener) -> Store:
    return open_store()


def told(number: int, monitor: str = "chat") -> Event:
    return Event(f"told {number}", monitor, "truth", 60.0, "driftgate", body={"until": number})


def truths(store: Store, monitor: str = "chat") -> list[tuple[str, str]]:
    return [(each.sample, each.truth) for each in store.judgements(monitor)]


def test_answers_of_a_commit_are_found_by_the_samples_ids(store: Store) -> None:
    held = store.assign(PARTITION)
    store.commit(step(held, answers=(block(["s0", "s1"]), block(["s1"], "cancel", monitor="search"))))
    known = Answer("refund", 0.75, {"locale": "de"}, ("locale=de",), 3, 1, 1.0)
    assert store.answers("chat", ["s1", "s2"]) == {"s1": known}
    assert store.answers("search", ["s0", "s1"])["s1"].predicted == "cancel"
    assert store.answers("other", ["s0"]) == {}
    assert store.answers("chat", []) == {}


def test_a_refused_commit_leaves_no_answers_and_no_truth(store: Store) -> None:
    held = store.assign(PARTITION)
    with pytest.raises(ConflictError):
        store.commit(step(held, at=5, answers=(block(["s0"]),), truths=(Truths("chat", (judgement("s0"),), 100),)))
    assert store.answers("chat", ["s0"]) == {}
    assert store.judgements("chat") == []
    assert store.known_truth("chat", ["s0"]) == {}


def test_the_newest_answers_are_kept_by_whole_blocks(store: Store) -> None:
    for number in range(5):
        held = store.assign(PARTITION)
        store.commit(step(held, answers=(block([f"s{number}a", f"s{number}b"], keep=5),)))
    assert sorted(store.answers("chat", [f"s{n}{part}" for n in range(5) for part in "ab"])) == ["s2a", "s2b", "s3a", "s3b", "s4a", "s4b"]


def test_however_many_blocks_there_are_the_newest_answer_is_found(store: Store) -> None:
    held = store.assign(PARTITION)
    many = [block([f"s{number}", "again"], f"class {number}") for number in range(150)]
    store.commit(step(held, answers=tuple(many)))
    found = store.answers("chat", ["s0", "s100", "again", "nobody"])
    assert {sample: answer.predicted for sample, answer in found.items()} == {"s0": "class 0", "s100": "class 100", "again": "class 149"}


def test_small_blocks_are_merged_and_nothing_is_lost(store: Store) -> None:
    for number in range(12):
        held = store.assign(PARTITION)
        mine = block([f"s{number}", "again"], f"class {number}", version=1 + number // 6, keep=20)
        store.commit(step(held, answers=(mine, block([f"s{number}"], monitor="search"))))
        if number % 5 == 4:
            store.tidy(now=0.0)
    found = store.answers("chat", [*(f"s{n}" for n in range(12)), "again"])
    assert {sample: answer.predicted for sample, answer in found.items() if sample != "again"} == {
        f"s{n}": f"class {n}" for n in range(12) if f"s{n}" in found
    }
    assert found["again"].predicted == "class 11"
    assert {f"s{n}" for n in range(2, 12)} <= found.keys()
    assert len(store.answers("search", [f"s{n}" for n in range(12)])) == 12


def test_what_became_known_comes_back_in_order_of_arrival(store: Store) -> None:
    store.judge(Truths("chat", (judgement("s1"), judgement("s0", "cancel", told=70.0)), 100))
    store.judge(Truths("chat", (judgement("s2", told=80.0),), 100))
    store.judge(Truths("search", (judgement("s9", monitor="search"),), 100))
    assert truths(store) == [("s1", "refund"), ("s0", "cancel"), ("s2", "refund")]
    assert [each.sample for each in store.judgements("chat", since=70.0)] == ["s0", "s2"]
    assert [each.sample for each in store.judgements("chat", limit=1)] == ["s2"]
    (found,) = store.judgements("search")
    assert (found.monitor, found.predicted, found.cluster, found.streams) == ("search", "refund", 3, ("locale=de",))
    assert np.isnan(found.confidence)


def test_a_correction_stands_where_the_old_truth_stood(store: Store) -> None:
    store.judge(Truths("chat", (judgement("s0"), judgement("s1")), 100))
    store.judge(Truths("chat", (judgement("s0", "cancel"),), 100))
    assert truths(store) == [("s0", "cancel"), ("s1", "refund")]


def test_what_became_known_meanwhile_is_compared_sample_by_sample(store: Store) -> None:
    assert store.known_truth("chat", ["s0"]) == {}
    store.judge(Truths("chat", (judgement("s0"),), 100, before={}))
    known = store.known_truth("chat", ["s0", "s1"])
    assert {sample: each and each.truth for sample, each in known.items()} == {"s0": "refund"}
    assert set(store.judge(Truths("chat", (judgement("s0", "cancel"), judgement("s1")), 100, before={}))) == {"s0"}
    assert truths(store) == [("s0", "refund"), ("s1", "refund")]
    before = {sample: each for sample, each in store.known_truth("chat", ["s0"]).items() if each}
    assert not store.judge(Truths("chat", (judgement("s0", "cancel"),), 100, before=before))
    assert truths(store) == [("s0", "cancel"), ("s1", "refund")]


def test_truth_that_samples_bring_is_compared_alike(store: Store) -> None:
    held = store.assign(PARTITION)
    store.commit(step(held, truths=(Truths("chat", (judgement("s0"),), 100),)))
    assert set(store.judge(Truths("chat", (judgement("s0", "cancel"),), 100, before={}))) == {"s0"}
    assert truths(store) == [("s0", "refund")]


def tell_all(store: Store) -> None:
    untold = store.untold("chat", 1_000)
    store.tell(told(untold.until), after=untold.after, until=untold.until)


def test_the_newest_truth_is_kept(store: Store) -> None:
    for number in range(6):
        store.judge(Truths("chat", (judgement(f"s{number}"),), 3))
    tell_all(store)
    store.judge(Truths("chat", (judgement("s4", "cancel"), judgement("s3")), 3))
    assert truths(store) == [("s3", "refund"), ("s4", "cancel"), ("s5", "refund")]


def test_what_the_log_does_not_tell_of_stays(store: Store) -> None:
    store.judge(Truths("chat", tuple(judgement(f"s{number}") for number in range(6)), 3))
    assert len(store.untold("chat", 10).judgements) == 6
    tell_all(store)
    store.judge(Truths("chat", (judgement("s6"),), 3))
    assert [sample for sample, _ in truths(store)] == ["s4", "s5", "s6"]


def test_that_a_sample_was_judged_outlives_how(store: Store) -> None:
    """So that its label does not count again; it is forgotten, too, in the end."""
    store.judge(Truths("chat", tuple(judgement(f"s{number}") for number in range(6)), 2, remember=4))
    tell_all(store)
    store.judge(Truths("chat", (judgement("s5", "cancel"),), 2, remember=4))
    known = store.known_truth("chat", [f"s{number}" for number in range(7)])
    assert {sample: each and each.truth for sample, each in known.items()} == {"s2": None, "s3": None, "s4": "refund", "s5": "cancel"}
    assert set(store.judge(Truths("chat", (judgement("s2"), judgement("s6")), 2, remember=4, before={}))) == {"s2"}
    held = store.assign(PARTITION)
    store.commit(step(held, truths=(Truths("chat", (judgement("s4"), judgement("s3")), 2, remember=4),)))
    assert truths(store)[-1] == ("s6", "refund")
    assert [each.sample for each in store.untold("chat", 10).judgements] == ["s6"]


def test_an_answer_under_a_reference_counts_anew_where_none_was_known(store: Store) -> None:
    unknown = replace(judgement("s0"), reference_version=0)
    store.judge(Truths("chat", (unknown, judgement("s1")), 100))
    tell_all(store)
    held = store.assign(PARTITION)
    store.commit(step(held, truths=(Truths("chat", (judgement("s0"), judgement("s1", "cancel")), 100),)))
    assert truths(store) == [("s1", "cancel"), ("s0", "refund")]
    assert [(each.sample, each.reference_version) for each in store.untold("chat", 10).judgements] == [("s0", 1)]


def test_each_is_told_once(store: Store) -> None:
    store.judge(Truths("chat", tuple(judgement(f"s{n}") for n in range(3)), 100))
    untold = store.untold("chat", 2)
    assert ([each.sample for each in untold.judgements], untold.after, untold.until) == (["s0", "s1"], 0, 2)
    recorded = store.tell(told(1), after=untold.after, until=untold.until)
    assert (recorded.sequence, store.undecided()) == (1, ["chat"])
    assert list(store.entries("chat", 0, 10)) == [recorded]
    with pytest.raises(ConflictError, match="read again"):
        store.tell(told(2), after=untold.after, until=untold.until)
    store.judge(Truths("chat", (judgement("s0", "cancel"), judgement("s3")), 100))
    rest = store.untold("chat", 10)
    assert ([each.sample for each in rest.judgements], rest.after) == (["s2", "s3"], 2)
    assert store.tell(told(3), after=rest.after, until=rest.until).sequence == 2
    assert store.untold("chat", 10).judgements == ()
    assert [event.id for event in store.events("chat")] == ["told 1", "told 3"]


def test_another_handle_sees_the_same(open_durable_store: Opener) -> None:
    one = open_durable_store()
    held = one.assign(PARTITION)
    one.commit(step(held, answers=(block(["s0"]),), truths=(Truths("chat", (judgement("s1"),), 100),)))
    other = open_durable_store()
    assert set(other.answers("chat", ["s0"])) == {"s0"}
    assert truths(other) == [("s1", "refund")]
    assert set(other.known_truth("chat", ["s0", "s1"])) == {"s1"}
