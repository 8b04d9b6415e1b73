"""What is to become of the answers of batches of no cycle: done once, and again where labels came meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from service.adapters.sqlite import SqliteStore
from service.annotation import take_back
from service.annotation.errands import errand_of, run
from service.errors import InputError
from service.records import AnnotationBatch, BatchState, Candidate, Errand, Label, Purpose


@pytest.fixture
def store() -> Iterator[SqliteStore]:
    with closing(SqliteStore(":memory:")) as store:
        yield store


def sent(store: SqliteStore, name: str, purpose: Purpose = Purpose.TOP_UP) -> AnnotationBatch:
    items = tuple(Candidate(f"{name}{number}", "random", 0.0, "all", purpose=purpose) for number in range(2))
    batch = AnnotationBatch(name, "chat", "", 1, BatchState.SENT, items, 1.0, version=1)
    store.save(batch, errand_of(batch))
    return batch


def answer(store: SqliteStore, sample: str) -> None:
    take_back(store, [Label("chat", sample[0], sample, "refund", 2.0, "ana")], quota=0.5, now=2.0)


def look(store: SqliteStore, purpose: Purpose = Purpose.TOP_UP) -> list[str]:
    taken: list[str] = []
    assert run(store, purpose, lambda batch: taken.append(batch.id), monitors=["chat"]) == len(taken)
    return taken


def test_each_is_taken_in_once_and_by_its_own_kind(store: SqliteStore) -> None:
    sent(store, "a")
    sent(store, "b", Purpose.REVIEW)
    assert look(store) == []
    answer(store, "a0")
    answer(store, "b0")
    assert (look(store), look(store), look(store, Purpose.REVIEW)) == (["a"], [], ["b"])
    assert {errand.state for errand in store.find(Errand)} == {"done"}


def test_late_answers_are_taken_in_as_well(store: SqliteStore) -> None:
    sent(store, "a")
    answer(store, "a0")
    look(store)
    answer(store, "a1")
    assert (look(store), look(store)) == (["a"], [])


def test_answers_that_come_while_it_is_taken_in_are_not_forgotten(store: SqliteStore) -> None:
    sent(store, "a")
    answer(store, "a0")
    assert run(store, Purpose.TOP_UP, lambda _: answer(store, "a1"), monitors=["chat"]) == 0
    assert (look(store), look(store)) == (["a"], [])


def test_one_that_fails_is_tried_again_and_holds_up_no_other(store: SqliteStore) -> None:
    sent(store, "a")
    sent(store, "b")
    answer(store, "a0")
    answer(store, "b0")

    def take(batch: AnnotationBatch) -> None:
        if batch.id == "a":
            raise InputError("rows", "not now")

    assert run(store, Purpose.TOP_UP, take, monitors=["chat"]) == 1
    assert look(store) == ["a"]
