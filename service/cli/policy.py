"""`policy`: what the installation asks of every monitor."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from service.cli.installed import CONFIG, AsJson, Config, MonitorName, installed, monitors_of
from service.cli.terminal import emit, example, show

group = typer.Typer(no_args_is_help=True)

Team = Annotated[str | None, typer.Option("--team", help="The monitors of one team alone.")]


@group.command("show", epilog=example("driftgate policy show"))
def show_policy(config: Config = CONFIG) -> None:
    """Print the policy as it was published, with its versions."""
    from service.api.policies import PolicyView  # noqa: PLC0415 - loads the web framework

    with installed(config) as installation:
        stored = installation.policies.stored()
        written = {"version": 0, "settings": installation.settings.policy.model_dump(mode="json")}
    emit(PolicyView.model_validate(stored).model_dump(mode="json") if stored else written)


@group.command("check", epilog=example("driftgate policy check --team payments"))
def check_policy(config: Config = CONFIG, monitor: MonitorName = None, team: Team = None, as_json: AsJson = False) -> None:
    """Hold the monitors against the policy; ends with 1 where a check is not met."""
    with installed(config) as installation:
        names = [name for name in monitors_of(installation.settings, monitor) if team in (None, installation.settings.monitor(name).team)]
        found = installation.policies.compliance(names, now=time.time())
    if as_json:
        from service.api.policies import compliance_view  # noqa: PLC0415 - loads the web framework

        emit([compliance_view(each).model_dump(mode="json") for each in found])
    else:
        from service.screens.policies import compliance_screen  # noqa: PLC0415 - loads the report's parts

        show(compliance_screen(found))
    if any(each.unmet for each in found):
        raise typer.Exit(1)
