"""Labels find their answers, and each that does not says why."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Any

import pytest

from service.adapters.sqlite import SqliteStore
from service.errors import ConflictError
from service.records import Truths
from service.settings import MonitorSettings
from service.truth.taking import Fate, Given, Receipt, take
from service.truth.telling import tell
from tests.service.truth.conftest import Judge, Keep

SETTINGS = MonitorSettings.model_validate(
    {"name": "chat", "embedder": {"input": "none", "dimension": 2}, "classes": ["refund", "cancel", "invoice"]}
)
NOW = 5_000.0


def took(store: SqliteStore, *given: Given | tuple[str, str], now: float = NOW) -> Receipt:
    return take(store, SETTINGS, [each if isinstance(each, Given) else Given(*each) for each in given], now=now)


def counts(receipt: Receipt) -> dict[str, int]:
    return {fate.value: count for fate, count in receipt.counts.items()}


def truths(store: SqliteStore) -> Sequence[tuple[str, str, str]]:
    return [(each.sample, each.predicted, each.truth) for each in store.judgements("chat")]


def test_a_label_finds_the_answer_that_it_judges(store: SqliteStore, keep: Keep) -> None:
    keep(["s0", "s1"])
    receipt = took(store, ("s1", "cancel"), ("s0", "refund"))
    assert (counts(receipt), receipt.named, receipt.delays) == ({"taken": 2}, (), (NOW - 101, NOW - 100))
    found, other = store.judgements("chat")
    assert (found.sample, found.right, other.right) == ("s0", True, False)
    assert (found.confidence, found.cluster, found.reference_version, found.time, found.told) == (0.75, 3, 1, 100.0, NOW)
    assert (dict(found.segments), found.streams) == ({"locale": "de"}, ("locale=de",))


def test_repeating_a_delivery_changes_nothing(store: SqliteStore, keep: Keep) -> None:
    keep(["s0", "s1"])
    took(store, ("s0", "refund"), ("s1", "cancel"))
    before = store.judgements("chat")
    receipt = took(store, ("s0", "refund"), ("s1", "cancel"), now=NOW + 9)
    assert counts(receipt) == {"repeated": 2}
    assert [vars_of(each) for each in store.judgements("chat")] == [vars_of(each) for each in before]


def vars_of(each: Any) -> tuple[Any, ...]:
    return tuple(getattr(each, name) for name in each.__slots__)


def test_of_contradicting_truth_the_newest_stands_in_the_olds_place(store: SqliteStore, keep: Keep) -> None:
    keep(["s0", "s1"])
    took(store, ("s0", "cancel"), ("s1", "refund"))
    receipt = took(store, ("s0", "refund"), now=NOW + 1)
    assert (counts(receipt), receipt.kept) == ({"corrected": 1}, 1)
    assert "'cancel' before, and is 'refund' now" in receipt.named[0].message
    assert truths(store) == [("s0", "refund", "refund"), ("s1", "refund", "refund")]
    late = took(store, Given("s0", "invoice", time=NOW - 50), now=NOW + 2)
    assert counts(late) == {"outdated": 1}
    assert truths(store)[0] == ("s0", "refund", "refund")


def test_a_delivery_that_contradicts_itself_ends_with_its_newest(store: SqliteStore, keep: Keep) -> None:
    keep(["s0"])
    receipt = took(store, Given("s0", "invoice", time=30.0), Given("s0", "refund", time=20.0), Given("s0", "invoice", time=40.0))
    assert counts(receipt) == {"taken": 1, "corrected": 1, "repeated": 1}
    assert truths(store) == [("s0", "refund", "invoice")]


def test_unknown_samples_are_named_and_may_come_again(store: SqliteStore, keep: Keep) -> None:
    receipt = took(store, ("s0", "refund"))
    assert (counts(receipt), receipt.named[0].id, receipt.named[0].fate) == ({"unknown": 1}, "s0", Fate.UNKNOWN)
    assert "200,000" in receipt.named[0].message
    keep(["s0"])
    assert counts(took(store, ("s0", "refund"))) == {"taken": 1}


def test_a_label_that_brings_the_answer_needs_no_sample(store: SqliteStore) -> None:
    assert counts(took(store, Given("s0", "refund", predicted="cancel"))) == {"taken": 1}
    (found,) = store.judgements("chat")
    assert (found.predicted, found.reference_version, found.cluster, math.isnan(found.confidence)) == ("cancel", 0, -1, True)


def test_the_own_record_of_an_answer_counts(store: SqliteStore, keep: Keep) -> None:
    keep(["s0"])
    took(store, Given("s0", "refund", predicted="cancel"))
    assert truths(store) == [("s0", "refund", "refund")]


@pytest.mark.parametrize("given", [Given("s0", "refnud"), Given("s0", "refund", predicted="refnud")])
def test_what_is_no_class_is_named_with_the_allowed_ones_and_the_rest_is_taken(store: SqliteStore, keep: Keep, given: Given) -> None:
    keep(["s0", "s1"])
    receipt = took(store, given, ("s1", "refund"))
    assert counts(receipt) == {"outside": 1, "taken": 1}
    assert receipt.named[0].message.startswith("'refnud' is no class of the monitor; allowed: refund, cancel, invoice; ")


def test_a_class_that_is_still_to_be_learnt_is_declared(store: SqliteStore, keep: Keep) -> None:
    keep(["s0", "s1"])
    settings = SETTINGS.model_copy(update={"truth": SETTINGS.truth.model_copy(update={"new_classes": ("parcel",)})})
    receipt = take(store, settings, [Given("s0", "parcel"), Given("s1", "refund", predicted="parcel")], now=NOW)
    assert counts(receipt) == {"taken": 1, "outside": 1}
    assert [judged.right for judged in store.judgements("chat")] == [False]


def test_without_declared_classes_any_label_is_one(store: SqliteStore, keep: Keep) -> None:
    keep(["s0"])
    receipt = take(store, SETTINGS.model_copy(update={"classes": ()}), [Given("s0", "anything")], now=NOW)
    assert counts(receipt) == {"taken": 1}


def test_a_hundred_are_named(store: SqliteStore) -> None:
    receipt = took(store, *[(f"s{n}", "refund") for n in range(250)])
    assert (counts(receipt), len(receipt.named)) == ({"unknown": 250}, 100)


def test_a_label_from_the_future_came_now(store: SqliteStore, keep: Keep) -> None:
    keep(["s0"])
    took(store, Given("s0", "refund", time=NOW + 1e6))
    assert store.judgements("chat")[0].told == NOW


def test_labels_that_come_between_are_seen(store: SqliteStore, keep: Keep, judgement: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another delivery of one of the labels slips in after this one has looked: that one is looked at again, the other stands."""
    keep(["s0", "s1"])
    judge, other, asked = store.judge, judgement(0), list[int]()

    def slower(truths: Truths) -> Collection[str]:
        if not asked:
            judge(Truths("chat", (other,), 100))
        asked.append(len(truths.judgements))
        return judge(truths)

    monkeypatch.setattr(store, "judge", slower)
    assert counts(took(store, ("s0", "refund"), ("s1", "refund"))) == {"repeated": 1, "taken": 1}
    assert (len(store.judgements("chat")), asked) == (2, [2])


