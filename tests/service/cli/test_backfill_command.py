"""History beside the live log: from files, and from a topic of a real broker."""

from __future__ import annotations

import fcntl
import json
import shutil
import sqlite3
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from service.app import opened
from service.decoding import envelope
from service.records import Partition, Sample
from service.settings import load
from service.worker import Worker

if TYPE_CHECKING:
    from tests.servers.kafka_server import KafkaServer
    from tests.service.cli.conftest import Desk

pytestmark = pytest.mark.long

RUN = ("backfill", "run", "--monitor", "chat")


def live_state(desk: Desk) -> object:
    """All that the installation's own store holds, but for the log of who did what."""
    with sqlite3.connect(desk.folder / "state" / "driftgate.sqlite") as connection:
        return [line for line in connection.iterdump() if "VALUES('audit entry'" not in line]


def interrupted_at(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody presses Ctrl-C in the worker's step of that number."""
    step, steps = Worker.step, count(1)

    def stopping(self: Worker, timeout: float) -> int:
        if next(steps) == number:
            raise KeyboardInterrupt
        return step(self, timeout)

    monkeypatch.setattr(Worker, "step", stopping)


def test_files_are_read_beside_the_live_log(alarmed: Desk) -> None:
    before = live_state(alarmed)
    found = alarmed.json(*RUN, "--input", "traffic.jsonl", "golden.jsonl")
    assert (found["state"], found["samples"], found["read"], found["planned"], found["left_out"]) == ("done", 1_900, 1_900, None, 0)
    assert found["source"] == "traffic.jsonl, golden.jsonl"
    assert found["alarms"][0]["at_sample"] > 600
    assert live_state(alarmed) == before
    assert not list((alarmed.folder / "inbox").glob("*")), "what it would send stays in its own outbox"
    assert alarmed.json("backfill", "list")["backfills"] == [found]
    shown = alarmed.run("backfill", "show", found["id"][:6]).stdout
    assert shown.index("what it found") < shown.index(found["alarms"][0]["id"]) < shown.index("found live")
    assert "1,900 records read, 1,900 samples taken; dead letters: none" in shown


def test_parquet_history(watching: Desk) -> None:
    parquet, arrow = pytest.importorskip("pyarrow.parquet"), pytest.importorskip("pyarrow")
    rows = [json.loads(line) for line in (watching.folder / "traffic.jsonl").read_text().splitlines()]
    table = arrow.table({name: [row[name] for row in rows] for name in ("id", "time", "vector")})
    parquet.write_table(table, watching.folder / "t.parquet")
    found = watching.json(*RUN, "--input", "t.parquet")
    same = watching.json(*RUN, "--input", "traffic.jsonl")
    assert (found["samples"], found["dead_letters"]) == (1_500, {})
    assert [alarm["at_sample"] for alarm in found["alarms"]] == [alarm["at_sample"] for alarm in same["alarms"]]


def test_what_is_done_is_not_done_again_and_another_reference_is_another_backfill(watching: Desk) -> None:
    first = watching.json(*RUN, "--input", "traffic.jsonl")
    assert watching.json(*RUN, "--input", "traffic.jsonl") == first
    watching.run("reference", "build", "--input", "good.jsonl")
    watching.run("reference", "accept", "2")
    second = watching.json(*RUN, "--input", "traffic.jsonl")
    assert (second["reference"], first["reference"]) == (2, 1)
    assert [found["id"] for found in watching.json("backfill", "list")["backfills"]] == [second["id"], first["id"]]


def test_an_interrupted_one_goes_on_and_comes_to_the_same(watching: Desk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    undisturbed = watching.json(*RUN, "--input", "traffic.jsonl")
    shutil.rmtree(watching.folder / "state" / "backfills")
    interrupted_at(3, monkeypatch)
    watching.run(*RUN, "--input", "traffic.jsonl", code=130)
    (stopped,) = watching.json("backfill", "list")["backfills"]
    assert (stopped["state"], stopped["read"]) == ("interrupted", 1_024)
    finished = watching.json(*RUN, "--input", "traffic.jsonl")
    assert finished["created"] == stopped["created"]
    timeless = ("created", "updated")
    assert {k: v for k, v in finished.items() if k not in timeless} == {k: v for k, v in undisturbed.items() if k not in timeless}


def test_one_process_at_a_time(watching: Desk) -> None:
    found = watching.json(*RUN, "--input", "good.jsonl")
    path = watching.folder / "state" / "backfills" / f"{found['id']}.lock"
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert "another process" in watching.run(*RUN, "--input", "good.jsonl", code=1).stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "either --topic"),
        (("--topic", "chats", "--input", "good.jsonl"), "either --topic"),
        (("--input", "good.jsonl", "--from", "2026-01-01"), "either --topic"),
        (("--topic", "chats", "--from", "2026-01-01"), "a later --to"),
        (("--topic", "chats", "--from", "2026-01-02", "--to", "2026-01-01"), "a later --to"),
        (("--topic", "chats", "--from", "2026-01-01", "--to", "2026-01-02"), "kafka is missing"),
        (("--input", "nowhere.jsonl"), "No such file"),
    ],
)
def test_wrong_use_is_said(watching: Desk, arguments: tuple[str, ...], said: str) -> None:
    assert said in watching.run(*RUN, *arguments, code=2).stderr


def test_there_must_be_a_reference_and_a_backfill(desk: Desk) -> None:
    assert "reference build" in desk.run(*RUN, "--input", "good.jsonl", code=2).stderr
    assert "no backfills" in desk.run("backfill", "list").stdout
    assert "driftgate backfill list" in desk.run("backfill", "show", "5b0d", code=2).stderr


