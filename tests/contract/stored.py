"""Made-up records that stores are tried with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from detectors import Summary
from service.ports import Store
from service.records import (
    Alarm,
    AlarmState,
    AnswerBlock,
    Assignment,
    Commit,
    DeadLetter,
    Event,
    Family,
    Judgement,
    Measured,
    OutboxItem,
    Output,
    Pane,
    PaneKey,
    Partition,
    Payload,
    Pooled,
    Rejected,
    Severity,
    Step,
)
from service.truth import answers

PARTITION = Partition("http", "topic-1")
RNG = np.random.default_rng(7)
Opener: TypeAlias = Callable[..., Store]


def summary(count: int = 8) -> Summary:
    sums = RNG.normal(size=16).astype(np.float32).astype(np.float64)
    return Summary(count, sums, RNG.normal(size=3), RNG.integers(0, 9, 5), RNG.integers(0, 9, 100))


def pane(first: int, *, monitor: str = "chat", segment: str = "all", count: int = 8, partition: Partition = PARTITION) -> Pane:
    return Pane(PaneKey(monitor, segment, 1, partition, first), first + count - 1, 10.0 + first, 11.0 + first, summary(count))


def pooled(number: int, *, monitor: str = "chat", payload: Payload | None = "hello") -> Pooled:
    return Pooled(
        monitor=monitor,
        id=f"s{number}",
        time=float(number),
        partition=PARTITION,
        offset=number,
        payload=payload,
        segments={"locale": "de"},
        output=Output("billing", (0.25, 0.75), None, "v3"),
        label=None,
        embedding=RNG.normal(size=6).astype(np.float16),
        novelty=0.5,
        reference_version=1,
    )


def alarm(version: int = 1, *, id: str = "a1", opened: float = 50.0, monitor: str = "chat") -> Alarm:
    return Alarm(
        id=id,
        monitor=monitor,
        segment="all",
        family=Family.INPUT,
        reference_version=1,
        kind="new content",
        severity=Severity.WARNING,
        state=AlarmState.OPEN,
        at_sample=320,
        at_sequence=10,
        opened=opened,
        window_samples=200,
        window_start=40.0,
        effect=Measured(0.1, 0.05, 0.2),
        novel_share=Measured(0.1, 0.05, 0.2),
        channel="mmd",
        history=(Step("open", "evidence and effect above tolerance", opened),),
        version=version,
    )


def item(id: str = "o1", *, due: float = 0.0, state: str = "pending") -> OutboxItem:
    return OutboxItem(id, "alarm.opened", "hook", {"alarm": "a1", "n": [1, 2]}, created=5.0, due=due, state=state)


def event(id: str = "e1", *, monitor: str = "chat") -> Event:
    return Event(id, monitor, "verdict", 60.0, "ana", subject="a1", body={"verdict": "true"})


def step(held: Assignment, take: int = 8, *, at: int | None = None, **changes: Any) -> Commit:
    """A commit that moves the partition on by `take` records."""
    offset = held.offset if at is None else at
    return Commit(held.partition, held.epoch, offset, offset + take, float(offset + take), **changes)


def assert_same_pane(found: object, expected: Pane, *, sequence: int = 0) -> None:
    assert isinstance(found, Pane)
    fields = ("key", "last_offset", "first_time", "last_time")
    assert [getattr(found, name) for name in fields] == [getattr(expected, name) for name in fields]
    assert (found.sequence, dict(found.losses)) == (sequence, dict(expected.losses))
    assert found.summary.to_bytes() == expected.summary.to_bytes()


def letter(offset: int, *, monitor: str | None = "chat") -> DeadLetter:
    return DeadLetter(PARTITION, offset, 3.0, Rejected("not_json", "line is not JSON", b"\xff{", 2, monitor))


def block(ids: Sequence[str], predicted: str = "refund", *, monitor: str = "chat", version: int = 1, keep: int = 1_000) -> AnswerBlock:
    n = len(ids)
    numbers = {"times": np.arange(n), "confidence": np.full(n, 0.75), "clusters": np.full(n, 3)}
    body = answers.pack(ids, [predicted] * n, [{"locale": "de"}] * n, lambda _: ("locale=de",), numbers=numbers, version=version)
    return AnswerBlock(monitor, n, body, keep)


def judgement(sample: str, truth: str = "refund", *, monitor: str = "chat", told: float = 60.0) -> Judgement:
    return Judgement(monitor, sample, "refund", truth, float("nan"), {"locale": "de"}, 3, 1, 50.0, told, ("locale=de",))
