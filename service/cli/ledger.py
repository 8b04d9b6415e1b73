"""`ledger`: what was raised, what it turned out to be, and false alarms as measured against the budget."""

from __future__ import annotations

from typing import Annotated

import typer

from service import ledger as books
from service.budget import MOST_WEEKS
from service.cli.installed import CONFIG, AsJson, Config, MonitorName, installed, monitors_of
from service.cli.terminal import emit, example, show
from service.screens.ledger import ledger_screen

app = typer.Typer()

Weeks = Annotated[
    int, typer.Option("--weeks", min=1, max=MOST_WEEKS, help="So many weeks of log time (Monday to Sunday, UTC), up to the last.")
]


@app.command(epilog=example("driftgate ledger --weeks 12"))
def ledger(config: Config = CONFIG, monitor: MonitorName = None, weeks: Weeks = 12, as_json: AsJson = False) -> None:
    """Show alarms by verdict, week by week, and the measured rate of false alarms against the budget."""
    with installed(config) as installation:
        names = monitors_of(installation.settings, monitor)
        found = books.keep(installation.store, names, installation.settings.budget, weeks=weeks)
    if as_json:
        from service.api.ledger import LedgerView  # noqa: PLC0415 - loads the web framework

        emit(LedgerView.model_validate(found).model_dump(mode="json"))
    else:
        show(ledger_screen(found))
