"""Where commands print, how they show progress, and what becomes of errors."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import msgspec
import typer
from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from typer.core import TyperGroup

from service.errors import ConfigurationError, DriftgateError, InputError, NotFoundError
from service.screens.bars import step_bars

WRONG_USE = (ConfigurationError, InputError, NotFoundError)

out = Console()
err = Console(stderr=True)


class Commands(TyperGroup):
    """Errors that driftgate raises on purpose become one message and an exit code: 2 for wrong use, 1 for all others."""

    def invoke(self, ctx: Any) -> Any:
        """Runs the command."""
        try:
            return super().invoke(ctx)
        except DriftgateError as error:
            typer.echo(f"driftgate: {error}", err=True)
            raise typer.Exit(2 if isinstance(error, WRONG_USE) else 1) from error


def example(line: str) -> str:
    """The epilogue of a command's help."""
    return f"Example: {line}"


def actor() -> str:
    """Who types: what the history of alarms and cycles names."""
    return os.environ.get("USER") or f"uid {os.getuid()}"


def show(*parts: RenderableType) -> None:
    """For people, on stdout."""
    out.print(*parts)


def warn(message: str) -> None:
    """Beside what is shown, on stderr."""
    typer.echo(f"driftgate: {message}", err=True)


def emit(document: Mapping[str, Any] | Sequence[Any]) -> None:
    """For programs: one JSON document on stdout."""
    typer.echo(msgspec.json.format(msgspec.json.encode(document), indent=2).decode())


def bars() -> AbstractContextManager[Callable[[str, float], None]]:
    """A bar per step on stderr; nothing where stderr is no terminal."""
    return step_bars(err, disable=not err.is_terminal)


@contextmanager
def counter(description: str, total: int | None, *, of: str = "samples") -> Iterator[Callable[[int], None]]:
    """A bar on stderr that counts them towards `total`, or just counts where nobody knows it."""
    columns = (TextColumn("{task.description}"), BarColumn(30), TextColumn(f"{{task.completed:,.0f}} {of}"), TimeElapsedColumn())
    with Progress(*columns, console=err, disable=not err.is_terminal) as progress:
        task = progress.add_task(description, total=total)
        yield lambda done: progress.update(task, completed=done)
        progress.update(task, total=progress.tasks[0].completed)
