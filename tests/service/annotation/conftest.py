"""A monitor with a scheme, and batches of it on their way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias

import pytest

from service import annotation
from service.adapters.sqlite.store import SqliteStore
from service.records import AnnotationBatch, Candidate, Label, Purpose
from service.refresh import Opening, opened
from service.settings import MonitorSettings

CYCLE = opened(Opening("chat", 3, "alarm-1"), now=100.0)

Send: TypeAlias = Callable[..., AnnotationBatch]


def monitor(**options: Any) -> MonitorSettings:
    """Annotation settings of a monitor that sends to `vendor` by itself."""
    document = {
        "name": "chat",
        "embedder": {"input": "none", "dimension": 4},
        "classes": ["refund", "card lost", "other"],
        "annotation": {"destination": "vendor", "price": 0.1, **options},
    }
    return MonitorSettings.model_validate(document)


def candidates(count: int = 4, purpose: Purpose = Purpose.EXPAND, **more: Any) -> list[Candidate]:
    """Of one purpose."""
    return [
        Candidate(f"s{n}", "new content", 0.2, "all", f"hello {n}", "other", purpose=purpose, digest=f"d{n}", **more) for n in range(count)
    ]


def gold(count: int, truth: str = "refund") -> list[Candidate]:
    """Rows whose answer is known."""
    return [Candidate(f"g{n}", "known", 0.0, "all", f"known {n}", purpose=Purpose.GOLD, truth=truth, digest=f"k{n}") for n in range(count)]


def said(batch: AnnotationBatch, sample: str, word: str | None, *, by: str = "ana", time: float = 200.0) -> Label:
    """An answer; None for unusable."""
    return Label("chat", batch.id, sample, word, time, by, unusable=word is None)


@pytest.fixture
def store() -> SqliteStore:
    return SqliteStore(":memory:")


@pytest.fixture
def send(store: SqliteStore) -> Send:
    """Stores a batch with its scheme, sent where its settings let it."""

    def sent(asked: list[Candidate], *, number: int = 1, now: float = 101.0, **options: Any) -> AnnotationBatch:
        cycle = replace(CYCLE, earlier=tuple(f"earlier {n}" for n in range(number - 2)), batch="last" if number > 1 else "")
        leaving = annotation.leaving(store, annotation.propose(cycle, asked, now=now), monitor(**options), now=now)
        store.save(leaving.batch, *leaving.schemes, outbox=leaving.outbox)
        return leaving.batch

    return sent
