"""A loop that hangs is named; a condition that can't be told does not hold."""

from __future__ import annotations

from service.errors import ArtefactError
from service.health import Heartbeats, missing


def test_loops_are_silent_beyond_the_limit_only() -> None:
    seconds = 100.0
    beats = Heartbeats(limit=10, clock=lambda: seconds)
    assert beats.silent() == ()
    beats.beat("worker")
    beats.beat("controller")
    seconds = 110.0
    assert beats.silent() == ()
    beats.beat("controller")
    seconds = 111.0
    assert beats.silent() == ("worker",)
    beats.beat("worker")
    assert beats.silent() == ()


def test_conditions_that_do_not_hold_are_named() -> None:
    def damaged() -> str:
        raise ArtefactError("damaged")

    found = missing({"store": str, "references": lambda: "none", "embedders": damaged})
    assert found == {"references": "none", "embedders": "damaged"}
