"""Progress of long work: a bar per step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn


@contextmanager
def step_bars(console: Console, *, disable: bool = False) -> Iterator[Callable[[str, float], None]]:
    """A bar per step, in the order in which steps are named; naming the next one ends the one before."""
    columns = (TextColumn("  {task.description:32}"), BarColumn(30), TextColumn("{task.percentage:>3.0f}%"), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=disable) as progress:
        tasks: dict[str, TaskID] = {}

        def end_all() -> None:
            for task in tasks.values():
                progress.update(task, completed=1.0)

        def report(step: str, done: float) -> None:
            if step not in tasks:
                end_all()
                tasks[step] = progress.add_task(step, total=1.0)
            progress.update(tasks[step], completed=done)

        yield report
        end_all()
