"""Items reach the log in order and once; what is refused never does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.adapters.sqlite import SqliteLog
from service.decoding import envelope
from service.errors import BacklogFullError, InputError, NotFoundError
from service.ingest import Check, Ingest
from service.observe import Silent
from service.records import Request, Sample
from service.settings import parse

MONITORS = parse(
    {"monitors": [{"name": "chat", "embedder": {"model": "m.onnx"}, "kserve": {}}, {"name": "mail", "embedder": {"model": "m.onnx"}}]},
    base=Path("/nowhere"),
).monitors


class Counting(Silent):
    """Remembers what arrived and what was refused."""

    def __init__(self) -> None:
        self.arrived: list[tuple[str, int]] = []
        self.refused: list[tuple[str, str]] = []

    def received(self, monitor: str, samples: int) -> None:
        self.arrived.append((monitor, samples))

    def rejected(self, monitor: str, reason: str) -> None:
        self.refused.append((monitor, reason))


def refuse_shouting(payload: Any) -> None:
    if payload.isupper():
        raise InputError("shouting", "please don't")


@pytest.fixture
def log() -> Iterator[SqliteLog]:
    opened = SqliteLog(":memory:", backlog_bytes=100_000, retention_bytes=0)
    yield opened
    opened.close()


@pytest.fixture
def observer() -> Counting:
    return Counting()


@pytest.fixture
def ingest(log: SqliteLog, observer: Counting) -> Ingest:
    return Ingest(log, MONITORS, {"chat": refuse_shouting}.get, observer=observer, max_items=50)


def logged(log: SqliteLog) -> list[Any]:
    return [envelope.decode(entry.body) for entry in log.read(0, 1_000)]


def test_each_monitor_has_its_own_check(ingest: Ingest, log: SqliteLog, observer: Counting) -> None:
    body = b'[{"text": "HELP"}, {"id": "b", "text": "help"}]'
    assert [answer.reason for answer in ingest.samples("chat", body, lines=False, now=5.0)] == ["shouting", None]
    assert [answer.reason for answer in ingest.samples("mail", body, lines=False, now=5.0)] == [None, None]
    assert [(item.monitor, item.payload) for item in logged(log)] == [("chat", "help"), ("mail", "HELP"), ("mail", "help")]
    assert observer.arrived == [("chat", 2), ("mail", 2)]
    assert observer.refused == [("chat", "shouting")]
    assert [entry.time for entry in log.read(0, 9)] == [5.0] * 3


def test_the_check_in_force_is_asked_for_once_per_request(log: SqliteLog, observer: Counting) -> None:
    asked: list[str] = []

    def in_force() -> Check:
        asked.append("chat")
        return refuse_shouting if len(asked) > 1 else lambda _: None

    ingest, body = Ingest(log, MONITORS, lambda _: in_force(), observer=observer), b'[{"text": "HELP"}, {"text": "ME"}]'
    answers = [ingest.samples("chat", body, lines=False, now=5.0) for _ in range(2)]
    assert [[answer.reason for answer in each] for each in answers] == [[None, None], ["shouting", "shouting"]]
    assert len(asked) == 2


def test_a_member_named_samples_beside_others_is_a_sample_s(ingest: Ingest, log: SqliteLog) -> None:
    """Only `{"samples": [...]}` and nothing else is a list of them."""
    ingest.samples("chat", b'{"text": "hello", "samples": [1]}', lines=False, now=0.0)
    assert [item.payload for item in logged(log)] == ["hello"]


def test_unknown_monitors_are_refused(ingest: Ingest) -> None:
    with pytest.raises(NotFoundError, match="'nobody'; there are: chat, mail"):
        ingest.samples("nobody", b"{}", lines=False, now=0.0)


def test_a_full_log_takes_all_or_nothing_of_a_request(observer: Counting) -> None:
    log = SqliteLog(":memory:", backlog_bytes=1_000, retention_bytes=0)
    ingest = Ingest(log, MONITORS, lambda _: None, observer=observer)
    ingest.samples("chat", json.dumps({"text": "x" * 500}).encode(), lines=False, now=0.0)
    with pytest.raises(BacklogFullError):
        ingest.samples("chat", json.dumps([{"text": "x" * 200}] * 3).encode(), lines=False, now=0.0)
    assert len(logged(log)) == 1
    log.close()


def test_events_are_counted_by_instance(ingest: Ingest, log: SqliteLog, observer: Counting) -> None:
    headers = {"CE-SpecVersion": "1.0", "Ce-Id": "e", "ce-type": "org.kubeflow.serving.inference.request", "ce-source": "s"}
    [answer] = ingest.events(headers, b'{"instances": ["a", "b", "c"]}', now=1.0)
    assert (answer.id, answer.status) == ("e", "accepted")
    assert observer.arrived == [("chat", 3)]
    [request] = logged(log)
    assert isinstance(request, Request)


items = st.one_of(
    st.fixed_dictionaries({"text": st.text(max_size=20)}, optional={"id": st.text(max_size=5)}),
    st.dictionaries(st.text(max_size=5), st.none() | st.integers() | st.floats(allow_nan=False), max_size=3),
    st.none() | st.integers() | st.text(max_size=3),
)


@given(batch=st.lists(items, min_size=1, max_size=12), lines=st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_item_has_one_answer_and_accepted_ones_are_in_the_log(observer: Counting, batch: list[Any], lines: bool) -> None:
    log = SqliteLog(":memory:", backlog_bytes=1_000_000, retention_bytes=0)
    body = "\n".join(map(json.dumps, batch)) if lines else json.dumps(batch)
    answers = Ingest(log, MONITORS, lambda _: None, observer=observer).samples("chat", body.encode(), lines=lines, now=0.0)
    assert [answer.index for answer in answers] == list(range(len(batch)))
    taken = [item for item, answer in zip(batch, answers, strict=True) if answer.status == "accepted"]
    kept = logged(log)
    assert all(isinstance(item, Sample) for item in kept)
    assert [item.payload for item in kept] == [item["text"] for item in taken]
    log.close()
