"""`token`: what programs and people show to be let in."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from service.access import tokens
from service.cli.installed import CONFIG, AsJson, Config, installed
from service.cli.terminal import actor, emit, example, show, warn
from service.errors import InputError
from service.records import Role, Token
from service.screens.access import token_list

group = typer.Typer(no_args_is_help=True)

_HOUR = 3_600.0

Id = Annotated[str, typer.Argument(metavar="TOKEN", help="The token's id, or its name; `driftgate token list` has both.")]
Teams = Annotated[list[str] | None, typer.Option("--team", help="Only over this team's monitors; may be given several times.")]
Monitors = Annotated[list[str] | None, typer.Option("--monitor", "-m", help="Only over this monitor; may be given several times.")]
Days = Annotated[float | None, typer.Option("--days", min=0.01, max=36_500, help="Days until it ends; by default it does not.")]


@group.command(epilog=example("driftgate token mint 'inference logger' --role ingest --monitor support-chat --days 365"))
def mint(  # noqa: PLR0913, PLR0917 - the options of a command
    name: Annotated[str, typer.Argument(help="Who or what will use it.")],
    role: Annotated[Role, typer.Option("--role", help="What it may do.")],
    config: Config = CONFIG,
    team: Teams = None,
    monitor: Monitors = None,
    days: Days = None,
    as_json: AsJson = False,
) -> None:
    """Make a token, and print it this once."""
    wanted = tokens.Wanted(name=name, role=role, teams=tuple(team or ()), monitors=tuple(monitor or ()), days=days)
    with installed(config) as installation:
        unknown = [each for each in wanted.monitors if each not in installation.names]
        unknown += [each for each in wanted.teams if each not in {known.name for known in installation.settings.teams}]
        if unknown:
            raise InputError("unknown", f"neither a monitor nor a team of this configuration: {', '.join(unknown)}")
        made = tokens.mint(installation.store, wanted, by=actor(), now=time.time())
    _tell(made, as_json)


@group.command(epilog=example("driftgate token bootstrap --config driftgate.yaml"))
def bootstrap(config: Config = CONFIG, as_json: AsJson = False) -> None:
    """Make the first admin's token, and print it this once; refused where there is one. The server need not run."""
    with installed(config) as installation:
        made = tokens.bootstrap(installation.store, by=actor(), now=time.time())
    _tell(made, as_json)


@group.command("list", epilog=example("driftgate token list"))
def list_tokens(
    config: Config = CONFIG,
    every: Annotated[bool, typer.Option("--all", help="Also those that were revoked or have ended.")] = False,
    as_json: AsJson = False,
) -> None:
    """List tokens, newest first, without their secrets."""
    now = time.time()
    with installed(config) as installation:
        found = [token for token in tokens.listed(installation.store) if every or token.in_force(now)]
    if as_json:
        emit({"tokens": [_document(token) for token in found]})
    else:
        show(token_list(found, now=now))


@group.command(epilog=example("driftgate token rotate m3kq2b5xw7ahz6ct --grace-hours 48"))
def rotate(
    token: Id,
    config: Config = CONFIG,
    grace_hours: Annotated[
        float | None, typer.Option("--grace-hours", min=0, max=720, help="How long the secret before is still good.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Give a token another secret, and print it this once; the one before is good for a while (access.rotation_hours)."""
    with installed(config) as installation:
        hours = installation.settings.access.rotation_hours if grace_hours is None else grace_hours
        known = tokens.found(installation.store, token)
        made = tokens.rotate(installation.store, known.id, grace=hours * _HOUR, now=time.time())
    _tell(made, as_json)


@group.command(epilog=example("driftgate token revoke m3kq2b5xw7ahz6ct"))
def revoke(token: Id, config: Config = CONFIG, as_json: AsJson = False) -> None:
    """End a token, and the sessions that were begun with it, within seconds on every replica."""
    with installed(config) as installation:
        ended = tokens.revoke(installation.store, tokens.found(installation.store, token).id)
    if as_json:
        emit(_document(ended))
    else:
        show(f"token {ended.id} ({ended.name}) is revoked")


def _tell(made: tokens.Minted, as_json: bool) -> None:
    """The token alone on stdout, so that a script can take it."""
    if as_json:
        emit(_document(made.token) | {"token": made.text})
        return
    typer.echo(made.text)
    warn(f"{made.token.role.value} {made.token.name!r}: keep it now, it is stored as a hash and not shown again")


def _document(token: Token) -> dict[str, Any]:
    from service.api.tokens import TokenView  # noqa: PLC0415 - loads the web framework

    return TokenView.model_validate(token).model_dump(mode="json")
