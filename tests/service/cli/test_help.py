"""Every command explains itself, and starting one is cheap."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from service.cli.application import app

pytestmark = pytest.mark.long

ROOT = typer.main.get_command(app)


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The path of every command that does something."""
    if not hasattr(command, "commands") or (command.invoke_without_command and path):
        yield path
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, (*path, name))


ALL = sorted(commands(ROOT))


@pytest.mark.parametrize("path", [(), *ALL], ids=" ".join)
def test_help_has_an_example_of_the_command_itself(path: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, [*path, "--help"])
    assert result.exit_code == 0
    flat = " ".join(result.stdout.split())
    assert f"Example: driftgate {' '.join(path)}" in flat


def test_the_names_that_others_rely_on() -> None:
    assert {" ".join(path) for path in ALL} >= {
        "demo", "init", "serve", "status", "replay", "backtest", "explain", "candidates", "verify", "doctor",
        "reference build", "reference list", "reference show", "reference accept", "reference rollback",
        "dataset add", "dataset list", "dataset diff", "alarm list", "alarm ack", "alarm resolve", "alarm verdict",
        "refresh list", "refresh show", "refresh start", "refresh status", "refresh close", "refresh cancel", "refresh approve",
        "dlq list", "outbox list", "outbox replay", "model build", "config schema", "config check",
        "annotation import", "annotation deliveries", "annotation list", "annotation show", "annotation approve", "annotation close",
        "annotation cancel", "annotation priority", "scheme show", "scheme apply", "scheme add", "scheme rename", "scheme merge",
        "scheme list", "scheme diff",
    }  # fmt: skip


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["alarm", "verdict", "a", "perhaps"], ["replay"], ["dataset", "add", "--role", "gold", "f"]]
)
def test_wrong_use_ends_with_two(arguments: list[str]) -> None:
    assert CliRunner().invoke(app, arguments).exit_code == 2


def test_version() -> None:
    result = CliRunner().invoke(app, ["--version"])
    assert result.exit_code == 0
    assert result.stdout.strip()[0].isdigit()
