"""How every client of the configured brokers is opened, and what their errors mean to the person who runs driftgate."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka import errors as kafka_errors
from kafka.net.compat import KafkaNetClient
from pydantic import SecretStr

from service.errors import ConfigurationError, DriftgateError, UnavailableError
from service.settings import KafkaSettings, SaslSettings, TlsSettings

ANSWER_MS = 10_000
"""How long one question to the brokers may take."""


class Cluster:
    """The configured brokers. `password` is DRIFTGATE__KAFKA_PASSWORD, where the settings name no file; a file is read for each client,
    certificates for each connection."""

    def __init__(self, settings: KafkaSettings, password: SecretStr | None = None) -> None:
        self.settings = settings
        self._given = password
        self._options()  # what is missing is said now

    def _options(self) -> Mapping[str, Any]:
        return {
            "bootstrap_servers": list(self.settings.brokers),
            "bootstrap_timeout_ms": ANSWER_MS,
            "reconnect_backoff_max_ms": 2_000,
            "retry_backoff_ms": 250,
            **_security(self.settings.tls, self.settings.sasl, self._given),
        }

    def outdated(self) -> Callable[[], bool]:
        """Whether the password's file holds another one by then than now: the library keeps the one that a client was opened with."""
        known = self._kept()
        return lambda: self._kept() not in (known, "")

    def _kept(self) -> str:
        sasl = self.settings.sasl
        return "" if sasl is None or sasl.password_file is None else _read(sasl.password_file)

    def consumer(self, **options: Any) -> KafkaConsumer:
        """A consumer that commits nothing by itself and counts what transactions have committed; topics are never made by reading."""
        fixed = {"enable_auto_commit": False, "allow_auto_create_topics": False, "isolation_level": "read_committed"}
        with self._opening() as through:
            consumer = KafkaConsumer(**self._options(), **fixed, kafka_client=through, client_id="driftgate", **options)
        if consumer.config["api_version"] < (2, 8):  # topic ids, without which a topic made anew looks like the one before
            consumer.close(autocommit=False)
            raise ConfigurationError(
                f"kafka.brokers: {', '.join(self.settings.brokers)} are older than Kafka 2.8, the first with topic ids"
            )
        return consumer

    def producer(self, **options: Any) -> KafkaProducer:
        """An idempotent producer: what it says is written is written once, on all in-sync replicas."""
        fixed = {"acks": "all", "allow_auto_create_topics": False}
        with self._opening() as through:
            return KafkaProducer(**self._options(), **fixed, kafka_client=through, client_id="driftgate", **options)

    @contextmanager
    def admin(self) -> Iterator[KafkaAdminClient]:
        """For the questions and acts of people."""
        with self._opening() as through:
            client = KafkaAdminClient(**self._options(), kafka_client=through, request_timeout_ms=ANSWER_MS, client_id="driftgate")
        with self.explained():
            try:
                yield client
            finally:
                client.close()

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Within it the library's errors become ours."""
        try:
            yield
        except kafka_errors.KafkaError as error:
            raise self.explain(error) from error

    @contextmanager
    def _opening(self) -> Iterator[Callable[..., KafkaNetClient]]:
        """Explains an attempt that nobody answered by what was heard meanwhile, as the library itself says no more than that, and
        closes what it leaves open then: a thread and its sockets."""
        heard, left = _Heard(), list[KafkaNetClient]()

        def through(**options: Any) -> KafkaNetClient:
            left.append(KafkaNetClient(**options))
            return left[-1]

        logger = logging.getLogger("kafka.net.manager")
        logger.addHandler(heard)
        try:
            with self.explained():
                yield through
        except DriftgateError as error:
            for client in left:
                client.close()
            raise (self._silence(heard.errors) if isinstance(error, UnavailableError) else None) or error from error
        finally:
            logger.removeHandler(heard)

    def _silence(self, heard: Sequence[BaseException]) -> DriftgateError | None:
        refusals = [error for error in heard if isinstance(error, kafka_errors.KafkaError) and self._refusal(error)]
        if refusals:
            return self.explain(refusals[0])
        if not heard:
            return None
        login = f"; or they refuse {self._user} (kafka.sasl and its password)" if self.settings.sasl else ""
        remedy = f"see that they run, that this listener speaks the protocol of kafka.tls and kafka.sasl{login}"
        return UnavailableError(f"Kafka at {self._brokers} (kafka.brokers): {heard[-1]!s:.300}; {remedy}")

    def explain(self, error: kafka_errors.KafkaError) -> DriftgateError:
        """What to do about it. Only what trying again may mend is an UnavailableError."""
        refusal = self._refusal(error)
        if refusal:
            return ConfigurationError(refusal)
        return UnavailableError(f"Kafka at {self._brokers}: {_shown(error)}; see that the brokers run and are those of kafka.brokers")

    def absent(self, topic: str) -> str:
        """What to say of a topic that there is none of, or none that we may see."""
        create = f"kafka-topics.sh --bootstrap-server {self.settings.brokers[0]} --create --topic {topic} --partitions N"
        return f"topic {topic!r} does not exist, or may not be described by {self._user}; create it: {create}"

    @property
    def _brokers(self) -> str:
        return ", ".join(self.settings.brokers)

    @property
    def _user(self) -> str:
        return f"user {self.settings.sasl.user!r}" if self.settings.sasl else "an anonymous user"

    def _refusal(self, error: kafka_errors.KafkaError) -> str:
        """For what only a person can mend."""
        user, settings, shown = self._user, self.settings, _shown(error)
        limits = f"raise the topic's max.message.bytes, or kafka.max_record_bytes ({settings.max_record_bytes})"
        too_large = f"the record is too large and stays where it is kept; {limits}: {shown}"
        remedies = {
            kafka_errors.SaslAuthenticationFailedError: f"the brokers refuse {user}: check kafka.sasl and its password: {shown}",
            kafka_errors.UnsupportedSaslMechanismError: f"kafka.sasl.mechanism: this listener takes another one: {shown}",
            kafka_errors.AuthorizationError: f"{user} needs Read, Write and Describe on the topics, and Read on the group: {shown}",
            kafka_errors.FencedInstanceIdError: f"kafka.instance {settings.instance!r}: another worker has this name; give each its own",
            kafka_errors.InvalidSessionTimeoutError: (
                f"kafka.session_seconds {settings.session_seconds:g} is outside the brokers' group.min|max.session.timeout.ms"
            ),
            kafka_errors.MessageSizeTooLargeError: too_large,
            kafka_errors.RecordListTooLargeError: too_large,
            kafka_errors.InconsistentGroupProtocolError: f"kafka.group {settings.group!r} is used by others; choose another name",
        }
        return next((remedy for kind, remedy in remedies.items() if isinstance(error, kind)), "")


