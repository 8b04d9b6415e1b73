"""The live stream: ids of its own, keyed by conversation."""

from __future__ import annotations

import json
from collections import defaultdict

import numpy as np

from service.decoding.kafka_records import KafkaDecoder
from service.demo.chats import Chats
from service.demo.messages import CALM
from service.records import Original, Sample
from service.settings import EmbedderSettings, MonitorSettings
from service.settings.monitors import TopicSettings


def chats(run: str = "r") -> Chats:
    return Chats(np.random.default_rng(3), run=run)


def test_no_two_runs_share_an_id() -> None:
    first, second = (chats(run).draw(200, mix=CALM) for run in ("a", "b"))
    ids = [message.body["id"] for message in (*first, *second)]
    assert len(set(ids)) == len(ids)


def test_a_conversation_is_one_customer_and_some_are_long() -> None:
    who: dict[str, list[object]] = defaultdict(list)
    for message in chats().draw(500, mix=CALM):
        who[message.conversation].append(message.body["segments"])
    assert all(segments == [segments[0]] * len(segments) for segments in who.values())
    assert 120 < len(who) < 320
    assert max(map(len, who.values())) >= 4


def test_a_record_is_a_sample_to_whoever_reads_the_topic() -> None:
    (message,) = chats().draw(1, mix=CALM)
    key, value = message.record
    assert key == message.conversation == json.loads(value)["conversation"]
    monitor = MonitorSettings(name="support-chat", topic=TopicSettings(name="t"), embedder=EmbedderSettings(model="m.onnx"))
    (found,) = KafkaDecoder((monitor,)).decode("t", Original(key.encode(), value, time=1_700_000_000.0))
    assert isinstance(found, Sample)
    assert (found.id, found.payload, found.segments) == (message.body["id"], message.body["text"], message.body["segments"])
