"""`dataset errors`: the labels of a set that are worth a second look."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Annotated, Literal

import typer

from service.cli.installed import CONFIG, AsJson, Config, MonitorName, installed, monitor_of
from service.cli.terminal import bars, emit, example, show
from service.errors import InputError
from service.report.parts import Missing
from service.screens.mislabelled import errors_table

app = typer.Typer()

OfSet = Annotated[
    Literal["train", "golden", "challenge", "returned"],
    typer.Option("--role", help="returned: labels of recent samples, from annotators or as late truth."),
]
Budget = Annotated[int, typer.Option("--budget", min=1, max=100_000, help="Rows that can be reviewed.")]


@app.command("errors", epilog=example("driftgate dataset errors --role train --monitor support-chat --budget 100"))
def errors(
    role: OfSet,
    config: Config = CONFIG,
    monitor: MonitorName = None,
    budget: Budget = 20,
    as_json: AsJson = False,
) -> None:
    """List the labels most probably wrong, the class each row looks like instead, and how many of the set are wrong."""
    from service.report.mislabelled import mislabelled  # noqa: PLC0415 - loads scipy's optimizers, which other commands do without

    with installed(config) as installation, bars() as progress:
        name = monitor_of(installation.settings, monitor)
        found = mislabelled(installation.material(name, now=time.time(), progress=progress), role, budget)
    if isinstance(found, Missing):
        raise InputError("labels", f"monitor {name}: {found.what}: {found.why}; {found.remedy}")
    document = {"monitor": name, "set": role, **asdict(found)}
    if as_json:
        emit(document)
    else:
        show(errors_table(document))