class _Heard(logging.Handler):
    """The errors that a logger was told of."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.errors: list[BaseException] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.errors.extend(each for each in record.args or () if isinstance(each, BaseException))


def topic_id(consumer: KafkaConsumer, topic: str) -> str | None:
    """The id of the topic of that name, as the last metadata had it; the consumer follows it, but has no public word for it."""
    found: UUID | None = consumer._cluster.topic_id(topic)
    return None if found is None or found.int == 0 else str(found)


def reaches_group(consumer: KafkaConsumer) -> bool:
    """Whether the broker that keeps the group answers; as above."""
    return not consumer._coordinator.coordinator_unknown()


def unreadable(consumer: KafkaConsumer, topics: Iterable[str]) -> tuple[str, ...]:
    """Those of the topics that are not there, or that we may not see, by the last metadata; as above."""
    metadata = consumer._cluster
    return tuple(sorted(topic for topic in topics if hidden(consumer, topic) or not metadata.partitions_for_topic(topic)))


def hidden(consumer: KafkaConsumer, topic: str) -> bool:
    """Whether we may not see it, by the last metadata; as above."""
    return topic in consumer._cluster.unauthorized_topics


def has_leader(consumer: KafkaConsumer, place: TopicPartition) -> bool:
    """Whether a broker answers for the partition, by the last metadata; as above."""
    return consumer._cluster.leader_for_partition(place) not in (None, -1)


def position(consumer: KafkaConsumer, place: TopicPartition) -> int | None:
    """Of the next record that comes, past what transactions and compaction leave without one; asks nobody, unlike the public word."""
    state = consumer._subscription.assignment.get(place)
    return state.position.offset if state is not None and state.position is not None else None


def committed(consumer: KafkaConsumer, places: Sequence[TopicPartition]) -> set[int]:
    """Numbers of the partitions that the group has an offset of; one question for all, unlike the public word."""
    return {place.partition for place in consumer._coordinator.fetch_committed_offsets(places, timeout_ms=ANSWER_MS)}


def _security(tls: TlsSettings | None, sasl: SaslSettings | None, password: SecretStr | None) -> Mapping[str, Any]:
    options: dict[str, Any] = {"security_protocol": f"{'SASL_' if sasl else ''}{'SSL' if tls else 'PLAINTEXT'}"}
    if tls is not None:
        options |= {
            "ssl_cafile": _existing("ca_file", tls.ca_file),
            "ssl_certfile": _existing("certificate_file", tls.certificate_file),
            "ssl_keyfile": _existing("key_file", tls.key_file),
            "ssl_check_hostname": tls.verify_name,
        }
    if sasl is not None:
        options |= {"sasl_mechanism": sasl.mechanism, "sasl_plain_username": sasl.user, "sasl_plain_password": _password(sasl, password)}
    return options


def _existing(field: str, path: Path | None) -> str | None:
    if path is not None and not path.is_file():
        raise ConfigurationError(f"kafka.tls.{field}: no file {path}")
    return None if path is None else str(path)


def _password(sasl: SaslSettings, given: SecretStr | None) -> str:
    if sasl.password_file is None:
        found, origin = given.get_secret_value() if given else "", "environment variable DRIFTGATE__KAFKA_PASSWORD"
    else:
        origin = f"file {sasl.password_file}"
        found = _read(sasl.password_file)
    if not found:
        raise ConfigurationError(f"kafka.sasl: no password in {origin}")
    return found


def _read(file: Path) -> str:
    """'' where there is nothing to read."""
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _shown(error: kafka_errors.KafkaError) -> str:
    """The library's words, in a length that a log line bears."""
    return f"{error!s:.300}"
