"""Monitors that come over HTTP are held to what the installation declares."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.app.configuration import accepted
from service.errors import InputError
from service.settings import parse


def test_a_monitor_by_api_reads_no_topic_that_is_written_to(tmp_path: Path) -> None:
    settings = parse({"directory": str(tmp_path), "kafka": {"brokers": ["localhost:9092"]}}, base=tmp_path)
    document = {"embedder": {"input": "none", "dimension": 2}, "topic": {"name": "chats"}}
    found = accepted(settings, "chat", document)
    assert found.topic is not None
    assert found.topic.name == "chats"
    with pytest.raises(InputError, match=r"driftgate-dead-letters is kafka\.dead_letter_topic"):
        accepted(settings, "chat", {**document, "topic": {"name": "driftgate-dead-letters"}})
