"""Every store lets go of samples alike: what is named, and what is old, is nowhere in it any more."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import redis

from service.ports import Store
from service.privacy.forgetting import Forgetting, Places
from service.privacy.retaining import Retaining
from service.records import (
    AnnotationBatch,
    AnswerBlock,
    BatchState,
    Candidate,
    Commit,
    DeadLetter,
    Judgement,
    Label,
    Original,
    Output,
    Partition,
    Pooled,
    Rejected,
    Reservation,
    Reserved,
    Sample,
    Truths,
    Waiting,
)
from service.records.erasure import Doomed, ErasureState, Forgotten, forgotten_id
from service.settings import PrivacySettings
from service.truth import answers
from tests.contract.conftest import redis_store
from tests.contract.stored import Opener
from tests.servers.fixtures import StartRedis

PARTITION = Partition("http", "abc")
MARKER, OTHER = "ZEBRA-7781 to be forgotten", "the others stay"


def pooled(n: int, *, text: str = OTHER, time: float | None = None) -> Pooled:
    vector = np.full(4, n, np.float16)
    when = float(n) if time is None else time
    return Pooled("chat", f"s{n}", when, PARTITION, n, f"{text} {n}", {"locale": "de"}, Output("a"), None, vector, 0.5, 1)


def fill(store: Store) -> None:
    """Ten samples in every place; the third carries the marker."""
    epoch = store.assign(PARTITION).epoch
    rows = [pooled(n, text=MARKER if n == 3 else OTHER) for n in range(10)]
    reserved = Reservation(
        "chat", tuple(Reserved(row, {"uniform": float(n)}, row.time) for n, row in enumerate(rows)), {"uniform": 100}, 1e6
    )
    waiting = [
        Waiting(f"e{n}", 0, Sample("chat", f"w{n}", float(n), MARKER if n == 3 else OTHER), np.ones(4, np.float32), "f", 99.0)
        for n in range(5)
    ]
    numbers: dict[str, Any] = {name: np.arange(10.0) for name in ("times", "confidence", "clusters")}
    body = answers.pack([row.id for row in rows], ["a"] * 10, [{}] * 10, lambda _: (), numbers=numbers, version=1)
    truths = Truths("chat", tuple(Judgement("chat", f"s{n}", "a", "b", 0.5, {}, 0, 1, float(n), 50.0) for n in range(10)), keep=100)
    letters = [
        DeadLetter(PARTITION, n, float(n), Rejected("json", "no", MARKER.encode(), monitor="chat"), Original(None, b"x" * 100_000))
        for n in range(3)
    ]
    store.commit(
        Commit(
            PARTITION, epoch, 0, 10, 9.0, pooled=tuple(rows), reserved=(reserved,), waiting=tuple(waiting),
            answers=(AnswerBlock("chat", 10, body, 1_000),), truths=(truths,), dead_letters=tuple(letters), counts={"chat": 10},
        )
    )  # fmt: skip
    store.add_labels([Label("chat", "batch", f"s{n}", "a", 60.0, "ann") for n in range(10)])


def test_what_is_named_is_nowhere_any_more(open_store: Opener) -> None:
    store = open_store()
    fill(store)
    gone = store.erase(Doomed("chat", frozenset({"s3", "w3"})))
    assert gone == {"pool": 1, "reserve": 1, "waiting": 1, "labels": 1, "judgements": 1, "answers": 1}
    assert [row.id for row in store.pool("chat")] == [f"s{n}" for n in range(10) if n != 3]
    assert all(str(row.payload).startswith(OTHER) for row in store.pool("chat"))
    assert [row.row.payload for row in store.reserve("chat")] == [f"{OTHER} {n}" for n in range(10) if n != 3]
    assert {label.sample for label in store.labels("chat")} == {f"s{n}" for n in range(10) if n != 3}
    assert not store.known_truth("chat", ["s3"])
    assert store.known_truth("chat", ["s4"])
    assert set(store.answers("chat", ["s3", "s4"])) == {"s4"}
    assert [waiting.sample.id for waiting in store.assign(PARTITION).waiting] == ["w0", "w1", "w2", "w4"]
    assert not store.erase(Doomed("chat", frozenset({"s3", "w3"}))), "once is as good as twice"


def test_what_is_old_goes_and_the_rest_goes_on(open_store: Opener) -> None:
    store = open_store()
    fill(store)
    assert store.erase(Doomed("chat", before=4.0)) == {"pool": 4, "reserve": 4, "waiting": 4}
    assert [row.id for row in store.pool("chat")] == [f"s{n}" for n in range(4, 10)]
    epoch = store.assign(PARTITION).epoch
    store.commit(Commit(PARTITION, epoch, 10, 11, 10.0, pooled=(pooled(10),)))
    assert [row.id for row in store.pool("chat")] == [f"s{n}" for n in range(4, 11)]
    assert store.erase(Doomed("chat", before=1e9))["pool"] == 7
    assert not store.pool("chat")
    assert not store.reserve("chat")


def test_a_monitor_that_nobody_knows_has_nothing_to_lose(open_store: Opener) -> None:
    assert not open_store().erase(Doomed("nobody", frozenset({"a"}), 1e9))


def test_dead_letters_go_by_id(open_store: Opener) -> None:
    store = open_store()
    fill(store)
    known = [letter.id for letter in store.dead_letters()]
    assert store.drop_dead_letters([known[0], "unknown"]) == 1
    assert [letter.id for letter in store.dead_letters()] == known[1:]


def test_what_was_forgotten_is_known_by_a_hash(open_store: Opener) -> None:
    store = open_store()
    assert not store.forgotten()
    key = forgotten_id("chat", "s3")
    store.save(Forgotten(key, "chat", ErasureState.PENDING, 1.0, "s3", version=1))
    assert store.forgotten() == {key}


def test_who_asks_at_every_request_what_was_forgotten_reads_it_once(open_store: Opener) -> None:
    store = open_store()
    keys = [forgotten_id("chat", f"s{number}") for number in range(3)]
    store.save(*(Forgotten(key, "chat", ErasureState.PENDING, 1.0, "s", version=1) for key in keys[:2]))
    assert store.forgotten() is store.forgotten()
    store.save(Forgotten(keys[0], "chat", ErasureState.DONE, 1.0, version=2))
    assert store.forgotten() == set(keys[:2])
    store.save(Forgotten(keys[2], "other", ErasureState.PENDING, 2.0, "s", version=1))
    assert store.forgotten() == set(keys)


def test_what_another_process_forgets_is_known_at_once(open_durable_store: Opener) -> None:
    store, other = open_durable_store(), open_durable_store()
    assert not store.forgotten()
    other.save(Forgotten(forgotten_id("chat", "s3"), "chat", ErasureState.PENDING, 1.0, "s3", version=1))
    assert store.forgotten() == {forgotten_id("chat", "s3")}


def test_no_file_holds_what_has_gone(open_durable_store: Opener, tmp_path: Path) -> None:
    store = open_durable_store()
    fill(store)
    assert found_below(tmp_path), "it stands in clear before"
    store.erase(Doomed("chat", frozenset({"s3", "w3"})))
    store.drop_dead_letters([letter.id for letter in store.dead_letters()])
    store.scrub()
    assert not found_below(tmp_path)


def found_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and b"ZEBRA-7781" in path.read_bytes()]


@pytest.mark.parametrize("samples", [frozenset({"s1"}), frozenset[str]()])
def test_blobs_go_at_once(open_durable_store: Opener, tmp_path: Path, samples: frozenset[str]) -> None:
    store = open_durable_store()
    fill(store)
    store.erase(Doomed("chat", samples, before=1e9))
    store.drop_dead_letters([letter.id for letter in store.dead_letters()])
    store.scrub()
    assert not found_below(tmp_path)


@pytest.mark.server("redis-server")
def test_redis_holds_it_in_no_key_and_in_no_file(start_redis: StartRedis, tmp_path: Path) -> None:
    server = start_redis()
    client = redis.Redis.from_url(server.url)
    with closing(redis_store(server.url, "dg", tmp_path)) as store:
        fill(store)
        assert found_below(tmp_path)
        store.erase(Doomed("chat", frozenset({"s3", "w3"})))
        store.drop_dead_letters([letter.id for letter in store.dead_letters()])
        store.scrub()
    for _ in range(100):
        if not (client.info("persistence")["aof_rewrite_in_progress"] or client.info("persistence")["rdb_bgsave_in_progress"]):
            break
        time.sleep(0.05)
    assert [key for key in client.scan_iter("*") if b"ZEBRA-7781" in (client.dump(key) or b"")] == []
    assert found_below(tmp_path) == [], "neither blobs nor the append-only file nor a snapshot"


def test_what_a_person_took_out_of_a_batch_goes_like_what_is_in_it(open_store: Opener, tmp_path: Path) -> None:
    store, day = open_store(), 86_400.0
    both = tuple(Candidate(f"s{n}-abc", "new", 0.1, "all", MARKER, time=n * day) for n in (1, 9))
    store.save(AnnotationBatch("b1", "chat", "", 1, BatchState.PROPOSED, both, 9 * day, version=1, dropped=both))
    Retaining(store, Places(tmp_path), {"chat": PrivacySettings(retention_days=5)}).step(now=10 * day)
    batch = store.get(AnnotationBatch, "b1")
    assert [[item.text for item in each] for each in (batch.items, batch.dropped)] == [["", MARKER]] * 2
    Forgetting(store, Places(tmp_path)).forget("s9-abc", ["chat"], actor="", now=11 * day)
    batch = store.get(AnnotationBatch, "b1")
    assert [[item.id for item in each] for each in (batch.items, batch.dropped)] == [["s1-abc"]] * 2
