"""`annotation deliveries`: what came in of labels, and what became of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from service.cli.installed import CONFIG, AsJson, Config, MonitorName, installed, monitor_of
from service.cli.terminal import emit, example, show
from service.cli.views import views
from service.records import Delivery, DeliveryState
from service.screens.deliveries import deliveries_screen

app = typer.Typer()


@app.command(epilog=example("driftgate annotation deliveries --state refused"))
def deliveries(
    config: Config = CONFIG,
    monitor: MonitorName = None,
    state: Annotated[DeliveryState | None, typer.Option("--state", help="Only those in this state.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many, newest first.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List deliveries of labels: what was new in them, unknown, late or contradicts what was said before."""
    with installed(config) as installation:
        name = None if monitor is None else monitor_of(installation.settings, monitor)
        found = installation.store.find(Delivery, monitor=name, states=[state] if state else [], limit=limit)
    if as_json:
        emit({"deliveries": views([replace(delivery, labels=()) for delivery in found])})
    else:
        show(deliveries_screen(found))
