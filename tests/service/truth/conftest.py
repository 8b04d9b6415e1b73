"""Answers in a store, to be judged."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import TypeAlias

import numpy as np
import pytest

from service.adapters.sqlite import SqliteStore
from service.records import AnswerBlock, Commit, Judgement, Partition
from service.truth import answers

PARTITION = Partition("http", "topic-1")

Keep: TypeAlias = Callable[..., None]
Judge: TypeAlias = Callable[..., Judgement]


@pytest.fixture
def store() -> Iterator[SqliteStore]:
    with closing(SqliteStore(":memory:")) as opened:
        yield opened


@pytest.fixture
def keep(store: SqliteStore) -> Keep:
    """Keeps that the model answered so to samples of these ids, one a second from 100 on, in one commit."""

    def kept(ids: Sequence[str], predicted: str = "refund", *, locale: str = "de", version: int = 1, bound: int = 1_000) -> None:
        n = len(ids)
        numbers = {"times": 100.0 + np.arange(n), "confidence": np.full(n, 0.75), "clusters": np.full(n, 3)}
        tags = [{"locale": locale}] * n
        body = answers.pack(ids, [predicted] * n, tags, lambda t: (f"locale={t['locale']}",), numbers=numbers, version=version)
        held = store.assign(PARTITION)
        store.commit(Commit(PARTITION, held.epoch, held.offset, held.offset + n, 0.0, answers=(AnswerBlock("chat", n, body, bound),)))

    return kept


@pytest.fixture
def judgement() -> Judge:
    """The n-th sample's, right unless said otherwise."""

    def made(n: int, *, wrong: bool = False, streams: Sequence[str] = ("locale=de",), version: int = 1, told: float = 0.0) -> Judgement:
        answer, tags = ("cancel" if wrong else "refund"), dict(stream.split("=") for stream in streams)
        at = 1_000.0 + n
        return Judgement("chat", f"s{n}", answer, "refund", 0.9, tags, 2, version, at, told or at + 60.0, tuple(streams))

    return made
