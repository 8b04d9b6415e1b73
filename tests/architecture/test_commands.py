"""Commands that messages tell people to run are commands that there are."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from service.cli.application import app
from tests.architecture.test_source import Module, modules, none

ROOT: Any = typer.main.get_command(app)
REFUSED: Any = typer.BadParameter.__base__
FILLED_IN = {"BadParameter", "BadOptionUsage"}
"""What is wrong with a value says nothing about a command whose values stand for others."""
COMMAND = re.compile(r"`driftgate ([^`]+)`|(?:^|[:;,] |to )driftgate ([a-z][^`:;,\n()>]*)")


def written(module: Module) -> Iterator[tuple[int, str]]:
    """Texts of the program, a `1` in place of what is filled in; not the documentation of the program itself."""
    inner = {id(part) for node in module.nodes if isinstance(node, ast.JoinedStr) for part in node.values}
    inner |= {id(node.value) for node in module.nodes if isinstance(node, ast.Expr)}
    for node in module.nodes:
        match node:
            case ast.Constant(value=str(text)) if id(node) not in inner:
                yield node.lineno, text
            case ast.JoinedStr(values=parts):
                yield node.lineno, "".join(str(part.value) if isinstance(part, ast.Constant) else "1" for part in parts)


def wrong(command: str) -> str:
    """Why it would be refused, whatever stands for its values; '' of one that would not, and of a name alone."""
    command = command.partition(" > ")[0]
    found, arguments = ROOT, shlex.split(command)
    while arguments and arguments[0] in getattr(found, "commands", {}):
        found = found.commands[arguments.pop(0)]
    if hasattr(found, "commands") and arguments and not (found.invoke_without_command and arguments[0].startswith("-")):
        return f"no command {arguments[0]!r}"
    try:
        if arguments:
            found.make_context("driftgate", arguments)
    except REFUSED as error:
        return "" if type(error).__name__ in FILLED_IN else error.format_message()
    return ""


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("dataset add --role golden --input FILE", ""),
        ("dataset add", ""),
        ("dataset add --role 1 -i FILE", ""),
        ("dataset add --file FILE", "No such option: --file"),
        ("datset add", "no command 'datset'"),
        ("demo --exit", ""),
        ("demo --entry", "No such option: --entry"),
        ("explain a1 b2", "Got unexpected extra argument"),
    ],
)
def test_a_command_that_would_be_refused_is_seen(command: str, why: str) -> None:
    assert wrong(command).startswith(why)
    assert bool(wrong(command)) == bool(why)


@pytest.mark.long
def test_what_people_are_told_to_run_can_be_run() -> None:
    speaking = [module for module in modules("service") if "driftgate " in module.text]
    told = [(m, line, *found) for m in speaking for line, text in written(m) for found in COMMAND.findall(text)]
    commands = [(m, line, quoted or plain) for m, line, quoted, plain in told if quoted or plain.split()[0] in ROOT.commands]
    assert len(commands) > 50
    none(f"{m}:{line} driftgate {command}: {why}" for m, line, command in commands if (why := wrong(command)))
