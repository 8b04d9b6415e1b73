"""Each role with the rights that docs/acl.md lists, and no others, through a whole life over a real broker and a real Redis."""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import redis
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ACL, ACLOperation, ACLPermissionType, ResourcePattern, ResourceType
from kafka.errors import TopicAuthorizationFailedError

from tests.chaos.receiver import receiving
from tests.e2e.episode import CALM, DRIFTED, Episode, document, prepare
from tests.e2e.roles import Role, draw, until
from tests.servers.certificates import Certificate
from tests.servers.fixtures import StartKafka, StartRedis
from tests.servers.kafka_server import KafkaServer
from tests.servers.redis_server import RedisServer

pytestmark = pytest.mark.server("redis-server", "kafka")

PAGE = (Path(__file__).parents[2] / "docs/acl.md").read_text(encoding="utf-8")
ROLES = ("worker", "controller", "api")
TOPICS = {"chat-messages": 2, "driftgate-ingest": 1, "driftgate-dead-letters": 1, "refresh-events": 1}
PASSWORD = "sesame"


def redis_users() -> list[str]:
    """As lines of redis.conf."""
    lines = [line.replace(">PASSWORD", f">{PASSWORD}") for line in re.findall(r"^ACL SETUSER (driftgate-.*)$", PAGE, re.MULTILINE)]
    assert [line.split()[0] for line in lines] == [f"driftgate-{role}" for role in ROLES]
    return lines


def kafka_rights() -> Iterator[ACL]:
    """What the page's commands add."""
    for line in re.findall(r"^kafka-acls.sh (.*)$", PAGE, re.MULTILINE):
        words = shlex.split(line)
        said = [(word, words[at + 1]) for at, word in enumerate(words) if word.startswith("--") and word != "--add"]
        (user,) = [value for name, value in said if name == "--allow-principal"]
        (operation,) = [value for name, value in said if name == "--operation"]
        for name, value in said:
            if name in {"--topic", "--group"}:
                pattern = ResourcePattern(ResourceType[name[2:].upper()], value)
                yield ACL(user, "*", ACLOperation[operation.upper()], ACLPermissionType.ALLOW, pattern)


class Guarded(Episode):
    """Its processes are users of their own."""

    def start(self, role: str) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("DRIFTGATE__KAFKA__SASL__USER", f"driftgate-{role}")
            patch.setenv("DRIFTGATE__REDIS__USER", f"driftgate-{role}")
            patch.setenv("DRIFTGATE__KAFKA_PASSWORD", PASSWORD)
            patch.setenv("DRIFTGATE__REDIS_PASSWORD", PASSWORD)
            super().start(role)

    def embedder(self) -> Sequence[str]:
        found: Sequence[str] = re.findall(
            r'driftgate_embedder_info\{.*monitor="chat".*\}', self.roles["worker"].client.get("/metrics").text
        )
        return found


@pytest.fixture
def broker(start_kafka: StartKafka, certificate: Certificate) -> KafkaServer:
    options = {"authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer", "super.users": "User:ANONYMOUS"}
    broker = start_kafka(options=options, users={f"driftgate-{role}": PASSWORD for role in ROLES}, certificate=certificate)
    broker.create_topics(TOPICS)
    with broker.admin() as admin:
        admin.create_acls(list(kafka_rights()))
    return broker


@pytest.fixture
def lived(tmp_path: Path, broker: KafkaServer, start_redis: StartRedis, certificate: Certificate) -> Iterator[tuple[Guarded, RedisServer]]:
    """Set up by a user who may do everything."""
    server = start_redis(users=redis_users())
    sasl = {"mechanism": "PLAIN", "user": "nobody"}
    shared: Mapping[str, Any] = {
        "kafka": {"brokers": [broker.secured], "tls": {"ca_file": str(certificate.certificate)}, "sasl": sasl, "session_seconds": 6},
        "redis": {"url": server.url},
        "roles": {"lease_seconds": 3},
    }
    with ExitStack() as stack:
        pager, gone = stack.enter_context(receiving()), stack.enter_context(receiving())
        made = {**document(pager, gone), **shared}
        made["destinations"] += [{"type": "kafka", "name": "events", "topic": "refresh-events"}]
        chat, mail = made["monitors"]
        chat["refresh"] |= {"destination": ["vendor", "events"]}
        mail["topic"] = {"name": "chat-messages"}
        guarded = Guarded(tmp_path / "site")
        guarded.folder.mkdir()
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("DRIFTGATE__KAFKA_PASSWORD", PASSWORD)
            prepare(guarded.folder, made)
        stack.callback(guarded.close)
        for role in ROLES:
            guarded.start(role)
        yield guarded, server


