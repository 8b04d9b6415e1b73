"""Files of the demo's messages are what commands read: in order of time, up to now, with drift from where it is asked for."""

from __future__ import annotations

import json
from typing import Any

import pytest

from service.demo.samples import Written, lines

NOW = 1_772_366_400.0


def made(**changes: Any) -> list[dict[str, Any]]:
    asked: dict[str, Any] = {"count": 300, "calm": 300, "days": 7.0, "seed": 1} | changes
    return [json.loads(line) for line in lines(Written(**asked), now=NOW)]


def test_messages_are_spread_over_the_days_up_to_now() -> None:
    times = [each["time"] for each in made()]
    assert times == sorted(times)
    assert times[0] > "2026-02-22T12:00:00"
    assert times[-1] <= "2026-03-01T12:00:00.000Z"


def test_a_seed_makes_the_same_messages_and_another_other_ids() -> None:
    assert made() == made()
    assert {each["id"] for each in made()}.isdisjoint({each["id"] for each in made(seed=2)})


@pytest.mark.parametrize("calm", [0, 100, 500])
def test_drift_begins_after_what_is_calm(calm: int) -> None:
    found = made(calm=calm)
    assert len(found) == 300
    assert (found == made()) == (calm >= 300)
