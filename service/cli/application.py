"""All commands under one name. Heavy libraries are loaded by the commands that need them, so `--help` answers at once."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated

import typer

from service.cli import alarm, annotation, configuration, dataset, demo, doctor, letters, model, reference, refresh, replay, serve, status
from service.cli.terminal import Commands
from service.logs import configure

app = typer.Typer(
    name="driftgate",
    cls=Commands,
    help="Watches what a deployed model is fed, says when its meaning has drifted, and drives the refresh until the new model is proven.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

for group in (demo, configuration, serve, replay, status, alarm, refresh, doctor):
    app.add_typer(group.app)
app.add_typer(reference.app, name="reference", help="Versions of what the model is known to be good on.")
app.add_typer(dataset.app, name="dataset", help="Versioned sets of samples: train, golden, challenge, pool.")
app.add_typer(alarm.group, name="alarm", help="Alarms, and what people say about them.")
app.add_typer(refresh.group, name="refresh", help="Refresh cycles, from labels to the next model.")
app.add_typer(annotation.group, name="annotation", help="Labels back from annotators.")
app.add_typer(letters.dead, name="dlq", help="Samples that could not be used.")
app.add_typer(letters.outbox, name="outbox", help="What must still leave.")
app.add_typer(model.app, name="model", help="Models that driftgate can write.")
app.add_typer(configuration.group, name="config", help="The configuration file.")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(version("driftgate"))
        raise typer.Exit


@app.callback(epilog="Example: driftgate demo --exit")
def start(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """Commands that do one thing say only what went wrong; `serve` logs everything."""
    del show_version
    configure(level="WARNING")


def main() -> None:
    """The console script."""
    app()
