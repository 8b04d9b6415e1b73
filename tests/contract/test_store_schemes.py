"""Label schemes and batches with gold, over every store: kept whole, and no version written twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from service import annotation
from service.annotation.editing import edited
from service.annotation.scheme import Draft, written
from service.annotation.schemes import keep, version, versions
from service.errors import ConflictError, NotFoundError
from service.ports import Store
from service.records import AnnotationBatch, BatchState, Label, SchemeClass
from tests.service.annotation.conftest import CYCLE, candidates, gold, monitor

DRAFT = Draft((SchemeClass("Erstattung €", ("refund",), "money\nback"), SchemeClass("other")), "read it twice")


@pytest.fixture
def store(open_store: Callable[..., Store]) -> Store:
    return open_store()


def test_versions_are_kept_and_the_newest_is_in_force(store: Store) -> None:
    first = keep(store, written(None, "chat", DRAFT, actor="ana", now=1.0), after=0)
    second = keep(store, replace(written(first, "chat", DRAFT, actor="bo", now=1.0), note="again"), after=1)
    other = keep(store, written(None, "mail", DRAFT, actor="ana", now=9.0), after=0)
    assert annotation.scheme_of(store, "chat") == second
    assert annotation.scheme_of(store, "mail") == other
    assert {scheme.number for scheme in versions(store, "chat")} == {1, 2}
    assert version(store, "chat", 1) == first
    with pytest.raises(NotFoundError, match="no version 3 of its label scheme; it has 1, 2"):
        version(store, "chat", 3)


def test_of_two_who_write_the_same_version_one_is_refused(store: Store) -> None:
    made = written(None, "chat", DRAFT, actor="ana", now=1.0)
    store.save(made)
    with pytest.raises(ConflictError):
        store.save(replace(made, actor="bo"))
    with pytest.raises(ConflictError, match="version 1 of its label scheme is in force, and the change was made to version 0"):
        keep(store, made, after=0)
    assert edited(store, monitor(), lambda scheme: replace(scheme, number=2, id="s2", guideline="new"), after=1, now=2.0).number == 2


def test_a_batch_with_gold_and_its_answers_survive_the_store(store: Store) -> None:
    leaving = annotation.leaving(store, annotation.propose(CYCLE, [*candidates(2), *gold(1)], now=1.0), monitor(), now=1.0)
    store.save(leaving.batch, *leaving.schemes, outbox=leaving.outbox)
    kept = store.get(AnnotationBatch, leaving.batch.id)
    assert kept == leaving.batch
    labels = [
        Label("chat", kept.id, key, word, 2.0, "ana") for key, word in zip(annotation.items_by_shown(kept), ["refund"] * 3, strict=True)
    ]
    assert annotation.take_back(store, labels, quota=1.0, now=3.0).batch.state is BatchState.CLOSED
    assert len(annotation.answers(store, [store.get(AnnotationBatch, kept.id)])) == 2
    assert [item.kind for item in store.due(10.0, 10)] == ["annotation.batch"]
