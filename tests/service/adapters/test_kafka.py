"""What of the Kafka parts needs no broker: where topics begin, what a record becomes, what letters say."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from kafka import errors as kafka_errors
from pydantic import SecretStr

from service.adapters.kafka import Cluster, Start, starts
from service.adapters.kafka.dead_letters import reasons
from service.adapters.kafka.reading import Reading
from service.decoding.completing import completed
from service.decoding.kafka_records import KafkaDecoder
from service.errors import ConfigurationError, UnavailableError
from service.records import DeadLetter, Item, Original, Partition, Rejected, Request, Response, Sample
from service.settings import EmbedderSettings, KafkaSettings, MonitorSettings, SaslSettings, TlsSettings, TopicSettings

PLACE = Partition("chats", "1", 3)
NAN = float("nan")


def monitor(topic: str | None, start: Start = "earliest") -> MonitorSettings:
    embedder = EmbedderSettings(input="none", dimension=4)
    return MonitorSettings(name="chat", embedder=embedder, topic=TopicSettings(name=topic, start=start) if topic else None)


def test_a_topic_begins_where_the_first_of_its_monitors_wants_it() -> None:
    early, late = datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 2, 1)  # noqa: DTZ001 - a configuration may name no zone
    monitors = [
        monitor("a", "latest"),
        monitor("a", late),
        monitor("a", early),
        monitor("b", "latest"),
        monitor("c", late),
        monitor("c", "earliest"),
        monitor(None),
    ]
    assert starts(monitors, "ingest") == {"a": early, "b": "latest", "c": "earliest", "ingest": "earliest"}
    assert starts([], None) == {}


def test_what_a_sender_left_out_is_the_records_place_and_time() -> None:
    mine, bare = Sample("chat", "mine", 5.0, "hi"), Sample("chat", "", NAN, "hi")
    items: Sequence[Item] = (mine, bare, Request("chat", "e", (bare, mine)), Response("chat", "e", ()), bare, Rejected("x", "y", b""), bare)
    found = completed(items, PLACE, 7, 9.0)
    assert found[0] is mine
    ids = [item.id for item in found if isinstance(item, Sample)]
    assert ids == ["mine", "chats/3/7/1", "chats/3/7/5", "chats/3/7/7"]
    (request,) = [item for item in found if isinstance(item, Request)]
    assert [(sample.id, sample.time) for sample in request.samples] == [("chats/3/7/2", 9.0), ("mine", 5.0)]


def test_a_record_without_a_time_or_a_headers_value_is_read() -> None:
    found = SimpleNamespace(offset=4, timestamp=-1, headers=[("a", b"1"), ("b", None)], key=None, value=None)
    seen: list[Original] = []

    def decode(_topic: str, original: Original) -> Sequence[Item]:
        seen.append(original)
        return ()

    record = Reading(decode, 10).record(PLACE, found)
    assert record.original == seen[0] == Original(None, None, (("a", b"1"), ("b", b"")), 0.0)
    assert (record.partition, record.offset, record.time, record.items) == (PLACE, 4, 0.0, ())


def test_a_record_over_the_limit_is_lost_to_everyone_who_reads_its_topic() -> None:
    found = SimpleNamespace(offset=4, timestamp=9_000, headers=[], key=b"k", value=b"x" * 11)
    reading = Reading(KafkaDecoder([monitor("chats"), monitor("chats"), monitor("more")], "ingest").decode, 10)
    items = [item for item in reading.record(PLACE, found).items if isinstance(item, Rejected)]
    assert [(item.reason, item.index, item.original) for item in items] == [("too_large", 0, b"x" * 11), ("too_large", 1, b"")]
    assert [item.monitor for item in items] == ["chat", "chat"]
    (unknown,) = reading.record(Partition("ingest", "1"), found).items
    assert isinstance(unknown, Rejected)
    assert (unknown.reason, unknown.monitor, unknown.original) == ("too_large", None, b"x" * 11)


def test_a_letters_headers_are_those_of_kafka_connect() -> None:
    letter = DeadLetter(PLACE, 7, 9.0, Rejected("json", "no JSON", b"{", 2, None, "DECODE"))
    headers = dict(reasons(letter))
    assert {name for name in headers if name.startswith("__connect.errors.")} == {
        f"__connect.errors.{name}"
        for name in (
            *("topic", "partition", "offset", "connector.name", "task.id", "stage", "class.name"),
            *("exception.class.name", "exception.message", "exception.stacktrace"),
        )
    }
    assert "__driftgate.errors.monitor" not in headers


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (kafka_errors.SaslAuthenticationFailedError(), "refuse user 'ana'"),
        (kafka_errors.TopicAuthorizationFailedError({"chats"}), "user 'ana' needs Read"),
        (kafka_errors.GroupAuthorizationFailedError("g"), "user 'ana' needs Read"),
        (kafka_errors.FencedInstanceIdError(), "kafka.instance 'w-0'"),
        (kafka_errors.InvalidSessionTimeoutError(), "kafka.session_seconds 45"),
        (kafka_errors.InconsistentGroupProtocolError(), "kafka.group 'driftgate'"),
        (kafka_errors.MessageSizeTooLargeError(), "raise the topic's max.message.bytes"),
        (kafka_errors.RecordListTooLargeError(), "raise the topic's max.message.bytes"),
    ],
)
def test_what_only_a_person_can_mend_says_how(error: kafka_errors.KafkaError, says: str) -> None:
    settings = KafkaSettings(brokers=("b:1",), instance="w-0", sasl=SaslSettings(mechanism="PLAIN", user="ana"))
    explained = Cluster(settings, SecretStr("sesame")).explain(error)
    assert isinstance(explained, ConfigurationError)
    assert says in str(explained)
    assert "sesame" not in str(explained)


def test_everything_else_may_pass() -> None:
    explained = Cluster(KafkaSettings(brokers=("b:1", "c:2"))).explain(kafka_errors.KafkaTimeoutError("no answer"))
    assert isinstance(explained, UnavailableError)
    assert explained.retryable
    assert "b:1, c:2" in str(explained)


def test_secrets_and_files_are_looked_for_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"kafka\.tls\.key_file: no file"):
        Cluster(KafkaSettings(brokers=("b:1",), tls=TlsSettings(key_file=tmp_path / "key.pem")))
    sasl = SaslSettings(mechanism="PLAIN", user="ana", password_file=tmp_path / "password")
    with pytest.raises(ConfigurationError, match="no password in file"):
        Cluster(KafkaSettings(brokers=("b:1",), sasl=sasl))
