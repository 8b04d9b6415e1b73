"""Progress of long work."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from rich.progress import Task, TaskID

from service.screens.bars import Left, step_bars


def task(completed: float, seconds: float) -> Task:
    """A step so far done after so many seconds."""
    clock = [0.0]
    started = Task(TaskID(0), "calibrating", 1.0, 0.0, _get_time=lambda: clock[0])
    started.start_time, clock[0] = 0.0, seconds
    started.completed = completed
    if completed >= 1.0:
        started.finished_time = seconds
    return started


def test_time_left_is_told_while_a_step_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Task, "speed", property(lambda own: own.completed / 60.0))
    assert Left().render(task(0.25, 60)).plain == "about 3.0 min left"
    assert not Left().render(task(1.0, 60)).plain


def test_naming_the_next_step_ends_the_one_before() -> None:
    shown = io.StringIO()
    with step_bars(Console(file=shown, force_terminal=True, width=120)) as report:
        report("embedding", 0.3)
        report("calibrating", 0.1)
    assert shown.getvalue().count("100%") >= 2
