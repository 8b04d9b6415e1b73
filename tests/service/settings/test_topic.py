"""What a topic may be called, and where reading it may begin."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from service.settings import TopicSettings


@pytest.mark.parametrize("name", [".", "..", "", "a b", "ü", "x" * 250])
def test_names_that_kafka_refuses_are_refused(name: str) -> None:
    """One such name would keep the library from subscribing to the topics of all other monitors."""
    with pytest.raises(ValidationError, match="name"):
        TopicSettings(name=name)


@pytest.mark.parametrize("name", ["a", ".a", "a.", "..a", "A-1_b.c", "x" * 249])
def test_names_that_kafka_takes_are_taken(name: str) -> None:
    assert TopicSettings(name=name).name == name


@pytest.mark.parametrize(
    ("start", "ahead"),
    [
        ("latest", False),
        (datetime(2030, 1, 1, 12, tzinfo=UTC), False),
        (datetime(2030, 1, 1, 12, 1, tzinfo=UTC), False),
        (datetime(2030, 1, 1, 13, tzinfo=UTC), True),
        (datetime(2030, 1, 1, 13), True),  # noqa: DTZ001 - a configuration may name no zone
    ],
)
def test_a_start_to_come_is_told_from_clocks_that_differ(start: Any, ahead: bool) -> None:
    assert TopicSettings(name="chats", start=start).begins_after(datetime(2030, 1, 1, 12, tzinfo=UTC).timestamp()) is ahead
