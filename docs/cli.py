"""Writes docs/cli.md from the commands: `python docs/cli.py` (a test keeps the two in step)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from typer.main import get_command

from service.cli.application import app

PAGE = Path(__file__).with_suffix(".md")
KINDS = {Path: "path", str: "text", int: "integer", float: "number", datetime: "date or time"}

INTRODUCTION = """\
# Commands

<!-- Written by docs/cli.py from service/cli; edit those. -->

Every command has `--help` with an example. `--json`, where there is one, prints what a program may read. Where a command takes `--config`,
the configuration is `driftgate.yaml` in the folder that one stands in, unless `DRIFTGATE_CONFIG` or the option names another.

| exit code | |
|---|---|
| 0 | done; of a check: it holds |
| 1 | it could not be done, or a check failed; the message says why |
| 2 | wrong use: a command, an option or a configuration that can't be; nothing was done |

`driftgate --version` prints the version and ends.

*Checked by the tests, not run: the examples name samples, alarms and batches of some installation.*
"""


def render() -> str:
    """The page: a list of all commands, and a part for each."""
    root = get_command(app)
    parts = [INTRODUCTION, "| command | |\n|---|---|"]
    parts += [f"| [`{' '.join(path)}`](#{'-'.join(path)}) | {_first(command)} |" for path, command in commands(root)]
    parts.append("")
    for name, command in root.commands.items():  # type: ignore[attr-defined] # the root is a group
        if hasattr(command, "commands"):
            parts.append(f"## {name}\n\n{command.help}\n" if not _runs(command) else f"## {name}\n")
        for path, each in commands(command, (name,)):
            parts += _section(path, each, "###" if hasattr(command, "commands") else "##")
    return "\n".join(parts)


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Each that does something, with the words that lead to it."""
    inner = getattr(command, "commands", None)
    if path and (inner is None or _runs(command)):
        yield ("driftgate", *path), command
    for name, each in (inner or {}).items():
        if not each.hidden:
            yield from commands(each, (*path, name))


def _runs(command: Any) -> bool:
    return bool(getattr(command, "invoke_without_command", False))


def _section(path: tuple[str, ...], command: Any, level: str) -> Iterator[str]:
    yield f"{level} {' '.join(path)}\n"
    yield _paragraphs(command.help)
    yield f"```sh\n{command.epilog.removeprefix('Example: ')}\n```\n"
    given = [p for p in command.params if p.name != "help" and not getattr(p, "hidden", False)]
    if given:
        yield "| | value | default | meaning |\n|---|---|---|---|"
        yield from (_row(each) for each in given)
        yield ""


def _row(given: Any) -> str:
    if given.param_type_name == "argument":
        name = f"`{(given.metavar or given.name.upper()).strip('[].')}`" + (" …" if given.nargs == -1 else "")
    else:
        name = ", ".join(f"`{each}`" for each in [*given.opts, *given.secondary_opts])
    several = ", several times" if getattr(given, "multiple", False) else ""
    return f"| {name} | {_value(given)}{several} | {_default(given)} | {_escaped(given.help or '')} |"


def _value(given: Any) -> str:
    kind = _plain(given.type_descriptor.annotation)
    if kind is bool:
        return "flag"
    limits = [f"{sign} {limit:,.12g}" for sign, limit in (("≥", given.min), ("≤", given.max)) if limit is not None]
    return " ".join([_word(kind), ", ".join(limits)]).strip()


def _plain(kind: Any) -> Any:
    """Of a list or of what may be left out: what one value is."""
    while get_origin(kind) in (list, Union, UnionType):
        kind = next(each for each in get_args(kind) if each is not NoneType)
    return kind


def _word(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return ", ".join(f"`{each}`" for each in get_args(kind))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return ", ".join(f"`{each.value}`" for each in kind)
    return KINDS[kind]


def _default(given: Any) -> str:
    if given.required:
        return "required"
    left_out = given.default in (None, False, "", [], ()) or callable(given.default)
    return "" if left_out else f"`{getattr(given.default, 'value', given.default)}`"


def _first(command: Any) -> str:
    return _escaped(_paragraphs(command.help).split("\n\n")[0].strip())


def _paragraphs(text: str) -> str:
    """Lines of a paragraph are one."""
    return "\n\n".join(" ".join(part.split()) for part in text.replace("\b", "").split("\n\n")) + "\n"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
