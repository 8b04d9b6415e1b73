"""Passwords that are changed while everything runs: what holds their files goes on without a restart."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
import redis
from kafka.admin import ScramMechanism, UserScramCredentialUpsertion

from service.adapters.kafka import Cluster, KafkaSink, KafkaSource
from service.adapters.redis_store import connect
from service.errors import DriftgateError
from service.settings import KafkaSettings, RedisSettings, SaslSettings, TlsSettings
from tests.contract.test_kafka_setbacks import Reader, read
from tests.servers.certificates import Certificate
from tests.servers.fixtures import StartKafka, StartRedis


def until(holds: Callable[[], object], patience: float = 60.0) -> None:
    """What is tried fails while the file is still the old one."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        with suppress(DriftgateError):
            if holds():
                return
        time.sleep(0.2)
    raise AssertionError("it did not hold in time")


@pytest.mark.server("redis-server")
def test_redis_password(start_redis: StartRedis, tmp_path: Path) -> None:
    server = start_redis(users=["driftgate on >first ~dg:* +@all"])
    file = tmp_path / "password"
    file.write_text("first\n", encoding="utf-8")
    store = connect(RedisSettings(url=server.url, prefix="dg", user="driftgate", password_file=file))
    with closing(store), closing(redis.Redis(port=server.port)) as client:
        admin: Any = client  # the library is typed in part
        assert store.ask("EXISTS", "dg:none") == 0
        admin.execute_command("ACL", "SETUSER", "driftgate", "resetpass", ">second")
        admin.client_kill_filter(user="driftgate")
        file.write_text("second\n", encoding="utf-8")
        with suppress(DriftgateError):  # of the connection that was cut
            store.ask("EXISTS", "dg:none")
        assert store.ask("EXISTS", "dg:none") == 0


@pytest.mark.server("kafka")
@pytest.mark.long
@pytest.mark.filterwarnings("ignore:Exception ignored in. <ssl.SSLSocket")  # the library's, where a broker goes in mid-handshake
def test_kafka_password(start_kafka: StartKafka, certificate: Certificate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.adapters.kafka.connection.ANSWER_MS", 3_000)
    broker = start_kafka(users={"worker": "first"}, certificate=certificate)
    broker.create_topics({"t": 1})
    file = tmp_path / "password"
    file.write_text("first\n", encoding="utf-8")
    sasl = SaslSettings(mechanism="SCRAM-SHA-256", user="worker", password_file=file)
    tls = TlsSettings(ca_file=certificate.certificate)
    cluster = Cluster(KafkaSettings(brokers=(broker.secured,), session_seconds=6, tls=tls, sasl=sasl))
    with closing(KafkaSource(cluster, {"t": "earliest"}, read)) as source, closing(KafkaSink(cluster, "t")) as sink:
        reader = Reader(source)
        sink.append([b"1"], now=time.time())
        reader.until(lambda: reader.values(0) == [1])

        with broker.admin() as admin:
            changed = UserScramCredentialUpsertion("worker", ScramMechanism.SCRAM_SHA_256, "second")
            admin.alter_user_scram_credentials([changed])
        file.write_text("second\n", encoding="utf-8")
        broker.restart()  # what is connected is still let in until then

        until(lambda: _written(sink))
        until(lambda: _reads(reader, 2))


def _written(sink: KafkaSink) -> bool:
    sink.append([b"2"], now=time.time())
    return True


def _reads(reader: Reader, value: int) -> bool:
    reader.step()
    return value in reader.values(0)
