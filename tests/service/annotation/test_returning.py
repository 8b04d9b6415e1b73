"""Labels back: words and ids put right, several answers, deadlines, and nothing that came is lost."""

from __future__ import annotations

from dataclasses import replace

import pytest

from service import annotation
from service.adapters.sqlite.store import SqliteStore
from service.annotation import TakenBack, answers, take_back, tend
from service.annotation.editing import edited
from service.annotation.scheme import added, renamed
from service.errors import ConflictError
from service.records import AnnotationBatch, BatchState, Label, Purpose, SchemeClass
from tests.service.annotation.conftest import Send, candidates, gold, monitor, said


def taken(store: SqliteStore, *labels: Label, now: float = 300.0) -> TakenBack:
    return take_back(store, labels, quota=1.0, now=now)


def test_words_become_classes_and_what_nobody_knows_is_kept_and_told(store: SqliteStore, send: Send) -> None:
    batch = send(candidates())
    words = {"s0": " Card  LOST ", "s1": "None of these", "s2": "new: Top up", "s3": "refnud"}
    found = taken(store, *(said(batch, sample, word) for sample, word in words.items()))
    assert (found.batch.returned, found.batch.state) == (3, BatchState.PARTLY_RETURNED)
    assert (found.unresolved, found.proposed, found.unknown) == (("refnud",), ("Top up",), ())
    assert {key: each.label.label for key, each in answers(store, [found.batch]).items()} == {
        "s0": "card lost", "s1": "none of these", "s2": "new: Top up",
    }  # fmt: skip
    assert len(store.labels("chat")) == 4


def test_an_alias_added_later_makes_an_answer_of_what_came_before(store: SqliteStore, send: Send) -> None:
    batch = send(candidates(1))
    taken(store, said(batch, "s0", "cash back"))
    edited(store, monitor(), lambda scheme: added(scheme, SchemeClass("cashback", ("cash back",)), actor="ana", now=301.0), now=301.0)
    closed = store.get(AnnotationBatch, batch.id)
    assert (closed.state, closed.returned) == (BatchState.CLOSED, 1)
    assert answers(store, [closed])["s0"].label.label == "cashback"


def test_a_proposed_class_is_a_class_once_the_scheme_has_it(store: SqliteStore, send: Send) -> None:
    batch = send(candidates(1))
    closed = taken(store, said(batch, "s0", "new: top up")).batch
    edited(store, monitor(), lambda scheme: added(scheme, SchemeClass("top-up", ("Top up",)), actor="ana", now=301.0), now=301.0)
    edited(store, monitor(), lambda scheme: renamed(scheme, "top-up", "charge", actor="ana", now=302.0), now=302.0)
    assert answers(store, [closed])["s0"].label.label == "charge"


@pytest.mark.parametrize("word", ["unusable", "UNUSABLE ", None])
def test_unusable_is_said_in_words_or_by_a_flag(store: SqliteStore, send: Send, word: str | None) -> None:
    found = taken(store, said(send(candidates(1)), "s0", word))
    assert (found.unusable, found.batch.state) == (1, BatchState.CLOSED)
    assert answers(store, [found.batch])["s0"].label.unusable


def test_an_item_is_returned_once_all_its_annotators_answered(store: SqliteStore, send: Send) -> None:
    batch = send([replace(item, answers=2) for item in candidates(2)])
    first = taken(store, said(batch, "s0", "refund"), said(batch, "s1", "refund"))
    assert (first.batch.state, first.batch.returned) == (BatchState.PARTLY_RETURNED, 0)
    assert taken(store, said(batch, "s0", "other"), now=301.0).batch.returned == 0, "the same annotator, with another word"
    second = taken(store, said(batch, "s0", "refund", by="bo"), now=302.0)
    assert (second.batch.returned, second.batch.state) == (1, BatchState.PARTLY_RETURNED)
    assert taken(store, said(batch, "s1", "refund", by="bo"), now=303.0).batch.state is BatchState.CLOSED


def test_an_answer_taken_back_is_none(store: SqliteStore, send: Send) -> None:
    batch = send(candidates(2))
    taken(store, said(batch, "s0", "refund"))
    found = taken(store, Label("chat", batch.id, "s0", "", 201.0, "ana"), now=301.0)
    assert (found.batch.returned, found.unresolved, found.unknown) == (0, (), ())
    assert not answers(store, [found.batch])


