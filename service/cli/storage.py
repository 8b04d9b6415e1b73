"""`storage`: what lies below the directory goes into a bucket."""

from __future__ import annotations

import typer

from service.cli.installed import CONFIG, AsJson, Config
from service.cli.terminal import emit, example
from service.settings import load

group = typer.Typer(no_args_is_help=True)


@group.callback()
def storage() -> None:
    """Where references, data sets, models and payloads lie."""


@group.command(epilog=example("driftgate storage copy --config driftgate.yaml"))
def copy(config: Config = CONFIG, as_json: AsJson = False) -> None:
    """Copy what lies below the directory into the bucket that `storage` names now. Everything else has to be stopped meanwhile.

    Nothing here is removed, and what is there already is not sent again.
    """
    from service.app import copy_files  # noqa: PLC0415 - loads the client

    settings = load(config)
    copied = dict(copy_files(settings))
    if as_json:
        emit(copied)
    else:
        typer.echo("copied: " + (", ".join(f"{count} {kind}" for kind, count in copied.items() if count) or "nothing that was not there"))
