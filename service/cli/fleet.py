"""`fleet`: all streams of the installation side by side."""

from __future__ import annotations

import typer

from service import fleet as side_by_side
from service.cli.installed import CONFIG, AsJson, Config, installed
from service.cli.terminal import emit, example, show
from service.screens.fleet import fleet_screen

app = typer.Typer()


@app.command(epilog=example("driftgate fleet --json"))
def fleet(config: Config = CONFIG, as_json: AsJson = False) -> None:
    """Show every stream by its evidence, and which of them stand together."""
    with installed(config) as installation:
        settings, store = installation.settings, installation.store
        found = side_by_side.compare({monitor.name: store.status(monitor.name) for monitor in settings.monitors}, settings.budget)
    if as_json:
        from service.api.fleet import FleetView  # noqa: PLC0415 - loads the web framework

        emit(FleetView.model_validate(found).model_dump(mode="json"))
    else:
        show(fleet_screen(found))
