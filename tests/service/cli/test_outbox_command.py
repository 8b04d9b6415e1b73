"""What is dead in the outbox is sent again, by its id or with all others of its destination."""

from __future__ import annotations

from dataclasses import replace

import pytest

from service.app import opened
from service.records import OutboxItem
from service.settings import load
from tests.service.cli.conftest import Desk

pytestmark = pytest.mark.long


@pytest.fixture
def dead(desk: Desk) -> Desk:
    """Three items that could not be delivered, two of them to the inbox."""
    item = OutboxItem("o", "alarm.opened", "inbox", {"alarm": "a1"}, created=1.0, state="dead", attempts=10, error="503")
    config = desk.folder / "driftgate.yaml"
    with opened(load(config), config=config) as installation:
        items = [replace(item, id="o1"), replace(item, id="o2"), replace(item, id="o3", destination="other")]
        installation.store.save(outbox=[replace(each, state="pending") for each in items])
        for each in items:
            installation.store.settle(each)
    return desk


def pending(desk: Desk) -> set[str]:
    return {item["id"] for item in desk.json("outbox", "list", "--state", "pending")["items"]}


def test_one_by_its_id(dead: Desk) -> None:
    assert dead.json("outbox", "replay", "o1")["attempts"] == 0
    assert pending(dead) == {"o1"}


def test_all_of_a_destination(dead: Desk) -> None:
    assert {item["id"] for item in dead.json("outbox", "replay", "--destination", "inbox")["items"]} == {"o1", "o2"}
    assert pending(dead) == {"o1", "o2"}
    assert "nothing is dead there" in dead.run("outbox", "replay", "--destination", "inbox").stdout


@pytest.mark.parametrize("arguments", [(), ("o1", "--destination", "inbox")])
def test_it_has_to_be_said_which(dead: Desk, arguments: tuple[str, ...]) -> None:
    assert "say which" in dead.run("outbox", "replay", *arguments, code=2).stderr
