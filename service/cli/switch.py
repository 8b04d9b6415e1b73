"""`switch`: old and new model behind one threshold, with a bound on what breaks."""

from __future__ import annotations

import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.installed import CONFIG, AsJson, Config, MonitorName, installed, monitor_of, samples_of
from service.cli.refresh import class_names
from service.cli.terminal import actor, bars, emit, example, show
from service.screens.switching import certificate_screen, condition_table, refusal

if TYPE_CHECKING:
    from service.switching.building import Built

app = typer.Typer(no_args_is_help=True)
ACTIVE = "active"

Artefact = Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="The switch, ONNX.")]
Alpha = Annotated[float, typer.Option("--alpha", help="Largest share of answers that may break: right before, wrong now.")]
Delta = Annotated[float, typer.Option("--delta", help="How likely it may be that more break, over all uses of the rows.")]


@app.command(epilog=example("driftgate switch build --monitor support-chat --new candidate/model.onnx --output switch/model.onnx"))
def build(  # noqa: PLR0913, PLR0917 - the options of a command are its parameters
    new: Annotated[Path, typer.Option("--new", exists=True, dir_okay=False, help="The new model, ONNX: the same classes or more.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The ONNX file; its certificate goes beside it.")],
    old: Annotated[str, typer.Option("--old", metavar="FILE|active", help="The old model; by default the one in force.")] = ACTIVE,
    classes: Annotated[
        Path | None, typer.Option("--classes", help="The new model's classes, one per line, where its file does not name them.")
    ] = None,
    alpha: Alpha = 0.01,
    delta: Delta = 0.1,
    days: Annotated[int, typer.Option("--days", min=1, max=3_650, help="How long the certificate is valid at most.")] = 90,
    drifted: Annotated[
        list[Path] | None, typer.Option("--drifted", help="Labelled samples of the drifted traffic, to say what is gained.")
    ] = None,
    by_class: Annotated[
        bool, typer.Option("--by-class", help="Tell flips by class and by threshold. No calibration takes these rows again.")
    ] = False,
    config: Config = CONFIG,
    monitor: MonitorName = None,
    as_json: AsJson = False,
) -> None:
    """Calibrate on golden's calibrate part when the new model's answer is served, and write both models as one.

    Every attempt uses the rows up a little. Exit code 0: written; 1: no threshold passed, the old model stays.
    """
    from service.switching.building import Switches, Wanted  # noqa: PLC0415 - loads the detectors

    with installed(config) as installation, bars() as progress:
        name = monitor_of(installation.settings, monitor)
        rows = tuple(samples_of(installation, name, drifted)) if drifted else ()
        before = None if old == ACTIVE else Path(old)
        wanted = Wanted(name, new, before, tuple(class_names(classes)), alpha, delta, days, rows, by_class)
        switches = Switches(installation.store, installation.data_sets, installation)
        built = switches.build(wanted, output, actor=actor(), now=time.time(), progress=progress)
    if as_json:
        emit(_document(built, by_class=by_class))
    elif built.certificate:
        show(certificate_screen(built.certificate.document()), f"\nwrote {output}, its certificate beside it")
    else:
        show(refusal(built.calibration, built.use))
    raise typer.Exit(0 if built.certificate else 1)


@app.command("show", epilog=example("driftgate switch show switch/model.onnx"))
def show_certificate(artefact: Artefact, as_json: AsJson = False) -> None:
    """Show what a switch promises, on which rows, and when that ends."""
    from service.switching.certificate import read  # noqa: PLC0415 - loads the detectors

    certificate = read(artefact)
    if as_json:
        emit(certificate.document())
    else:
        show(certificate_screen(certificate.document()))


@app.command(epilog=example("driftgate switch check --monitor support-chat switch/model.onnx"))
def check(artefact: Artefact, config: Config = CONFIG, monitor: MonitorName = None, as_json: AsJson = False) -> None:
    """Check whether a switch's certificate still holds. Exit code 0: it does; 1: it does not."""
    from service.switching.certificate import InForce, conditions, read  # noqa: PLC0415 - loads the detectors

    certificate = read(artefact)
    with installed(config) as installation:
        name = monitor_of(installation.settings, monitor)
        in_force = InForce(
            name,
            installation.version(name),
            installation.embedder(name).fingerprint,
            installation.effective(name).embedder.model,
            datetime.fromtimestamp(time.time(), UTC).date().isoformat(),
        )
        found = list(conditions(certificate, artefact, in_force, installation.store, installation.data_sets))
    valid, listed = all(condition.holds for condition in found), [asdict(condition) for condition in found]
    if as_json:
        emit({"valid": valid, "conditions": listed})
    else:
        show(condition_table(listed, certificate.document()))
    raise typer.Exit(0 if valid else 1)


def _document(built: Built, *, by_class: bool) -> dict[str, Any]:
    calibration = {name: value for name, value in asdict(built.calibration).items() if name != "trail"}
    trail = [{"threshold": threshold, "flips": flips} for threshold, flips in built.calibration.trail]
    certificate = built.certificate.document() if built.certificate else None
    return {
        "written": certificate is not None,
        "use": built.use,
        "calibration": {**calibration, **({"trail": trail} if by_class else {})},
        "certificate": certificate,
    }
