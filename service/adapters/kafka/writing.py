"""Records written to topics and acknowledged, whichever thread asks."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from kafka import KafkaProducer
from kafka.errors import KafkaError, KafkaTimeoutError, MessageSizeTooLargeError, RecordListTooLargeError

from service.adapters.kafka.connection import Cluster
from service.errors import UnavailableError

LINGER_MS = 5
"""So that requests of several threads share one."""

AGAIN_SECONDS = 2.0
"""Between two attempts to connect: who comes meanwhile hears what the last one found."""

LAST_SECONDS = 1.0
"""What is under way on a producer that is let go of has so long to arrive."""

ROOM = 65_536
"""For a record's key, headers and frame beside its value."""

TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)
"""What a record ends in that no trying again makes smaller."""


@dataclass(frozen=True, slots=True)
class Message:
    """A record to be written. `time` in seconds; the moment of writing where it is 0."""

    topic: str
    value: bytes
    key: bytes | None = None
    headers: tuple[tuple[str, bytes], ...] = ()
    time: float = 0.0


class Writer:
    """One idempotent producer, connected when it is first needed. Nothing takes longer than about `seconds`."""

    def __init__(self, cluster: Cluster, *, seconds: float = 10.0) -> None:
        self.cluster = cluster
        self._seconds = seconds
        self._lock = threading.Lock()
        self._producer: KafkaProducer | None = None
        self._outdated = cluster.outdated()
        self._silent: UnavailableError | None = None
        self._silent_until = 0.0

    def write(self, messages: Iterable[Message]) -> list[KafkaError | None]:
        """What became of each, in order: None once it is on all in-sync replicas. UnavailableError where no broker answers."""
        producer = self._connected()
        deadline = time.monotonic() + self._seconds
        outcomes = [_outcome(sent, deadline) for sent in _sent(producer, messages)]
        if any(error is not None for error in outcomes):
            self._drop(producer)
        return outcomes

    def close(self) -> None:
        """What is under way is still waited for."""
        with self._lock:
            producer, self._producer = self._producer, None
        if producer is not None:
            producer.close(timeout=self._seconds)

    def _drop(self, producer: KafkaProducer) -> None:
        """A record that the brokers have refused, or did not acknowledge in time, breaks the sequence of its partition: all after it may
        be refused as well, for as long as the producer lives."""
        with self._lock:
            if self._producer is producer:
                self._producer = None
        producer.close(timeout=LAST_SECONDS)

    def _connected(self) -> KafkaProducer:
        """One thread tries, and the others that wait for it hear the same."""
        with self._lock:
            if self._silent is not None and time.monotonic() < self._silent_until:
                raise self._silent
            if self._producer is not None and self._outdated():
                self._producer.close(timeout=LAST_SECONDS)
                self._producer = None
            if self._producer is None:
                try:
                    self._outdated, self._producer = self.cluster.outdated(), self._opened()
                except UnavailableError as error:
                    self._silent, self._silent_until = error, time.monotonic() + AGAIN_SECONDS
                    raise
            self._silent = None
            return self._producer

    def _opened(self) -> KafkaProducer:
        milliseconds = int(self._seconds * 1000)
        return self.cluster.producer(
            linger_ms=LINGER_MS,
            batch_size=2**18,
            max_request_size=self.cluster.settings.max_record_bytes + ROOM,
            max_block_ms=milliseconds // 2,
            request_timeout_ms=milliseconds // 2,
            delivery_timeout_ms=milliseconds,
            metrics_enabled=False,
        )


def _sent(producer: KafkaProducer, messages: Iterable[Message]) -> Sequence[Any]:
    """Futures, or the errors that came at once; after the first message that found no broker the others are not tried."""
    sent: list[Any] = []
    silent: KafkaError | None = None
    for message in messages:
        if silent is not None:
            sent.append(silent)
            continue
        try:
            sent.append(_send(producer, message))
        except KafkaError as error:
            sent.append(error)
            silent = error if isinstance(error, KafkaTimeoutError) else None
    return sent


def _send(producer: KafkaProducer, message: Message) -> Any:
    timestamp = int(message.time * 1000) if message.time > 0 else None
    return producer.send(message.topic, message.value, key=message.key, headers=list(message.headers), timestamp_ms=timestamp)


def _outcome(sent: Any, deadline: float) -> KafkaError | None:
    if isinstance(sent, KafkaError):
        return sent
    try:
        sent.get(timeout=max(deadline - time.monotonic(), 0.001))
    except KafkaError as error:
        return error
    return None
