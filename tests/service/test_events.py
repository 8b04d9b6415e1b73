"""Whatever leaves is a CloudEvent, the same at every repetition."""

from __future__ import annotations

from typing import Any

import pytest

from service.events import attributes, cloud_event, key
from service.records import OutboxItem


def item(payload: dict[str, Any], kind: str = "annotation.batch") -> OutboxItem:
    return OutboxItem("o1", kind, "events", payload, created=1_772_366_400.0, attempts=3, due=9e9)


def test_an_item_becomes_an_event_of_its_own() -> None:
    assert cloud_event(item({"monitor": "support", "batch": "b1", "cycle": "c1"})) == {
        "specversion": "1.0",
        "id": "o1",
        "type": "io.driftgate.annotation.batch",
        "source": "/driftgate/monitors/support",
        "subject": "c1",
        "time": "2026-03-01T12:00:00Z",
        "datacontenttype": "application/json",
        "data": {"monitor": "support", "batch": "b1", "cycle": "c1"},
    }


def test_an_event_goes_as_it_is() -> None:
    event = {"specversion": "1.0", "id": "c1", "type": "io.driftgate.refresh.requested", "source": "/x", "data": {}}
    assert cloud_event(item(event)) is event


@pytest.mark.parametrize(
    ("payload", "expected"),
    [({"cycle": "c1", "batch": "b1"}, "c1"), ({"cycle": "", "batch": "b1"}, "b1"), ({"alarm": "a1"}, "a1"), ({}, "o1")],
)
def test_its_key_is_what_it_is_about(payload: dict[str, Any], expected: str) -> None:
    assert key(cloud_event(item(payload))) == expected


def test_a_type_is_prefixed_once() -> None:
    assert cloud_event(item({}, "io.driftgate.refresh.promoted"))["type"] == "io.driftgate.refresh.promoted"


def test_the_context_is_text_without_the_content() -> None:
    found = attributes(cloud_event(item({"monitor": "support"})))
    assert found.keys() == {"specversion", "id", "type", "source", "time"}
    assert all(isinstance(value, str) for value in found.values())
