"""Kafka: samples read with a consumer group, HTTP ingest, dead letters and events written, and what people ask of topics."""

from __future__ import annotations

from service.adapters.kafka.connection import Cluster
from service.adapters.kafka.dead_letters import KafkaDeadLetters
from service.adapters.kafka.events import KafkaEvents
from service.adapters.kafka.range_source import RangeSource, stretches_between
from service.adapters.kafka.reading import Decode
from service.adapters.kafka.records import KafkaRecords
from service.adapters.kafka.sink import KafkaSink
from service.adapters.kafka.source import KafkaSource
from service.adapters.kafka.starting import Start, starts
from service.adapters.kafka.topics import KafkaTopics

__all__ = [
    "Cluster",
    "Decode",
    "KafkaDeadLetters",
    "KafkaEvents",
    "KafkaRecords",
    "KafkaSink",
    "KafkaSource",
    "KafkaTopics",
    "RangeSource",
    "Start",
    "starts",
    "stretches_between",
]
