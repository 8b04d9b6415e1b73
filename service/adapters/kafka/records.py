"""Records of a topic as anybody writes them: a key, and JSON."""

from __future__ import annotations

from collections.abc import Sequence

from service.adapters.kafka.connection import Cluster
from service.adapters.kafka.writing import Message, Writer


class KafkaRecords:
    """Writes to one topic, which it never makes."""

    def __init__(self, cluster: Cluster, topic: str, *, seconds: float = 10.0) -> None:
        self._cluster = cluster
        self._topic = topic
        self._writer = Writer(cluster, seconds=seconds)

    def append(self, records: Sequence[tuple[str, bytes]]) -> None:
        """Key and value of each. Returns once all are on all in-sync replicas; where some are not, the caller tries all again, or learns
        what a person must mend."""
        outcomes = self._writer.write([Message(self._topic, value, key.encode()) for key, value in records])
        failed = next((error for error in outcomes if error is not None), None)
        if failed is not None:
            raise self._cluster.explain(failed) from failed

    def close(self) -> None:
        """Lets go of the brokers."""
        self._writer.close()
