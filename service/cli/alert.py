"""`alert`: whether news of alarms would arrive."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from service.cli.installed import CONFIG, AsJson, Config, installed
from service.cli.terminal import actor, emit, example, show
from service.notifying import trial
from service.screens.notifying import outcome_list

group = typer.Typer(no_args_is_help=True)


@group.callback()
def alert() -> None:
    """Keeps `test` a command of its own."""


@group.command("test", epilog=example("driftgate alert test --monitor support"))
def try_alerts(
    config: Config = CONFIG,
    monitor: Annotated[str | None, typer.Option("--monitor", "-m", help="Only the ways that its news take.")] = None,
    team: Annotated[str | None, typer.Option("--team", help="Only the ways of its monitors, and its routes.")] = None,
    destination: Annotated[str | None, typer.Option("--destination", help="Only this one.")] = None,
    seconds: Annotated[float, typer.Option(min=1, max=600, help="How long to wait for what comes of it.")] = trial.PATIENCE,
    as_json: AsJson = False,
) -> None:
    """Send a message that is marked as a test through every way that news take: by the controller that runs, or from here where none does.
    Exit code 1 where one did not arrive."""
    from service.app import try_ways  # noqa: PLC0415 - loads the web framework and the inference runtime

    with installed(config) as installation:
        ways = trial.require(trial.ways(installation.settings, monitor=monitor, team=team, destination=destination))
        outcomes = try_ways(installation, ways, actor=actor(), seconds=seconds)
    if as_json:
        emit({"ways": [asdict(outcome) for outcome in outcomes], "not_covered": list(trial.NOT_COVERED)})
    else:
        show(outcome_list(outcomes, trial.NOT_COVERED))
    if any(outcome.state != "delivered" for outcome in outcomes):
        raise typer.Exit(1)
