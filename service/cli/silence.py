"""`silence`: whose news is kept back for a while."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from service.cli.installed import CONFIG, AsJson, Config, Note, installed, operations
from service.cli.terminal import actor, emit, example, show
from service.errors import ConfigurationError
from service.records import Silence, SilenceState
from service.screens.notifying import silence_list

group = typer.Typer(no_args_is_help=True)


@group.command(epilog=example("driftgate silence add monitor=support 'segment=locale=*' --hours 4 --note 'a new client'"))
def add(
    matchers: Annotated[
        list[str],
        typer.Argument(metavar="NAME=VALUE...", help="Of monitor, segment, family, severity, team; a value may be a pattern with `*`."),
    ],
    config: Config = CONFIG,
    hours: Annotated[float, typer.Option(min=0.01, max=8_784, help="From now on.")] = 4.0,
    note: Note = "",
    as_json: AsJson = False,
) -> None:
    """Keep news back of the alarms that all of it matches. They open and resolve as ever, and who was told of one is told when it is
    over."""
    now = time.time()
    with installed(config) as installation:
        made = operations(installation).silence(_parsed(matchers), ends=now + 3_600.0 * hours, actor=actor(), note=note, now=now)
    _print([made], as_json=as_json)


@group.command("list", epilog=example("driftgate silence list"))
def list_silences(
    config: Config = CONFIG,
    ended: Annotated[bool, typer.Option("--ended", help="Those that have ended, too.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many, newest first.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List silences, newest first."""
    with installed(config) as installation:
        found = installation.store.find(Silence, states=() if ended else [SilenceState.ACTIVE], limit=limit)
    _print(list(found), as_json=as_json)


@group.command(epilog=example("driftgate silence end 5b0d6c1f"))
def end(
    silence: Annotated[str, typer.Argument(metavar="SILENCE", help="Its id; `driftgate silence list` has it.")],
    config: Config = CONFIG,
    as_json: AsJson = False,
) -> None:
    """End a silence before its time; what it kept back and still stands is told."""
    with installed(config) as installation:
        over = operations(installation).end_silence(silence, actor=actor(), now=time.time())
    _print([over], as_json=as_json)


def _parsed(matchers: list[str]) -> dict[str, str]:
    found = {}
    for each in matchers:
        name, equals, value = each.partition("=")
        if not equals or not value or name in found:
            raise ConfigurationError(f"{each!r:.80}: write NAME=VALUE, each name once: `monitor=support`")
        found[name] = value
    return found


def _print(silences: list[Silence], *, as_json: bool) -> None:
    if as_json:
        from service.api.silences import SilenceView  # noqa: PLC0415 - loads the web framework

        emit({"silences": [SilenceView.model_validate(each).model_dump(mode="json") for each in silences]})
    else:
        show(silence_list(silences, now=time.time()))