def test_labels_of_other_samples_that_come_all_the_time_hold_nothing_up(
    store: SqliteStore, keep: Keep, judgement: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(["s0"])
    judge, number = store.judge, iter(range(5, 500))

    def slower(truths: Truths) -> Collection[str]:
        judge(Truths("chat", (judgement(next(number)),), 100))
        return judge(truths)

    monkeypatch.setattr(store, "judge", slower)
    assert counts(took(store, ("s0", "refund"))) == {"taken": 1}


def test_labels_that_always_come_between_are_one_error(store: SqliteStore, keep: Keep, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(["s0"])

    def refused(truths: Truths) -> Collection[str]:
        return {each.sample for each in truths.judgements}

    monkeypatch.setattr(store, "judge", refused)
    with pytest.raises(ConflictError, match="send these again"):
        took(store, ("s0", "refund"))


def total(store: SqliteStore, version: str = "1") -> int:
    """Labels that the log tells of."""
    found = (event.body["versions"].get(version) for event in store.events("chat"))
    return sum(told["streams"]["all"][0] for told in found if told)


def test_a_file_of_more_labels_than_are_kept_counts_once(store: SqliteStore, keep: Keep) -> None:
    few = SETTINGS.model_copy(update={"truth": SETTINGS.truth.model_copy(update={"keep_labels": 20})})
    ids = [f"s{n}" for n in range(100)]
    keep(ids)
    for _ in range(2):
        for start in range(0, 100, 25):
            receipt = take(store, few, [Given(sample, "cancel") for sample in ids[start : start + 25]], now=NOW)
            tell(store, "chat", now=NOW)
    assert counts(receipt) == {"repeated": 25}
    assert total(store) == 100
    assert len(store.judgements("chat")) == 25, "the last delivery was told after room was made"


def test_labels_that_wait_to_be_told_make_no_room(store: SqliteStore, keep: Keep) -> None:
    few = SETTINGS.model_copy(update={"truth": SETTINGS.truth.model_copy(update={"keep_labels": 20})})
    ids = [f"s{n}" for n in range(100)]
    keep(ids)
    take(store, few, [Given(sample, "cancel") for sample in ids], now=NOW)
    tell(store, "chat", now=NOW)
    assert total(store) == 100


def test_a_label_that_overtook_its_sample_is_matched_when_it_comes_again(store: SqliteStore, keep: Keep) -> None:
    """It has brought an answer; the one that is kept now is that which counts, and it is told."""
    took(store, Given("s0", "refund", predicted="cancel"), Given("s1", "refund", predicted="cancel"))
    tell(store, "chat", now=NOW)
    keep(["s0", "s1"])
    again = took(store, Given("s0", "refund", predicted="cancel"), Given("s1", "cancel", predicted="cancel"), now=NOW + 1)
    assert (counts(again), again.delays) == ({"taken": 1, "corrected": 1}, (NOW + 1 - 100,))
    assert truths(store) == [("s0", "refund", "refund"), ("s1", "refund", "cancel")]
    tell(store, "chat", now=NOW + 2)
    assert total(store) == 2
    assert counts(took(store, ("s0", "refund"), now=NOW + 3)) == {"repeated": 1}


def test_a_label_that_overtook_its_sample_is_matched_when_labels_are_told(store: SqliteStore, keep: Keep) -> None:
    took(store, Given("s0", "refund", predicted="cancel"), Given("s1", "refund", predicted="cancel"))
    tell(store, "chat", now=NOW)
    keep(["s0"])
    took(store, Given("s2", "refund", predicted="cancel"))
    tell(store, "chat", now=NOW + 60)
    assert total(store) == 1
    assert truths(store) == [("s1", "cancel", "refund"), ("s2", "cancel", "refund"), ("s0", "refund", "refund")]
