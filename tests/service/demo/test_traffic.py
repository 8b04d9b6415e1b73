"""How much is sent, of which kind, and what becomes of what is not taken."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence

import numpy as np
import pytest

from service.demo.chats import Chats, Sent
from service.demo.traffic import TICK, Course, Report, Stream, Teller
from service.errors import ConfigurationError, UnavailableError


class Clock(threading.Event):
    """Time goes by while one waits."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0

    def wait(self, timeout: float | None = None) -> bool:
        self.now += timeout or 0.0
        return self.is_set()


class Taker:
    """Refuses the first so many batches."""

    def __init__(self, *refusals: Exception) -> None:
        self.refusals = list(refusals)
        self.taken: list[Sent] = []
        self.asked = 0

    def send(self, messages: Sequence[Sent]) -> None:
        self.asked += 1
        if self.refusals:
            raise self.refusals.pop()
        self.taken += messages


def play(taker: Taker, course: Course) -> tuple[Report, list[Report]]:
    clock, told = Clock(), list[Report]()
    chats = Chats(np.random.default_rng(1), run="r")
    return Stream(chats, taker, course, report=told.append).run(clock=lambda: clock.now, stop=clock), told


def test_the_rate_is_kept_and_the_drift_comes_when_it_should() -> None:
    taker = Taker()
    done, _ = play(taker, Course(20.0, drift_after=10.0, count=400))
    assert done.sent == len(taker.taken) == 400
    assert done.elapsed == pytest.approx(20.0, abs=2 * TICK)
    assert done.drifted == pytest.approx(200, abs=10)


def test_less_than_a_message_a_tick_is_sent_all_the_same() -> None:
    done, _ = play(Taker(), Course(0.5, count=3))
    assert done.sent == 3
    assert done.elapsed == pytest.approx(6.0, abs=2 * TICK)
    assert done.drifted == 0


def test_what_is_not_taken_is_sent_again_and_no_time_is_caught_up_on() -> None:
    taker = Taker(*(UnavailableError("nobody there") for _ in range(20)))
    done, told = play(taker, Course(8.0, count=40))
    ids = [message.body["id"] for message in taker.taken]
    assert len(set(ids)) == len(ids) == 40
    assert done.elapsed == pytest.approx(5.0 + 20 * 2.0, abs=3.0)
    assert {report.trouble for report in told} == {"nobody there", ""}
    assert taker.asked < 45


def test_what_only_a_person_can_mend_ends_the_stream() -> None:
    with pytest.raises(ConfigurationError, match="401"):
        play(Taker(ConfigurationError("401")), Course(8.0, count=40))


def test_it_says_a_line_now_and_then_and_at_once_what_changes() -> None:
    said, warned = list[str](), list[str]()
    tell = Teller(Course(1.0, drift_after=100.0), say=said.append, warn=warned.append)
    for elapsed in range(0, 160, 5):
        tell(Report(elapsed, max(0, elapsed - 100), float(elapsed)))
    assert said == [
        "0 messages, drift in 100 s",
        "30 messages, drift in 70 s",
        "60 messages, drift in 40 s",
        "90 messages, drift in 10 s",
        "105 messages, 5 since the drift",
        "135 messages, 35 since the drift",
    ]
    for _ in range(3):
        tell(Report(160, 60, 160.0, "gone"))
    tell(Report(161, 61, 161.0))
    assert warned == ["gone; trying again"]
    assert said[-1] == "161 messages, 61 since the drift"


def test_a_course_without_drift_says_so() -> None:
    said = list[str]()
    Teller(Course(1.0, drift_after=math.inf), say=said.append, warn=said.append)(Report(1, 0, 1.0))
    assert said == ["1 messages"]
