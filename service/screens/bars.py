"""Progress of long work: a bar per step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from service.screens.drawing import span


class Left(ProgressColumn):
    """Time that a step will still take; nothing before its speed is known and once it has ended."""

    def render(self, task: Task) -> Text:
        """About so long."""
        left = None if task.finished else task.time_remaining
        return Text("" if left is None else f"about {span(left)} left", "dim")


@contextmanager
def step_bars(console: Console, *, disable: bool = False) -> Iterator[Callable[[str, float], None]]:
    """A bar per step, in the order in which steps are named; naming the next one ends the one before."""
    columns = (TextColumn("  {task.description:32}"), BarColumn(30), TextColumn("{task.percentage:>3.0f}%"), TimeElapsedColumn(), Left())
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
