"""`driftgate demo traffic` as a process of its own, into a real topic and over HTTP to a real server."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from kafka import KafkaConsumer, TopicPartition

from service.app import make_topics
from service.settings import load
from tests.e2e.conftest import Site
from tests.e2e.roles import until
from tests.servers.kafka_server import KafkaServer
from tests.servers.process import free_port

PROGRAM = (sys.executable, "-c", "from service.cli import main; main()", "demo", "traffic")
TOKEN = "a" * 32


@contextmanager
def sending(folder: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """Until it ends, or the block does."""
    with subprocess.Popen([*PROGRAM, *options], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def configure(folder: Path, broker: str, name: str) -> None:
    monitor = {"name": "support-chat", "topic": {"name": f"{name}-chat"}, "embedder": {"model": "model.onnx"}}
    topics = {"ingest_topic": f"{name}-ingest", "dead_letter_topic": f"{name}-letters"}
    document = {"directory": "state", "kafka": {"brokers": [broker], **topics}, "monitors": [monitor]}
    (folder / "driftgate.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")


def records(broker: KafkaServer, topic: str, count: int) -> Mapping[int, list[Any]]:
    """Partition → its records, once there are so many."""
    consumer = KafkaConsumer(bootstrap_servers=broker.bootstrap, auto_offset_reset="earliest")
    try:
        places = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]
        consumer.assign(places)
        found: dict[int, list[Any]] = defaultdict(list)

        def enough() -> bool:
            for place, batch in consumer.poll(timeout_ms=500).items():
                found[place.partition] += batch
            return sum(map(len, found.values())) >= count

        until(enough, what=f"{count} records")
        return found
    finally:
        consumer.close()


@pytest.mark.server("kafka")
def test_topics_are_made_once_and_what_belongs_together_shares_a_partition(tmp_path: Path, kafka_broker: KafkaServer) -> None:
    configure(tmp_path, kafka_broker.bootstrap, "traffic")
    settings = load(tmp_path / "driftgate.yaml")
    assert set(make_topics(settings, partitions=3)) == {"traffic-chat", "traffic-ingest", "traffic-letters"}
    assert make_topics(settings, partitions=3) == ()

    with sending(tmp_path, "--rate", "200", "--count", "90", "--drift-after", "0.2") as process:
        said, _ = process.communicate(timeout=60)
        assert process.returncode == 0
    assert "since the drift" in said
    assert "sent 90 messages" in said
    found = records(kafka_broker, "traffic-chat", 90)
    assert len(found) == 3
    where = {(record.key, number) for number, batch in found.items() for record in batch}
    assert len(where) == len({key for key, _ in where})
    bodies = [json.loads(record.value) for batch in found.values() for record in batch]
    assert len({body["id"] for body in bodies}) == 90
    assert {body["conversation"].encode() for body in bodies} == {key for key, _ in where}


@pytest.mark.server("kafka")
def test_a_signal_ends_it_well(tmp_path: Path, kafka_broker: KafkaServer) -> None:
    configure(tmp_path, kafka_broker.bootstrap, "endless")
    make_topics(load(tmp_path / "driftgate.yaml"), partitions=1)
    with sending(tmp_path, "--rate", "50") as process:
        assert process.stdout is not None
        assert "drift in 600 s" in process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        said, warned = process.communicate(timeout=30)
        assert (process.returncode, warned) == (0, "")
    assert said.startswith("sent ")


@pytest.mark.server("kafka")
def test_a_topic_that_is_not_there_is_named(tmp_path: Path, kafka_broker: KafkaServer) -> None:
    configure(tmp_path, kafka_broker.bootstrap, "absent")
    with sending(tmp_path, "--count", "10") as process:
        _, warned = process.communicate(timeout=60)
        assert process.returncode == 2
    assert "topic 'absent-chat' does not exist" in warned
    assert "--create --topic absent-chat" in warned


def test_over_http_it_shows_its_token_and_the_monitor_takes_what_comes(idle: Site, tmp_path: Path) -> None:
    idle.environment["DRIFTGATE__INGEST_TOKEN"] = TOKEN
    idle.start()
    url, token = str(idle.client.base_url), tmp_path / "token"
    to = ["--to", "http", "--url", url, "--monitor", "text", "--rate", "100", "--count", "50"]
    with sending(tmp_path, *to) as process:
        _, warned = process.communicate(timeout=60)
        assert process.returncode == 2
        assert "401" in warned
    token.write_text(f"{TOKEN}\n", encoding="ascii")
    with sending(tmp_path, *to, "--token-file", str(token)) as process:
        said, warned = process.communicate(timeout=60)
        assert (process.returncode, warned) == (0, "")
    assert "sent 50 messages" in said
    idle.client.headers["authorization"] = f"Bearer {TOKEN}"
    assert until(lambda: idle.get("/v1/monitors/text")["samples"] == 50)


def test_a_server_that_is_away_is_waited_for(tmp_path: Path) -> None:
    with sending(tmp_path, "--to", "http", "--url", f"http://127.0.0.1:{free_port()}", "--count", "5") as process:
        assert process.stderr is not None
        assert "trying again" in process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=30)
        assert process.returncode == 0
    assert "sent 0 messages" in said
