"""A loop that hangs is named; a condition that can't be told does not hold."""

from __future__ import annotations

import threading

from service.errors import ArtefactError
from service.health import Enduring, Heartbeats, Prompt, missing


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
    beats.turning()  # this thread is no loop
    loop = threading.Thread(target=beats.turning, name="worker")
    loop.start()
    loop.join()
    assert (beats.silent(), sorted(beats.ages())) == ((), ["controller", "worker"])
    beats.beat("worker")
    assert beats.silent() == ()


def test_conditions_that_do_not_hold_are_named() -> None:
    def damaged() -> str:
        raise ArtefactError("damaged")

    found = missing({"store": str, "references": lambda: "none", "embedders": damaged})
    assert found == {"references": "none", "embedders": "damaged"}


def test_a_condition_that_hangs_is_told_soon_and_asked_once() -> None:
    asked, released = list[int](), threading.Event()

    def hung() -> str:
        asked.append(1)
        released.wait(30)
        return "back"

    prompt = Prompt("store", hung, seconds=0.05)
    assert missing({"store": prompt}) == {"store": "the store has not answered within 0.05 s: see what keeps it"}
    assert "not answered" in prompt()
    assert asked == [1]
    released.set()
    assert Prompt("store", hung)() == "back"


def test_a_condition_that_answers_is_asked_each_time() -> None:
    answers = ["", "full"]
    prompt = Prompt("store", lambda: answers.pop(0), seconds=30)
    assert (prompt(), prompt()) == ("", "full")


def test_what_a_condition_raises_is_its_reason() -> None:
    def damaged() -> str:
        raise ArtefactError("damaged")

    assert Prompt("store", damaged)() == "damaged"


def test_what_has_not_held_all_the_time_has_not_lasted() -> None:
    now, holds = 0.0, True
    spare = Enduring(lambda: holds, 30.0, clock=lambda: now)
    assert not spare()
    now = 29.0
    assert not spare()
    now = 30.0
    assert spare()
    holds = False
    assert not spare()
    holds, now = True, 31.0
    assert not spare()
    now = 61.0
    assert spare()