# --- a topic ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def topic(watching: Desk, kafka_broker: KafkaServer) -> str:
    """The drifting traffic in two partitions, every thirtieth line broken, wrapped as the monitor's paths say."""
    from kafka import KafkaProducer

    name = f"backfill-{watching.folder.parent.name.lower()}"
    kafka_broker.create_topics({name: 2}, configs={"retention.ms": "-1"})
    producer = KafkaProducer(bootstrap_servers=kafka_broker.bootstrap)
    for i, line in enumerate((watching.folder / "traffic.jsonl").read_text().splitlines()):
        document = json.loads(line)
        value = b"{" if i % 30 == 29 else json.dumps({"embedded": document["vector"], "key": document["id"]}).encode()
        producer.send(name, value, partition=i % 2, timestamp_ms=1_772_323_200_000 + 1_000 * i)
    producer.close()
    fields = {"id": "$.key", "vector": "$.embedded"}
    watching.configure(lambda document: document.update(kafka={"brokers": [kafka_broker.bootstrap]}))
    watching.configure(lambda document: document["monitors"][0].update(topic={"name": name, "fields": fields}))
    watching.run("reference", "accept", "1", "--monitor", "chat")
    return name


def of(topic: str, until: str = "2026-03-02") -> tuple[str, ...]:
    return (*RUN, "--topic", topic, "--from", "2026-03-01", "--to", until)


@pytest.mark.server("kafka")
def test_a_topics_history_is_read_without_touching_what_is_live(watching: Desk, topic: str) -> None:
    before = live_state(watching)
    found = watching.json(*of(topic))
    assert (found["state"], found["planned"], found["read"], found["samples"]) == ("done", 1_500, 1_500, 1_450)
    assert found["dead_letters"] == {"json": 50}
    assert found["alarms"][0]["at_sample"] > 580
    assert live_state(watching) == before
    half = watching.json(*of(topic, "2026-03-01T00:10:00"), "--partition", "0")
    assert (half["planned"], half["samples"], half["alarms"]) == (300, 300, [])


@pytest.mark.server("kafka")
def test_what_the_live_state_holds_is_left_out(watching: Desk, topic: str) -> None:
    with opened(load(watching.folder / "driftgate.yaml")) as installation:
        first = watching.json(*of(topic, "2026-03-01T00:00:01"))
        number = next(stretch for stretch in first["stretches"] if stretch["partition"].endswith("/0"))
        name, topic_id, _ = number["partition"].split("/")
        installation.store.assign(Partition(name, topic_id, 0), start=200)
    found = watching.json(*of(topic))
    assert (found["planned"], found["left_out"], found["read"]) == (950, 550, 950)
    assert "550 records of the span were left out" in watching.run("backfill", "show", found["id"]).stdout


@pytest.mark.server("kafka")
def test_a_span_that_is_wholly_live_says_so(watching: Desk, topic: str) -> None:
    topic_id = watching.json(*of(topic, "2026-03-01T00:00:01"))["stretches"][0]["partition"].split("/")[1]
    with opened(load(watching.folder / "driftgate.yaml")) as installation:
        for number in (0, 1):
            installation.store.assign(Partition(topic, topic_id, number))
    said = " ".join(watching.run(*of(topic)).stdout.split())
    assert "1,500 records of the span were left out: the live state holds them, or will" in said
    assert "nothing was read, so nothing could be found; what the live state holds" in said


@pytest.mark.server("kafka")
def test_an_interrupted_topic_goes_on_where_it_stopped(watching: Desk, topic: str, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupted_at(3, monkeypatch)
    watching.run(*of(topic), code=130)
    (stopped,) = watching.json("backfill", "list")["backfills"]
    assert 0 < stopped["read"] < 1_500
    finished = watching.json(*of(topic))
    assert (finished["id"], finished["samples"], finished["dead_letters"]) == (stopped["id"], 1_450, {"json": 50})


@pytest.mark.server("kafka")
def test_what_retention_takes_meanwhile_is_counted(
    watching: Desk, topic: str, kafka_broker: KafkaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kafka import TopicPartition

    interrupted_at(3, monkeypatch)
    watching.run(*of(topic), code=130)
    (stopped,) = watching.json("backfill", "list")["backfills"]
    with kafka_broker.admin() as admin:
        admin.delete_records({TopicPartition(topic, 0): 700})
    finished = watching.json(*of(topic))
    assert finished["state"] == "done"
    assert finished["lost"] > 0
    assert finished["samples"] + sum(finished["dead_letters"].values()) + finished["lost"] == 1_500
    assert f"{finished['lost']:,} records had left the topic" in watching.run("backfill", "show", stopped["id"]).stdout


@pytest.mark.server("kafka")
def test_of_the_ingest_topic_only_the_monitors_own_is_read(watching: Desk, kafka_broker: KafkaServer) -> None:
    from kafka import KafkaProducer

    name = "backfill-ingest"
    kafka_broker.create_topics({name: 1}, configs={"retention.ms": "-1"})
    producer = KafkaProducer(bootstrap_servers=kafka_broker.bootstrap)
    headers = [("content-type", envelope.CONTENT_TYPE.encode())]
    vector = np.full(16, 0.25, np.float32)
    for i in range(20):
        item = Sample("chat" if i % 2 else "other", f"s{i}", float("nan"), vector)
        producer.send(name, envelope.encode(item), headers=headers, timestamp_ms=1_772_323_200_000 + 1_000 * i)
    producer.close()
    watching.configure(lambda document: document.update(kafka={"brokers": [kafka_broker.bootstrap], "ingest_topic": name}))
    found = watching.json(*of(name))
    assert (found["read"], found["samples"], found["dead_letters"]) == (20, 10, {})
