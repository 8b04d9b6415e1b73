"""What people mark, and the failures that are kept, whatever the store."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from service.errors import ConflictError, NotFoundError
from service.failures.known import PART, gather, known_failures
from service.failures.marks import Word, mark, standing, unmark
from service.ports import Store
from service.records import Commit, FailureMark, Judgement, MarkState, Output, Partition, Pooled, Truths
from service.settings import MonitorSettings

PARTITION = Partition("http", "topic-1")
SETTINGS = MonitorSettings.model_validate({"name": "chat", "embedder": {"input": "none", "dimension": 3}, "classes": ["a", "b"]})
ANA = Word("ana", "why", 10.0)


@pytest.fixture
def store(open_store: Callable[..., Store]) -> Store:
    return open_store()


def keep(store: Store, *ids: str) -> None:
    """Samples that the model answered with `a`."""
    held = store.assign(PARTITION)
    rows = [
        Pooled("chat", sample, 5.0 + i, PARTITION, held.offset + i, None, {}, Output("a", (0.9, 0.1)), None, np.ones(3, np.float16), 0.5, 1)
        for i, sample in enumerate(ids)
    ]
    end = held.offset + len(rows)
    store.commit(Commit(PARTITION, held.epoch, held.offset, end, 5.0, pooled=tuple(rows), counts={"chat": len(rows)}))


def judged(sample: str, truth: str, told: float = 9.0) -> Truths:
    return Truths("chat", (Judgement("chat", sample, "a", truth, 0.9, {}, 0, 1, 5.0, told),), 100)


def test_a_mark_changes_by_one_version_at_a_time(store: Store) -> None:
    first = mark(store, "chat", "s1", None, ANA)
    assert store.get(FailureMark, first.id) == first
    with pytest.raises(ConflictError):
        store.save(first)
    mark(store, "chat", "s1", "b", ANA)
    mark(store, "other", "s1", "b", ANA)
    assert {sample: found.label for sample, found in standing(store, "chat").items()} == {"s1": "b"}
    assert unmark(store, "chat", "s1", ANA).version == 3
    assert (standing(store, "chat"), len(standing(store, "other"))) == ({}, 1)
    assert [found.state for found in store.find(FailureMark, monitor="chat")] == [MarkState.UNMARKED]
    with pytest.raises(NotFoundError, match="nobody marked"):
        unmark(store, "chat", "s2", ANA)


def test_failures_are_gathered_once_and_go_when_they_are_cleared(store: Store) -> None:
    keep(store, "s1", "s2", "s3")
    for sample, truth in (("s1", "b"), ("s2", "a")):
        store.judge(judged(sample, truth))
    mark(store, "chat", "s3", None, ANA)
    for now in (20.0, 21.0):
        assert gather(store, SETTINGS, now=now) == 2
        assert {(each.row.id, each.row.label) for each in store.reserve("chat", part=PART)} == {("s1", "b"), ("s3", None)}
    assert [(each.row.id, each.label, each.answer) for each in known_failures(store, SETTINGS)] == [("s1", "b", "a"), ("s3", None, "a")]
    store.judge(judged("s1", "a", told=11.0))
    unmark(store, "chat", "s3", ANA)
    assert gather(store, SETTINGS, now=30.0) == 0
    assert store.reserve("chat", part=PART) == []
