"""What a topic may be called, and where reading it may begin."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

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


def test_a_start_to_come_is_refused() -> None:
    """Nothing tells the offset at which it will be; a clock that is a little ahead of ours is no such time."""
    now = datetime.now(UTC)
    with pytest.raises(ValidationError, match="lies in the future"):
        TopicSettings(name="chats", start=now + timedelta(hours=1))
    with pytest.raises(ValidationError, match="lies in the future"):
        TopicSettings(name="chats", start=now.replace(tzinfo=None) + timedelta(hours=1))
    soon = now + timedelta(minutes=1)
    assert TopicSettings(name="chats", start=soon).start == soon