def test_gold_is_answered_under_ids_that_do_not_give_it_away_and_counts_for_nobody_but_the_annotator(
    store: SqliteStore, send: Send
) -> None:
    batch = send([*candidates(2), *gold(2)])
    shown = annotation.items_by_shown(batch)
    assert not {"s0", "s1", "g0", "g1"} & set(shown)
    by_row = {item.id: key for key, item in shown.items()}
    labels = [said(batch, by_row[row], word) for row, word in (("s0", "refund"), ("s1", "other"), ("g0", "refund"), ("g1", "other"))]
    partly = taken(store, *labels[:3])
    assert (partly.batch.returned, partly.batch.state) == (2, BatchState.PARTLY_RETURNED), "a row of gold is missing"
    closed = taken(store, labels[3], now=301.0).batch
    assert closed.state is BatchState.CLOSED
    assert set(answers(store, [closed])) == {"s0", "s1"}
    assert [(each.sample, each.given, each.truth) for each in annotation.gold_answers(store, closed)] == [
        ("g0", "refund", "refund"), ("g1", "other", "refund"),
    ]  # fmt: skip
    ana = annotation.annotators(store, [closed])["ana"]
    assert (ana.gold, ana.gold_right, ana.answers) == (2, 1, 4)
    assert ana.low < ana.mean < 0.9 < ana.high


def test_ids_of_golden_rows_are_unknown_to_whoever_guesses_them(store: SqliteStore, send: Send) -> None:
    batch = send([*candidates(1), *gold(1)])
    assert taken(store, said(batch, "g0", "refund")).unknown == ("g0",)


def test_answers_of_one_sample_from_several_batches_meet(store: SqliteStore, send: Send) -> None:
    first = taken(store, said(send(candidates(1)), "s0", "refund")).batch
    second = send(candidates(1, again=first.id), number=2, now=400.0)
    closed = taken(store, said(second, "s0", "other", by="bo", time=401.0), said(second, "s0", "other", by="cy", time=402.0)).batch
    found = answers(store, [first, closed])["s0"]
    assert (found.label.label, found.answers, found.unanimous) == ("other", 3, False)
    assert 0.5 < found.probability < 1
    assert answers(store, [first])["s0"].label.label == "refund"


def test_late_and_conflicting_labels_are_kept_and_counted(store: SqliteStore, send: Send) -> None:
    batch = send(candidates(1))
    taken(store, said(batch, "s0", "refund"))
    late = taken(store, said(batch, "s0", "other", time=400.0), now=400.0)
    assert (late.late, late.conflicting, late.changed, late.batch.state) == (1, 1, 1, BatchState.CLOSED)
    assert answers(store, [late.batch])["s0"].label.label == "other"
    assert taken(store, said(batch, "s0", "other", time=400.0), now=401.0).conflicting == 0


def test_half_a_batch_twice_changes_nothing_the_second_time(store: SqliteStore, send: Send) -> None:
    batch = send(candidates(4))
    half = [said(batch, "s0", "refund"), said(batch, "s1", "other")]
    once = taken(store, *half)
    again = taken(store, *half, now=301.0)
    assert (again.changed, again.batch, again.conflicting) == (0, once.batch, 0)


def test_labels_for_a_cancelled_batch_are_kept(store: SqliteStore, send: Send) -> None:
    batch = annotation.sending.cancel(store, send(candidates(1)).id, actor="ana", now=200.0)
    found = taken(store, said(batch, "s0", "refund"))
    assert (found.batch.state, found.late, found.changed) == (BatchState.CANCELLED, 1, 1)


# --- deadlines --------------------------------------------------------------------------------------------------------


def test_a_batch_closes_at_its_deadline_with_what_has_come(store: SqliteStore, send: Send) -> None:
    batch = send(candidates(4), deadline_hours=1.0)
    assert batch.deadline == 101.0 + 3_600
    taken(store, said(batch, "s0", "refund"))
    assert tend(store, now=batch.deadline - 1) == 0
    assert tend(store, now=batch.deadline) == 1
    closed = store.get(AnnotationBatch, batch.id)
    assert (closed.state, closed.returned, closed.history[-1].reason) == (BatchState.CLOSED, 1, annotation.Reason.DEADLINE)
    assert tend(store, now=batch.deadline + 1) == 0


def test_a_batch_without_deadline_stays_open(store: SqliteStore, send: Send) -> None:
    send(candidates(1), deadline_hours=None)
    assert tend(store, now=1e12) == 0


def test_a_batch_that_moved_meanwhile_is_looked_at_again(store: SqliteStore, send: Send, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = send(candidates(1), deadline_hours=1.0)

    def refuse(*_: object, **__: object) -> None:
        raise ConflictError("somebody was faster")

    with monkeypatch.context() as patched:
        patched.setattr(store, "save", refuse)
        assert tend(store, now=batch.deadline) == 0
    assert tend(store, now=batch.deadline) == 1


@pytest.mark.parametrize("purpose", [Purpose.PROBE, Purpose.CHALLENGE])
def test_schemes_are_followed_by_data_that_judges_too(store: SqliteStore, send: Send, purpose: Purpose) -> None:
    batch = taken(store, said(send(candidates(1, purpose)), "s0", "refund")).batch
    edited(store, monitor(), lambda scheme: renamed(scheme, "refund", "money back", actor="ana", now=301.0), now=301.0)
    assert answers(store, [batch])["s0"].label.label == "money back"
