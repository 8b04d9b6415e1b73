"""`status`: every monitor on one screen, read from the store, with a running server or without."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer
from rich.text import Text

from service import screens
from service.access.quotas import Use, uses
from service.cli.installed import CONFIG, AsJson, Config, MonitorName, installed, monitors_of
from service.cli.terminal import emit, example, show
from service.cli.views import position_view
from service.screens.access import quota_table
from service.settings import QuotaSettings

if TYPE_CHECKING:
    from service.app import Installation

app = typer.Typer()
_LETTERS = 100_000


@app.command(epilog=example("driftgate status --config driftgate.yaml"))
def status(config: Config = CONFIG, monitor: MonitorName = None, as_json: AsJson = False) -> None:
    """Show every monitor: its state, its evidence, open alarms, how fast it would see drift, and what is still missing."""
    with installed(config) as installation:
        documents = [_document(installation, name) for name in monitors_of(installation.settings, monitor)]
        teams = _teams(installation) if monitor is None else {}
    if as_json:
        emit({"monitors": documents, "teams": {team: [asdict(use) for use in found] for team, found in teams.items()}})
        return
    show(screens.status_screen(documents))
    if teams:
        show(quota_table(teams))
    for document in documents:
        if "remedy" in document:
            show(Text(f"{document['monitor']}: {document['remedy']}"))


def _teams(installation: Installation) -> Mapping[str, Sequence[Use]]:
    """What teams use of their quotas, as far as the store knows it; teams without quotas are left out."""
    settings, store, now = installation.settings, installation.store, time.time()
    limited = [team for team in settings.teams if team.quotas != QuotaSettings()]
    return {team.name: uses(settings, team, store, None, now=now) for team in limited}


def _document(installation: Installation, monitor: str) -> Mapping[str, Any]:
    from service.offsets import readers  # noqa: PLC0415 - loads the detectors

    store, settings = installation.store, installation.settings
    letters = store.dead_letters(monitor=monitor, limit=_LETTERS)
    reads = readers(settings.monitors, settings.kafka)
    read = [position for position in store.positions() if monitor in reads(position.partition.topic)]
    return {
        **installation.standing.document(monitor),
        "dead_letters": Counter(letter.rejected.reason for letter in letters),
        "partitions": [position_view(position) for position in read],
    }
