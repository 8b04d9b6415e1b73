"""What leaves as CloudEvents in a topic: in binary mode, keyed so that all events of a cycle share a partition."""

from __future__ import annotations

import msgspec
from kafka.errors import InvalidTopicError, KafkaError

from service.adapters.kafka.connection import Cluster
from service.adapters.kafka.writing import TOO_LARGE, Message, Writer
from service.errors import DeliveryError, DriftgateError
from service.events import attributes, cloud_event, key
from service.records import OutboxItem

_FOR_GOOD = (*TOO_LARGE, InvalidTopicError)


class KafkaEvents:
    """A destination: taken once it is on all in-sync replicas. A repetition is the same event, which its `ce_id` tells."""

    def __init__(self, cluster: Cluster, topic: str, *, seconds: float = 10.0) -> None:
        self._cluster = cluster
        self._topic = topic
        self._writer = Writer(cluster, seconds=seconds)

    def deliver(self, item: OutboxItem, *, now: float) -> None:  # noqa: ARG002 - the port's signature
        """DeliveryError where the topic has not got it."""
        try:
            (failure,) = self._writer.write([_message(self._topic, item)])
        except DriftgateError as error:
            raise DeliveryError(str(error), retryable=True) from error
        if failure is not None:
            raise self._refused(failure) from failure

    def close(self) -> None:
        """Lets go of the brokers."""
        self._writer.close()

    def _refused(self, error: KafkaError) -> DeliveryError:
        return DeliveryError(f"topic {self._topic}: {self._cluster.explain(error)}", retryable=not isinstance(error, _FOR_GOOD))


def _message(topic: str, item: OutboxItem) -> Message:
    event = cloud_event(item)
    context = tuple((f"ce_{name}", value.encode()) for name, value in attributes(event).items())
    headers = (("content-type", str(event["datacontenttype"]).encode()), *context)
    return Message(topic, msgspec.json.encode(event["data"]), key(event).encode(), headers)
