"""The annotation batch: only the steps its life allows, labels taken once."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service import annotation
from service.adapters.sqlite.store import SqliteStore
from service.annotation import Reason, agreed, take_back
from service.annotation.manifest import is_intact
from service.errors import ConflictError, InputError, NotFoundError
from service.records import AnnotationBatch, BatchState, Candidate, Label, Purpose
from service.refresh import Opening, opened
from service.selecting.asking import asked
from service.transitions import WAYS, advance, as_one_change

CYCLE = opened(Opening("chat", 3, "alarm-1"), now=100.0)


def batch(items: int = 4) -> AnnotationBatch:
    candidates = [Candidate(f"s{i}", "new content", 0.2, "all", text=f"hello {i}", predicted="other") for i in range(items)]
    return annotation.propose(CYCLE, candidates, now=101.0)


def sent(items: int = 4) -> AnnotationBatch:
    return annotation.send(annotation.approve(batch(items), reason=Reason.AUTOMATIC, actor="driftgate", now=102.0), now=103.0)


def stored(items: int = 4) -> tuple[SqliteStore, AnnotationBatch]:
    store = SqliteStore(":memory:")
    ready = as_one_change(sent(items), 0)
    store.save(ready)
    return store, ready


def label(sample: str, answer: str | None = "refund", *, time: float = 200.0, annotator: str = "ana") -> Label:
    return Label("chat", batch().id, sample, answer, time, annotator, unusable=answer is None)


def test_a_life_in_order_names_every_step() -> None:
    closed = annotation.returned(annotation.returned(sent(), 1, quota=1.0, now=110.0), 4, quota=1.0, now=120.0)
    assert [(step.state, step.reason) for step in closed.history] == [
        ("proposed", Reason.SELECTED),
        ("approved", Reason.AUTOMATIC),
        ("sent", Reason.QUEUED),
        ("partly_returned", Reason.ANSWERED),
        ("closed", Reason.QUOTA),
    ]
    assert closed.version == 5
    assert closed.returned == 4


def test_proposing_again_makes_the_same_batch() -> None:
    assert batch() == batch()


@given(st.lists(st.sampled_from(["approve", "send", "return", "fill", "close", "cancel"]), max_size=8))
def test_no_order_of_steps_leaves_the_table(steps: list[str]) -> None:
    moves: dict[str, Any] = {
        "approve": lambda b: annotation.approve(b, reason=Reason.APPROVED, actor="ana", now=1.0),
        "send": lambda b: annotation.send(b, now=1.0),
        "return": lambda b: annotation.returned(b, 1, quota=1.0, now=1.0),
        "fill": lambda b: annotation.returned(b, 4, quota=1.0, now=1.0),
        "close": lambda b: annotation.close(b, actor="ana", now=1.0),
        "cancel": lambda b: annotation.cancel(b, reason=Reason.CANCELLED, actor="ana", now=1.0),
    }
    now = batch()
    for name in steps:
        before = now
        try:
            now = moves[name](before)
        except ConflictError:
            assert now is before
        else:
            assert now.state in WAYS[before.state]
            assert now.version == before.version + 1 == len(now.history)
            assert now.history[-1].state == now.state


def test_candidates_are_taken_out_and_put_back_while_nobody_has_the_batch() -> None:
    fewer = annotation.drop(batch(), {"s1", "s3"}, actor="ana", now=102.0, note="not ours")
    assert [item.id for item in fewer.items] == ["s0", "s2"]
    assert [item.id for item in fewer.dropped] == ["s1", "s3"]
    assert (fewer.history[-1].reason, fewer.history[-1].note, fewer.history[-1].actor) == (Reason.DROPPED, "2: not ours", "ana")
    assert is_intact(fewer)
    assert fewer.manifest != batch().manifest
    again = annotation.restore(fewer, {"s3"}, actor="ana", now=103.0)
    assert ([item.id for item in again.items], [item.id for item in again.dropped]) == (["s0", "s2", "s3"], ["s1"])
    assert again.version == 3
    assert {item.id for item in again.chosen} == {"s0", "s1", "s2", "s3"}


def test_what_is_taken_out_is_named_and_something_is_left() -> None:
    with pytest.raises(NotFoundError, match="no candidate 's9'"):
        annotation.drop(batch(), {"s9"}, actor="ana", now=102.0)
    with pytest.raises(NotFoundError, match="no candidate"):
        annotation.restore(batch(), {"s1"}, actor="ana", now=102.0)
    with pytest.raises(ConflictError, match="cancel it instead"):
        annotation.drop(batch(1), {"s0"}, actor="ana", now=102.0)
    with pytest.raises(ConflictError, match="is sent; candidates are chosen among while it is proposed"):
        annotation.drop(sent(), {"s0"}, actor="ana", now=102.0)


@pytest.mark.parametrize("purpose", [Purpose.CHALLENGE, Purpose.AUDIT, Purpose.TOP_UP])
def test_what_chance_chose_stays(purpose: Purpose) -> None:
    drawn = annotation.propose(CYCLE, [Candidate("s0", "drawn", 0.2, "all", purpose=purpose), Candidate("s1", "new", 0.2, "all")], now=1.0)
    with pytest.raises(ConflictError, match="was drawn at random"):
        annotation.drop(drawn, {"s0"}, actor="ana", now=102.0)


def test_what_was_taken_out_is_not_proposed_again() -> None:
    store = SqliteStore(":memory:")
    fewer = as_one_change(annotation.drop(batch(), {"s1"}, actor="ana", now=102.0), 0)
    store.save(fewer)
    assert set(asked(store, [fewer]).items) == {"s0", "s1", "s2", "s3"}
    assert store.get(AnnotationBatch, fewer.id) == fewer


def test_an_illegal_step_says_what_is_possible() -> None:
    with pytest.raises(ConflictError, match=r"is proposed and can't become sent; it can become approved, cancelled"):
        annotation.send(batch(), now=1.0)
    with pytest.raises(ConflictError, match="nothing: it has ended"):
        advance(annotation.close(sent(), actor="ana", now=1.0), sent().history[-1])


@pytest.mark.parametrize(("answered", "quota", "state"), [(3, 1.0, "partly_returned"), (3, 0.75, "closed"), (3, 0.76, "partly_returned")])
def test_the_quota_closes(answered: int, quota: float, state: str) -> None:
    assert annotation.returned(sent(), answered, quota=quota, now=1.0).state == state


def test_the_outbox_item_holds_what_an_annotator_needs_and_keeps_its_id() -> None:
    item = annotation.outgoing(batch(), destination="vendor", price=0.08, now=5.0)
    assert (item.kind, item.destination, item.payload["price_estimate"]) == ("annotation.batch", "vendor", 0.32)
    texts = {shown["driftgate_id"]: shown["text"] for shown in item.payload["candidates"]}
    assert texts == {f"s{i}": f"hello {i}" for i in range(4)}
    assert {item.payload[name] for name in ("batch", "cycle", "monitor")} == {batch().id, CYCLE.id, "chat"}
    assert annotation.outgoing(batch(), destination="vendor", price=None, now=9.0).id == item.id


def test_labels_move_the_batch_once_and_repeating_them_changes_nothing() -> None:
    store, ready = stored()
    first = take_back(store, [label("s0"), label("s1", None), label("ghost")], quota=1.0, now=300.0)
    assert (first.changed, first.unusable, first.unknown, first.batch.state) == (2, 1, ("ghost",), BatchState.PARTLY_RETURNED)
    again = take_back(store, [label("s0"), label("s1", None), label("ghost")], quota=1.0, now=301.0)
    assert (again.changed, again.batch) == (0, first.batch)
    last = take_back(store, [label("s2"), label("s3")], quota=1.0, now=302.0)
    assert (last.batch.state, last.batch.returned) == (BatchState.CLOSED, 4)
    assert store.get(AnnotationBatch, ready.id) == last.batch
    assert {each.sample for each in store.labels("chat")} == {"s0", "s1", "s2", "s3"}


def test_late_labels_are_kept_without_moving_a_closed_batch() -> None:
    store, _ = stored()
    closed = take_back(store, [label("s0"), label("s1"), label("s2")], quota=0.75, now=300.0).batch
    late = take_back(store, [label("s3")], quota=0.75, now=301.0)
    assert (late.changed, late.batch) == (1, closed)


def test_labels_for_a_batch_that_nobody_sent_or_knows_are_refused() -> None:
    store = SqliteStore(":memory:")
    with pytest.raises(NotFoundError):
        take_back(store, [label("s0")], quota=1.0, now=1.0)
    store.save(batch())
    with pytest.raises(ConflictError, match="is proposed"):
        take_back(store, [label("s0")], quota=1.0, now=1.0)
    with pytest.raises(InputError, match="one batch, found 2"):
        take_back(store, [label("s0"), replace(label("s0"), batch="other")], quota=1.0, now=1.0)


def test_the_prevailing_answer_wins_and_the_newest_of_equals() -> None:
    votes = [label("s0", "a", annotator="x"), label("s0", "b", annotator="y", time=300.0), label("s0", "b", annotator="z")]
    assert agreed(votes)["s0"].label == "b"
    assert agreed(votes[:2])["s0"].label == "b"
    assert agreed([label("s0", "a", time=400.0), votes[1]])["s0"].label == "a"
