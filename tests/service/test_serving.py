"""The loops of one process: they outlive failures, rest when there is nothing to do, and end in order."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from service.errors import UnavailableError
from service.health import Heartbeats
from service.serving import Engine, Every, Loop


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Failures are meant here; written out in colours, a traceback costs more than all that led to it."""
    with capture_logs():
        yield


# --- a loop ----------------------------------------------------------------------------------------------------------


def test_a_loop_goes_on_after_a_failure_and_recovers_first() -> None:
    told: list[str] = []
    stop, heartbeats = threading.Event(), Heartbeats()

    def step() -> int:
        told.append("step")
        if len(told) == 1:
            raise ZeroDivisionError
        if len(told) > 4:
            stop.set()
        return 1

    loop = Loop("worker", step, heartbeats, stop, recover=lambda: told.append("recover"))
    loop.start()
    loop.join(20.0)
    assert told == ["step", "recover", "step", "step", "step"]
    assert heartbeats.silent() == ()


def test_a_loop_that_rests_stops_at_once() -> None:
    stop = threading.Event()
    loop = Loop("resting", lambda: 0, Heartbeats(), stop)
    loop.start()
    stop.set()
    loop.join(20.0)
    assert not any(thread.name == "resting" for thread in threading.enumerate())


# --- the engine ------------------------------------------------------------------------------------------------------


def test_an_engine_ends_its_loops_and_then_gives_back_what_is_held() -> None:
    told: list[str] = []
    stop, heartbeats = threading.Event(), Heartbeats()

    def slow() -> int:
        time.sleep(0.05)
        told.append("step")
        return 1

    engine = Engine(stop, [Loop("worker", slow, heartbeats, stop)], [lambda: told.append("left")], grace=20.0)
    engine.start()
    engine.close()
    assert told[-1] == "left"
    assert "step" in told


def test_what_cannot_be_given_back_keeps_nothing_else_from_it() -> None:
    told: list[str] = []

    def unreachable() -> None:
        raise UnavailableError("gone")

    Engine(threading.Event(), [], [unreachable, lambda: told.append("left")], grace=1.0).close()
    assert told == ["left"]


def test_a_step_that_hangs_keeps_nobody_beyond_the_grace() -> None:
    stop, hangs = threading.Event(), threading.Event()
    told: list[str] = []
    engine = Engine(stop, [Loop("worker", lambda: hangs.wait(20), Heartbeats(), stop)], [lambda: told.append("left")], grace=0.05)
    engine.start()
    began = time.monotonic()
    engine.close()
    assert time.monotonic() - began < 10
    assert told == ["left"]
    hangs.set()


def test_a_step_that_costs_much_is_taken_more_rarely() -> None:
    seconds, steps = [0.0], list[float]()

    def step() -> int:
        steps.append(seconds[0])
        seconds[0] += 0.1 if len(steps) == 2 else 0.0
        return 1

    every = Every(1.0, step, clock=lambda: seconds[0])
    for tick in range(100):
        seconds[0] = max(seconds[0], tick / 10)
        assert every() == 0
    assert [round(at, 1) for at in steps] == [0.0, 1.0, 6.2, 7.2, 8.2, 9.2]
