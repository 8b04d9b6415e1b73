"""HTTP ingest into a topic: what was answered with 202 is on all in-sync replicas."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from kafka.errors import KafkaError

from service.adapters.kafka.connection import Cluster
from service.adapters.kafka.writing import TOO_LARGE, Message, Writer
from service.decoding.envelope import CONTENT_TYPE
from service.errors import BacklogFullError, ConfigurationError, InputError, UnavailableError

PENDING_BYTES = 64_000_000
"""Taken and not yet acknowledged: more is refused at once, so that slow brokers don't fill the memory."""

RETRY_AFTER = 5.0

_HEADERS = (("content-type", CONTENT_TYPE.encode()),)


class KafkaSink:
    """Entries of the ingest topic, keyed so that a request and its response share a partition. For any thread."""

    def __init__(self, cluster: Cluster, topic: str, *, seconds: float = 10.0) -> None:
        self._cluster = cluster
        self._topic = topic
        self._writer = Writer(cluster, seconds=seconds)
        self._lock = threading.Lock()
        self._pending = 0

    def append(self, bodies: Sequence[bytes], *, now: float, keys: Sequence[str] = ()) -> None:
        """Returns once all are acknowledged. Where some are not, the sender tries again: entries that come twice are recognised."""
        size = sum(map(len, bodies))
        limit = self._cluster.settings.max_record_bytes
        if any(len(body) > limit for body in bodies):
            raise InputError("too_large", f"an item of more than {limit} bytes; send smaller ones, or raise kafka.max_record_bytes")
        self._reserve(size)
        try:
            self._write([_entry(self._topic, body, key, now) for body, key in zip(bodies, keys or [""] * len(bodies), strict=True)])
        finally:
            self._reserve(-size)

    def close(self) -> None:
        """Lets go of the brokers."""
        self._writer.close()

    def _reserve(self, size: int) -> None:
        with self._lock:
            if size > 0 and self._pending and self._pending + size > PENDING_BYTES:
                raise BacklogFullError("more is waiting for the brokers than may: try again", retry_after=RETRY_AFTER)
            self._pending += size

    def _write(self, messages: Sequence[Message]) -> None:
        try:
            failed = next((error for error in self._writer.write(messages) if error is not None), None)
        except UnavailableError as error:
            raise BacklogFullError(str(error), retry_after=RETRY_AFTER) from error
        if failed is not None:
            raise self._refused(failed) from failed

    def _refused(self, error: KafkaError) -> InputError | BacklogFullError | ConfigurationError:
        if isinstance(error, TOO_LARGE):
            return InputError("too_large", f"too large for topic {self._topic}: send a smaller item, or raise its max.message.bytes")
        explained = self._cluster.explain(error)
        if isinstance(explained, ConfigurationError):
            return explained
        return BacklogFullError(f"topic {self._topic} takes nothing now, or does not exist: {explained}", retry_after=RETRY_AFTER)


def _entry(topic: str, body: bytes, key: str, now: float) -> Message:
    return Message(topic, body, key.encode() or None, _HEADERS, now)
