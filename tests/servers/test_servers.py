"""The servers that other tests rely on do what their methods say."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from redis import Redis
from redis.exceptions import ConnectionError as Unreachable

from tests.servers.certificates import Certificate
from tests.servers.fixtures import StartAlertmanager, StartKafka, StartPrometheus, StartRedis
from tests.servers.kafka_server import KafkaServer
from tests.servers.process import Server, StartError
from tests.servers.redis_server import Sentinel


class Silent(Server):
    """A program that ends before it answers."""

    def command(self) -> list[str]:
        return ["sh", "-c", "echo no such luck; exit 3"]

    def answers(self) -> bool:
        return False


def test_failed_start_shows_the_log(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"(?s)Silent ended with 3.*no such luck"):
        Silent(tmp_path).start()


@pytest.mark.server("redis-server")
def test_what_redis_acknowledged_outlives_a_kill(start_redis: StartRedis) -> None:
    server = start_redis()
    with Redis.from_url(server.url) as client:
        client.set("kept", "1")
        server.kill()
        server.start()
        assert client.get("kept") == b"1"


@pytest.mark.server("redis-server")
def test_full_disk_ends_redis_and_loses_nothing(start_redis: StartRedis) -> None:
    server = start_redis()
    with Redis.from_url(server.url, retry=None) as client:
        client.set("kept", "1")
        server.limit_files(4_096)
        with pytest.raises(Unreachable):
            client.set("lost", "x" * 8_192)
    assert server.ended(10)
    server.start()
    with Redis.from_url(server.url) as client:
        assert (client.get("kept"), client.get("lost")) == (b"1", None)


@pytest.mark.server("redis-server")
def test_redis_over_tls_with_users(start_redis: StartRedis, certificate: Certificate) -> None:
    server = start_redis(users=["default off", "worker on >secret ~dg:* +@all"], certificate=certificate)
    options = {"username": "worker", "password": "secret", "ssl_ca_certs": str(certificate.certificate)}
    with Redis.from_url(server.url, **options) as client:
        assert client.set("dg:1", "1")


@pytest.mark.server("redis-server")
def test_sentinel_knows_the_master(start_redis: StartRedis, tmp_path: Path) -> None:
    master = start_redis()
    sentinel = Sentinel(tmp_path / "sentinel", master).start()
    try:
        with Redis(port=sentinel.port, decode_responses=True) as client:
            assert client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "driftgate") == ["127.0.0.1", str(master.port)]
    finally:
        sentinel.kill()


@pytest.mark.server("kafka")
def test_shared_broker(kafka_broker: KafkaServer) -> None:
    kafka_broker.create_topics({"servers-shared": 2})
    with KafkaProducer(bootstrap_servers=kafka_broker.bootstrap) as producer:
        assert producer.send("servers-shared", b"1", partition=1).get(10).offset == 0


@pytest.mark.server("kafka")
def test_secured_broker_keeps_its_topics_over_a_kill(start_kafka: StartKafka, certificate: Certificate) -> None:
    server = start_kafka(users={"worker": "secret"}, certificate=certificate)
    server.create_topics({"t": 1})
    context = ssl.create_default_context(cafile=str(certificate.certificate))
    login = {"security_protocol": "SASL_SSL", "sasl_plain_username": "worker", "sasl_plain_password": "secret", "ssl_context": context}
    with KafkaProducer(bootstrap_servers=server.secured, sasl_mechanism="SCRAM-SHA-256", **login) as producer:
        producer.send("t", b"1").get(10)
    server.kill()
    server.start()
    with KafkaConsumer(bootstrap_servers=server.secured, sasl_mechanism="PLAIN", **login) as consumer:
        assert consumer.end_offsets([TopicPartition("t", 0)]) == {TopicPartition("t", 0): 1}


RULES = """groups: [{name: g, rules: [{alert: Up, expr: up == 1, labels: {severity: ticket}}]}]"""
SILENT: Mapping[str, Any] = {"route": {"receiver": "nobody"}, "receivers": [{"name": "nobody"}]}


@pytest.mark.server("prometheus")
@pytest.mark.server("prometheus-alertmanager")
def test_what_prometheus_finds_reaches_alertmanager(prometheus: StartPrometheus, alertmanager: StartAlertmanager, tmp_path: Path) -> None:
    (tmp_path / "rules.yml").write_text(RULES, encoding="utf-8")
    told = alertmanager(SILENT)
    server = prometheus(targets={"told": [told.address]}, rules=[tmp_path / "rules.yml"], alertmanagers=[told.address])
    server.scraped()
    assert told.holds("Up")["labels"]["job"] == "told"
