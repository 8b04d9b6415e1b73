"""`verify`: a new model against the old one, for a refresh cycle or from files alone."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from service.cli.installed import CONFIG, AsJson, Config, MonitorName, installed
from service.cli.model_pair import Asked, Files, Kind, Models, verified
from service.cli.refresh import class_names
from service.cli.terminal import actor, bars, emit, example, show
from service.cli.views import view
from service.errors import InputError
from service.screens.drawing import word
from service.screens.verifying import verification_table

app = typer.Typer()

_CYCLE, _FILES = "For a refresh cycle", "From files, without an installation"

Paths = list[Path] | None
New = Annotated[Path | None, typer.Option("--new", "--model", exists=True, dir_okay=False, help="The new model, ONNX.")]
Classes = Annotated[
    Path | None, typer.Option("--classes", help="Its classes, one per line in the order of its logits; else as its file says.")
]
Reports = Annotated[Paths, typer.Option("--report", help="Write a report: .html, .md or .json, by its suffix; may be repeated.")]
Cycle = Annotated[str | None, typer.Option("--cycle", rich_help_panel=_CYCLE, help="The refresh cycle that the model was trained for.")]
Version = Annotated[
    str, typer.Option("--version", rich_help_panel=_CYCLE, help="Its `model_version` in production; from its checksum by default.")
]
Old = Annotated[
    Path | None,
    typer.Option("--old", exists=True, dir_okay=False, rich_help_panel=_FILES, help="The model that it would follow, ONNX."),
]
OldClasses = Annotated[
    Path | None, typer.Option("--old-classes", rich_help_panel=_FILES, help="Its classes; else as its file says, else the new one's.")
]
Golden = Annotated[
    Paths, typer.Option("--golden", rich_help_panel=_FILES, help="Labelled samples that must not regress: .jsonl, .parquet, .npy.")
]
Challenge = Annotated[Paths, typer.Option("--challenge", rich_help_panel=_FILES, help="Labelled samples of what drifts, drawn at random.")]
Before = Annotated[Paths, typer.Option("--golden-before", rich_help_panel=_FILES, help="Golden with the labels before a correction.")]
Train = Annotated[Paths, typer.Option("--train", rich_help_panel=_FILES, help="What the new model learned from.")]
Run = Annotated[
    Path | None, typer.Option("--run", rich_help_panel=_FILES, help="Its run.json, with figures on training and validation rows.")
]
Segments = Annotated[
    str, typer.Option("--segments", metavar="TAG,…", rich_help_panel=_FILES, help="Tags by which golden rows are tested apart.")
]
Input = Annotated[Kind | None, typer.Option("--input", rich_help_panel=_FILES, help="What the models take; else as the samples are.")]
MaxTokens = Annotated[int, typer.Option("--max-tokens", min=8, max=8192, rich_help_panel=_FILES, help="Longer texts are truncated to it.")]
Margin = Annotated[
    float | None, typer.Option("--margin", rich_help_panel=_FILES, help="A fall of golden accuracy that is too much; .01 by default.")
]
Flips = Annotated[
    float | None,
    typer.Option("--expected-flips", rich_help_panel=_FILES, help="Share of rows on which one alone is right, to plan rows with; .02."),
]
ShowGolden = Annotated[
    bool, typer.Option("--show-golden", rich_help_panel=_FILES, help="List golden rows too; they can't judge a model made by the list.")
]


@app.command(epilog=example("driftgate verify --old a.onnx --new b.onnx --golden golden.jsonl --challenge new.jsonl --report gate.html"))
def verify(  # noqa: PLR0913, PLR0917 - the options of a command are its parameters
    new: New = None,
    classes: Classes = None,
    report: Reports = None,
    cycle: Cycle = None,
    version: Version = "",
    old: Old = None,
    old_classes: OldClasses = None,
    golden: Golden = None,
    challenge: Challenge = None,
    golden_before: Before = None,
    train: Train = None,
    run: Run = None,
    segments: Segments = "",
    input: Input = None,
    max_tokens: MaxTokens = 256,
    margin: Margin = None,
    expected_flips: Flips = None,
    show_golden: ShowGolden = False,
    config: Config = CONFIG,
    monitor: MonitorName = None,
    as_json: AsJson = False,
) -> None:
    """Judge a new model against the old one: surely no worse on golden rows and in their segments, better on challenge rows.

    For a cycle it is registered first, and a proven one waits for `driftgate refresh promote`. From files nothing is installed or kept;
    with --monitor the configuration says how its models are fed and what they must prove. Exit code 0: proven; 1: rejected, unusable, or
    too few rows to tell (it says how many more).
    """
    _check_reports(report or ())
    new = _given(new, "--new")
    if cycle is not None:
        raise typer.Exit(0 if _for_cycle(cycle, new, version, class_names(classes), report or (), config, as_json=as_json) else 1)
    models = Models(_given(old, "--old"), new, class_names(old_classes), class_names(classes), input, max_tokens)
    files = Files(run, *(tuple(paths or ()) for paths in (golden, challenge, golden_before, train)))
    asked = Asked.of(config, monitor, segments, margin=margin, expected_flips=expected_flips)
    raise typer.Exit(0 if _from_files(models, files, asked, report or (), show_golden=show_golden, as_json=as_json) else 1)


def _given(path: Path | None, option: str) -> Path:
    if path is None:
        raise InputError("use", f"{option} is missing: name --old and --new with --golden and --challenge, or --cycle with --new")
    return path


def _check_reports(paths: Sequence[Path]) -> None:
    from service.verifying.writing import check_suffix  # noqa: PLC0415 - loads the detectors

    for path in paths:
        check_suffix(path)


def _for_cycle(  # noqa: PLR0913 - what the command was given
    cycle: str, new: Path, version: str, classes: Sequence[str], reports: Sequence[Path], config: Path, *, as_json: bool
) -> bool:
    from service.promotion import Given  # noqa: PLC0415 - loads the detectors
    from service.verifying.writing import write  # noqa: PLC0415 - as above

    with installed(config) as installation, bars() as progress:
        installation.promotion.register(cycle, Given(new, version, tuple(classes)), actor=actor(), now=time.time())
        judged = installation.promotion.go_on(cycle, now=time.time(), progress=progress)
        if reports and judged.verification:
            found = installation.promotion.report(cycle, now=time.time(), progress=progress)
            for path in reports:
                write(found, path)
    verification = judged.verification or {}
    if as_json:
        emit(view(judged))
    else:
        show(verification_table(verification), f"refresh cycle {judged.id}:", word(judged.state))
    return bool(verification.get("passed"))


def _from_files(models: Models, files: Files, asked: Asked, reports: Sequence[Path], *, show_golden: bool, as_json: bool) -> bool:
    from service.verifying.writing import document, write  # noqa: PLC0415 - loads the detectors

    with bars() as progress:
        found = verified(models, files, asked, progress, show_golden=show_golden)
    for path in reports:
        write(found, path)
    if as_json:
        emit(document(found))
    else:
        show(verification_table(found.verification), "".join(f"\nwrote {path}" for path in reports))
    return bool(found.verification["passed"])
