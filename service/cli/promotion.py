"""`refresh register|promote|decline|deployed|revert`: new models, from coming back to serving."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service import screens
from service.cli.installed import CONFIG, AsJson, Config, Note, installed
from service.cli.refresh import class_names
from service.cli.terminal import actor, bars, emit, example, show
from service.cli.views import view
from service.records import RefreshCycle

if TYPE_CHECKING:
    from collections.abc import Callable

    from service.promotion import Promotion

group = typer.Typer()

CycleId = Annotated[str, typer.Argument(metavar="CYCLE", help="The cycle's id; `driftgate refresh list` has it.")]


@group.command(epilog=example("driftgate refresh register 9d41c2aa --model candidate/model.onnx --version 2026-03-01 --run run.json"))
def register(  # noqa: PLR0913, PLR0917 - the options of a command are its parameters
    cycle: CycleId,
    model: Annotated[Path, typer.Option("--model", exists=True, dir_okay=False, help="The new model, ONNX or a tar of it.")],
    version: Annotated[str, typer.Option("--version", help="What its outputs carry as `model_version` in production.")],
    classes: Annotated[Path | None, typer.Option("--classes", help="Its classes, one per line, where its file does not name them.")] = None,
    run: Annotated[Path | None, typer.Option("--run", exists=True, dir_okay=False, help="How it was made, a JSON object.")] = None,
    uri: Annotated[str, typer.Option("--uri", help="Where whoever trained it keeps it.")] = "",
    config: Config = CONFIG,
    as_json: AsJson = False,
) -> None:
    """Take a new model in for its cycle, and verify it (where a server runs, it does). The same model again changes nothing."""
    from service.promotion import Given, run_of  # noqa: PLC0415 - loads the detectors

    made = run_of(run.read_bytes(), run.name) if run else {}
    given = Given(model, version, tuple(class_names(classes)), made, uri)
    _act(config, as_json, lambda promotion: promotion.register(cycle, given, actor=actor(), now=time.time()))


@group.command(epilog=example("driftgate refresh promote 9d41c2aa --note 'seen the report'"))
def promote(cycle: CycleId, config: Config = CONFIG, note: Note = "", as_json: AsJson = False) -> None:
    """Say that a verified model is to serve: whoever deploys it is told, and the reference follows its first record."""
    _act(config, as_json, lambda promotion: promotion.promote(cycle, actor=actor(), note=note, now=time.time()))


@group.command(epilog=example("driftgate refresh decline 9d41c2aa --note 'too slow'"))
def decline(cycle: CycleId, config: Config = CONFIG, note: Note = "", as_json: AsJson = False) -> None:
    """Say that a verified model is not to serve: the one in force stays, and the cycle ends."""
    _act(config, as_json, lambda promotion: promotion.decline(cycle, actor=actor(), note=note, now=time.time()))


@group.command(epilog=example("driftgate refresh deployed 9d41c2aa"))
def deployed(cycle: CycleId, config: Config = CONFIG, note: Note = "", as_json: AsJson = False) -> None:
    """Say that production answers with a promoted model, where its records don't carry the version; the reference follows."""
    _act(config, as_json, lambda promotion: promotion.deployed(cycle, actor=actor(), note=note, now=time.time()))


@group.command(epilog=example("driftgate refresh revert 9d41c2aa --note 'complaints'"))
def revert(cycle: CycleId, config: Config = CONFIG, note: Note = "", as_json: AsJson = False) -> None:
    """Ask for the model before, and go back to its reference; of a model that is deploying or promoted."""
    _act(config, as_json, lambda promotion: promotion.revert(cycle, actor=actor(), note=note, now=time.time()))


def _act(config: Path, as_json: bool, act: Callable[[Promotion], RefreshCycle]) -> None:
    with installed(config) as installation, bars() as progress:
        name = act(installation.promotion).id
        installation.carry_on(name, progress=progress)
        cycle = installation.store.get(RefreshCycle, name)
    if as_json:
        emit(view(cycle))
    else:
        show(screens.cycle_timeline(cycle))
