"""Deliveries of labels: kept once, worked off in order, their outcome kept with them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing

import pytest

from service import annotation
from service.adapters.sqlite import SqliteStore
from service.annotation import TakenBack
from service.annotation.scheme import first
from service.errors import BacklogFullError, ConflictError, InputError, NotFoundError
from service.inbox import KEEP_SECONDS, Inbox
from service.records import AnnotationBatch, BatchState, Candidate, Declaration, DeclarationState, Delivery, DeliveryState, Label

NOW = 1_000.0


@pytest.fixture
def store() -> Iterator[SqliteStore]:
    with closing(SqliteStore(":memory:")) as store:
        store.save(batch())
        yield store


@pytest.fixture
def inbox(store: SqliteStore) -> Inbox:
    return inbox_of(store)


def inbox_of(store: SqliteStore) -> Inbox:
    def take(labels: Sequence[Label], *, now: float) -> TakenBack:
        return annotation.take_back(store, labels, quota=1.0, now=now)

    return Inbox(store, take)


def batch(state: BatchState = BatchState.SENT, *, id: str = "b1", size: int = 4) -> AnnotationBatch:
    items = tuple(Candidate(f"s{number}", "new", 0.1, "all") for number in range(size))
    return AnnotationBatch(id, "support", "c1", 1, state, items, NOW, version=1)


def label(sample: str, said: str | None = "refund", *, annotator: str = "ana", time: float = NOW, batch: str = "b1") -> Label:
    return Label("support", batch, sample, said, time, annotator, unusable=said is None)


def test_labels_are_kept_first_and_taken_later(store: SqliteStore, inbox: Inbox) -> None:
    kept = inbox.receive([label("s0"), label("s1", None), label("ghost")], id="msg_1", source="webhook", now=NOW)
    assert (kept.id, kept.state, store.labels("support")) == ("msg_1", DeliveryState.PENDING, [])
    assert inbox.step(NOW + 1) == 1
    done = store.get(Delivery, "msg_1")
    assert (done.state, done.count, done.changed, done.unknown, done.late) == (DeliveryState.TAKEN, 3, 2, ("ghost",), 0)
    assert inbox.step(NOW + 2) == 0


def test_a_repetition_is_known_before_and_after_it_was_worked_off(store: SqliteStore, inbox: Inbox) -> None:
    for _ in range(2):
        for _ in range(2):
            inbox.receive([label("s0")], id="msg_1", source="webhook", now=NOW)
        inbox.step(NOW)
    assert (len(store.find(Delivery)), store.get(Delivery, "msg_1").version) == (1, 2)


def test_without_an_id_the_labels_are_it(inbox: Inbox) -> None:
    first, again = (inbox.receive([label("s0")], source="file", now=NOW + n) for n in range(2))
    other = inbox.receive([label("s0", "loan")], source="file", now=NOW)
    assert first == again
    assert other.id != first.id


def test_the_same_id_with_other_labels_is_a_conflict(inbox: Inbox) -> None:
    inbox.receive([label("s0")], id="msg_1", source="webhook", now=NOW)
    with pytest.raises(ConflictError, match="msg_1 came before with other labels"):
        inbox.receive([label("s0", "loan")], id="msg_1", source="webhook", now=NOW)


def test_a_repetition_of_what_a_former_version_kept_is_known(store: SqliteStore, inbox: Inbox) -> None:
    store.save(Delivery("msg_1", "support", "b1", (label("s0"),), NOW, "webhook", DeliveryState.TAKEN, version=1))
    assert inbox.receive([label("s0")], id="msg_1", source="webhook", now=NOW + 1).state is DeliveryState.TAKEN
    with pytest.raises(ConflictError, match="msg_1 came before with other labels"):
        inbox.receive([label("s0", "loan")], id="msg_1", source="webhook", now=NOW + 1)


def test_an_id_that_can_stand_in_no_path_is_replaced(inbox: Inbox) -> None:
    name = inbox.receive([label("s0")], id="a/../b?c", source="webhook", now=NOW).id
    assert name.isalnum()
    assert inbox.receive([label("s0")], id="a/../b?c", source="webhook", now=NOW).id == name


@pytest.mark.parametrize(
    ("labels", "error"),
    [([], InputError), ([label("s0"), label("s0", batch="b2")], InputError), ([label("s0", batch="nowhere")], NotFoundError)],
)
def test_what_no_batch_asked_for_is_refused_at_once(inbox: Inbox, labels: list[Label], error: type[Exception]) -> None:
    with pytest.raises(error):
        inbox.receive(labels, source="webhook", now=NOW)


def test_a_batch_that_nobody_was_asked_about(store: SqliteStore, inbox: Inbox) -> None:
    store.save(batch(BatchState.PROPOSED, id="b2"))
    with pytest.raises(ConflictError, match="approve and send it first"):
        inbox.receive([label("s0", batch="b2")], source="webhook", now=NOW)


@pytest.mark.parametrize("state", [BatchState.CLOSED, BatchState.CANCELLED])
def test_late_labels_are_kept_and_said_to_be_late(store: SqliteStore, inbox: Inbox, state: BatchState) -> None:
    store.save(batch(state, id="b2"))
    kept = inbox.receive([label("s0", batch="b2"), label("s1", batch="b2")], source="webhook", now=NOW)
    inbox.step(NOW)
    assert store.get(Delivery, kept.id).late == 2
    assert len(store.labels("support", batch="b2")) == 2


def test_who_says_something_else_than_before_is_counted_and_the_newest_counts(store: SqliteStore, inbox: Inbox) -> None:
    inbox.receive([label("s0"), label("s1")], id="a", source="webhook", now=NOW)
    inbox.receive([label("s0", "loan", time=NOW + 9), label("s1", time=NOW + 9)], id="b", source="webhook", now=NOW + 1)
    inbox.receive([label("s2"), label("s2", "loan", time=NOW + 1)], id="c", source="webhook", now=NOW + 2)
    inbox.step(NOW + 2)
    assert [store.get(Delivery, name).conflicting for name in "abc"] == [0, 1, 1]
    assert {kept.sample: kept.label for kept in store.labels("support")} == {"s0": "loan", "s1": "refund", "s2": "loan"}


def test_half_a_batch_twice(store: SqliteStore, inbox: Inbox) -> None:
    half = [label("s0"), label("s1")]
    inbox.receive(half, id="a", source="webhook", now=NOW)
    inbox.receive(half, id="b", source="webhook", now=NOW)
    inbox.step(NOW)
    assert (store.get(Delivery, "a").changed, store.get(Delivery, "b").changed) == (2, 0)
    assert store.get(AnnotationBatch, "b1").returned == 2


def test_an_answer_that_was_taken_back_is_no_label(store: SqliteStore, inbox: Inbox) -> None:
    inbox.receive([label("s0")], source="tool", now=NOW)
    inbox.receive([label("s0", "", time=NOW + 1)], source="tool", now=NOW)
    inbox.step(NOW)
    assert store.labels("support") == []


def test_one_that_raises_what_nobody_foresaw_does_not_hold_up_the_others(store: SqliteStore) -> None:
    tries: list[str] = []

    def take(labels: Sequence[Label], *, now: float) -> TakenBack:
        tries.append(labels[0].sample)
        if labels[0].sample == "s0":
            raise ZeroDivisionError
        return TakenBack(batch(), 1, 0)

    inbox = Inbox(store, take)
    for sample in ("s0", "s1"):
        inbox.receive([label(sample)], id=sample, source="webhook", now=NOW)
    with pytest.raises(ZeroDivisionError):
        inbox.step(NOW)
    assert inbox.step(NOW + 1) == 1
    assert inbox.stuck == ("s0",)
    assert [store.get(Delivery, name).state for name in ("s0", "s1")] == [DeliveryState.PENDING, DeliveryState.TAKEN]
    with pytest.raises(ZeroDivisionError):
        inbox.step(NOW + 100)


def test_labels_that_can_never_be_taken_are_refused_with_the_reason(store: SqliteStore) -> None:
    def take(labels: Sequence[Label], *, now: float) -> TakenBack:
        raise InputError("labels", "no such thing")

    inbox = Inbox(store, take)
    inbox.receive([label("s0")], id="a", source="webhook", now=NOW)
    inbox.step(NOW)
    assert (store.get(Delivery, "a").state, store.get(Delivery, "a").error) == (DeliveryState.REFUSED, "no such thing")


def test_one_whose_batch_is_changed_meanwhile_is_tried_again(store: SqliteStore) -> None:
    answers: Iterator[ConflictError | TakenBack] = iter([ConflictError("somebody was faster"), TakenBack(batch(), 1, 0)])

    def take(labels: Sequence[Label], *, now: float) -> TakenBack:
        answer = next(answers)
        if isinstance(answer, ConflictError):
            raise answer
        return answer

    inbox = Inbox(store, take)
    inbox.receive([label("s0")], id="a", source="webhook", now=NOW)
    inbox.step(NOW)
    assert store.get(Delivery, "a").state is DeliveryState.PENDING
    inbox.step(NOW)
    assert store.get(Delivery, "a").state is DeliveryState.TAKEN


def test_beyond_so_many_the_sender_is_asked_to_come_back(store: SqliteStore, inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.inbox.MOST_PENDING", 2)
    for number in range(2):
        inbox.receive([label(f"s{number}")], source="webhook", now=NOW + 2 * number)
    with pytest.raises(BacklogFullError, match="send this one again later"):
        inbox.receive([label("s2")], source="webhook", now=NOW + 4)
    assert inbox.receive([label("s1")], source="webhook", now=NOW + 4).state is DeliveryState.PENDING
    inbox.step(NOW + 5)
    inbox.receive([label("s2")], source="webhook", now=NOW + 6)


def test_labels_go_after_a_month_and_a_repetition_is_known_even_then(store: SqliteStore, inbox: Inbox) -> None:
    inbox.receive([label("s0")], id="a", source="webhook", now=NOW)
    inbox.step(NOW)
    inbox.step(NOW + KEEP_SECONDS + 4_000)
    assert (store.get(Delivery, "a").labels, store.get(Delivery, "a").count) == ((), 1)
    assert inbox.receive([label("s0")], id="a", source="webhook", now=NOW).state is DeliveryState.TAKEN
    with pytest.raises(ConflictError):
        inbox.receive([label("s0", "loan")], id="a", source="webhook", now=NOW)


def test_only_so_many_keep_their_labels(store: SqliteStore, inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.inbox.KEEP", 4)
    for number in range(7):
        inbox.receive([label("s0", time=NOW + number)], id=f"d{number}", source="webhook", now=NOW + number)
        inbox.step(NOW + number)
    assert sum(bool(found.labels) for found in store.find(Delivery)) <= 4 + 4 // 2


def test_what_annotators_write_of_people_is_not_kept(store: SqliteStore, inbox: Inbox) -> None:
    store.save(
        Declaration(
            "support", "support", {"privacy": {"redact": ["email", "ip"]}}, "api", 1, None, DeclarationState.DECLARED, NOW, version=1
        )
    )
    store.save(first("support", ["10.0.0.1"], now=NOW))
    said = [label("s0", "jane@example.com"), label("s1", "new: jane@example.com"), label("s2", "10.0.0.1"), label("s3", None)]
    for _ in range(2):
        kept = inbox.receive(said, source="webhook", now=NOW)
    assert [each.label for each in kept.labels] == ["<email>", "new: <email>", "10.0.0.1", None]
    inbox.step(NOW)
    assert sorted(str(each.label) for each in store.labels("support")) == ["10.0.0.1", "<email>", "None", "new: <email>"]
