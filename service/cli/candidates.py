"""`candidates`: what would be sent to annotators, at what cost and risk, with which promise."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.artefacts import replace_text
from service.cli.installed import CONFIG, AsJson, Config, MonitorName, installed, monitor_of
from service.cli.terminal import actor, bars, emit, example, show
from service.cli.views import view
from service.errors import InputError
from service.records import AnnotationBatch, RefreshCycle, stable_id

if TYPE_CHECKING:
    from service.app import Installation
    from service.selecting.proposal import Proposal

app = typer.Typer()

Alarm = Annotated[str, typer.Option("--alarm", help="For this alarm; by default the monitor's strongest open one.")]
Budget = Annotated[int | None, typer.Option("--budget", min=1, max=10_000, help="At most so many candidates, in one batch.")]
Sending = Annotated[bool, typer.Option("--send/--dry-run", help="Open a refresh cycle with them; by default they are shown only.")]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="Write a sheet with samples and pictures, as .html or .md.")]
Curve = Annotated[bool, typer.Option("--reliability", help="Show what earlier risks said against what became of the samples.")]

_SHEETS = (".html", ".md")


@app.command(epilog=example("driftgate candidates --monitor support-chat --output sheet.html"))
def candidates(  # noqa: PLR0913, PLR0917 - the options of a command are its parameters
    config: Config = CONFIG,
    monitor: MonitorName = None,
    alarm: Alarm = "",
    budget: Budget = None,
    send: Sending = False,
    output: Output = None,
    reliability: Curve = False,
    as_json: AsJson = False,
) -> None:
    """Show what a refresh cycle would send to annotators next: which samples and why, at what risk and cost, with which bound."""
    if output is not None and output.suffix.lower() not in _SHEETS:
        raise InputError("output", f"{output}: a sheet is written as {' or '.join(_SHEETS)}; name it so")
    with installed(config) as installation:
        name = monitor_of(installation.settings, monitor)
        if reliability:
            _show_reliability(installation, name, as_json)
        elif send:
            _send(installation, name, alarm, budget, as_json)
        else:
            _show(_proposed(installation, name, alarm, budget), output, as_json)


def _proposed(installation: Installation, monitor: str, alarm: str, budget: int | None) -> Proposal:
    refresher = installation.refresher
    with bars() as progress:
        return refresher.preview(refresher.about(monitor, alarm), budget=budget, now=time.time(), progress=progress)


def _show(proposal: Proposal, output: Path | None, as_json: bool) -> None:
    from service.api.candidates import view as shown  # noqa: PLC0415 - loads the web framework
    from service.selecting.screen import proposal_screen  # noqa: PLC0415 - loads the detectors

    if output is not None:
        _write(proposal, output)
    if as_json:
        emit({"alarm": proposal.about.alarm, **shown(proposal).model_dump(mode="json")})
    else:
        show(proposal_screen(proposal, limit=len(proposal.candidates)))


def _write(proposal: Proposal, path: Path) -> None:
    from service.selecting import sheet  # noqa: PLC0415 - loads what draws pictures

    text = sheet.html(proposal) if path.suffix.lower() == ".html" else sheet.markdown(proposal)
    try:
        replace_text(path, text)
    except OSError as error:
        raise InputError("output", f"{path}: the sheet can't be written there ({error.strerror})") from error


def _send(installation: Installation, monitor: str, alarm: str, budget: int | None, as_json: bool) -> None:
    now = time.time()
    opener = alarm or stable_id("request", monitor, actor(), "candidates", now)
    cycle: RefreshCycle = installation.refresher.open(monitor, opener, budget=budget, now=now)
    batch = installation.store.get(AnnotationBatch, cycle.batch)
    if as_json:
        emit({**view(cycle), "annotation_batch": view(batch)})
    else:
        show(f"refresh cycle {cycle.id}, round {batch.round} of {cycle.rounds}: batch {batch.id} of {len(batch.items)} is {batch.state}")


def _show_reliability(installation: Installation, monitor: str, as_json: bool) -> None:
    from service.risks import curve  # noqa: PLC0415 - loads the detectors
    from service.screens.candidates import reliability_screen  # noqa: PLC0415 - likewise
    from service.selecting.asking import batches_of  # noqa: PLC0415 - likewise

    found = curve(batches_of(installation.store, monitor))
    if as_json:
        emit({"reliability": asdict(found)})
    else:
        show(reliability_screen(found))