def administrator(server: RedisServer) -> Any:
    return redis.Redis(port=server.port, decode_responses=True)


def test_a_whole_life_needs_no_other_rights(lived: tuple[Guarded, RedisServer], broker: KafkaServer) -> None:
    episode, server = lived
    episode.send("calm", draw(CALM, 1))
    episode.nuisances()
    episode.drift("first", draw(DRIFTED, 2, new=0.5))
    episode.report()
    episode.answer()
    episode.train()
    _by_people(episode)
    _told(broker)
    assert [(entry["username"], entry["object"], entry["reason"]) for entry in administrator(server).acl_log()] == []
    for role in episode.roles.values():
        assert "ACL user" not in role.log
        assert "needs Read" not in role.log


def _by_people(episode: Episode) -> None:
    """A sample forgotten, a word on an alarm, and the first token: from then on nobody is let in without one."""
    alarm = episode.get("/v1/alarms")["alarms"][0]["id"]
    for path, body in (
        (f"/v1/alarms/{alarm}/verdict", {"verdict": "true", "actor": "ana"}),
        ("/v1/forget", {"sample": "calm-3", "monitor": "chat"}),
        ("/v1/tokens", {"name": "prometheus", "role": "admin"}),
    ):
        answer = episode.client.post(path, json=body)
        assert answer.is_success, answer.text
    headers = {"authorization": f"Bearer {answer.json()['token']}"}
    for role in episode.roles.values():
        until(partial(_names_monitors, role, headers), what="the token to be known")


def _names_monitors(role: Role, headers: Mapping[str, str]) -> bool:
    """As it does for those alone who may ask; the token is marked as used."""
    return bool(role.client.get("/readyz", headers=headers).json()["monitors"])


def _told(broker: KafkaServer) -> None:
    """The destination that is a topic has the request for training."""
    with closing(KafkaConsumer(bootstrap_servers=broker.bootstrap, auto_offset_reset="earliest", group_id=None)) as consumer:
        consumer.assign([TopicPartition("refresh-events", 0)])
        until(lambda: any(consumer.poll(timeout_ms=500).values()), what="an event in the topic")


READS = {"worker": {"chat-messages", "driftgate-ingest"}, "controller": set[str](), "api": set[str]()}
WRITES = {"worker": {"driftgate-dead-letters"}, "controller": {"refresh-events"}, "api": {"driftgate-ingest"}}


def test_a_role_can_read_and_write_its_own_topics_alone(broker: KafkaServer, certificate: Certificate) -> None:
    with closing(KafkaProducer(bootstrap_servers=broker.bootstrap)) as producer:
        for topic in TOPICS:
            producer.send(topic, b"x", partition=0).get(timeout=30)
    for role in ROLES:
        login: dict[str, Any] = {
            "bootstrap_servers": broker.secured,
            "security_protocol": "SASL_SSL",
            "ssl_cafile": str(certificate.certificate),
            "sasl_mechanism": "PLAIN",
            "sasl_plain_username": f"driftgate-{role}",
            "sasl_plain_password": PASSWORD,
        }
        assert {topic for topic in TOPICS if _reads(login, topic, seconds=30.0 if topic in READS[role] else 1.5)} == READS[role]
        assert {topic for topic in TOPICS if _writes(login, topic)} == WRITES[role]


def _reads(login: Mapping[str, Any], topic: str, *, seconds: float) -> bool:
    end = time.monotonic() + seconds
    with closing(KafkaConsumer(**login, group_id=None, auto_offset_reset="earliest")) as consumer:
        consumer.assign([TopicPartition(topic, 0)])
        with suppress(TopicAuthorizationFailedError):  # told at once, or not at all
            while time.monotonic() < end:
                if any(consumer.poll(timeout_ms=200).values()):
                    return True
    return False


def _writes(login: Mapping[str, Any], topic: str) -> bool:
    with closing(KafkaProducer(**login)) as producer:
        try:
            producer.send(topic, b"x").get(timeout=30)
        except TopicAuthorizationFailedError:
            return False
        return True
