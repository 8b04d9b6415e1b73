"""`failure`: what the model is known to fail on, and people's word on it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.installed import CONFIG, AsJson, Config, MonitorName, Note, installed, monitor_of, samples_of
from service.cli.terminal import actor, bars, emit, example, show
from service.errors import InputError
from service.records import MarkState

if TYPE_CHECKING:
    from service.app import Installation
    from service.records import FailureMark, Sample

group = typer.Typer(no_args_is_help=True)

SampleId = Annotated[str, typer.Argument(metavar="SAMPLE", help="The sample's id.")]


@group.callback()
def failure() -> None:
    """What the model is known to fail on."""


@group.command("list", epilog=example("driftgate failure list --monitor support-chat --samples 5"))
def list_failures(
    config: Config = CONFIG,
    monitor: MonitorName = None,
    samples: Annotated[int, typer.Option("--samples", min=0, max=1_000, help="Samples of each cluster that are shown.")] = 0,
    cluster: Annotated[str | None, typer.Option("--cluster", help="Only this one, by its id or the start of it.")] = None,
    as_json: AsJson = False,
) -> None:
    """List failure clusters, those that cost most first, with what speaks for which cause."""
    from service.failures.written import document  # noqa: PLC0415 - loads the detectors
    from service.screens.failures import failures_screen  # noqa: PLC0415 - as above

    with installed(config) as installation, bars() as progress:
        name = monitor_of(installation.settings, monitor)
        installation.failures.gather(name, now=time.time())
        only = None if cluster is None else installation.failures.cluster(name, cluster).id
        listing = installation.failures.listing(name, progress=progress)
    found = document(listing, samples=samples if samples or not as_json else 3)
    shown = {**found, "clusters": [each for each in found["clusters"] if only in {None, each["id"]}]}
    if as_json:
        emit(shown)
    else:
        show(failures_screen(shown))


@group.command(epilog=example("driftgate failure mark m-17 --monitor support-chat --label refund --note 'a customer complained'"))
def mark(  # noqa: PLR0913, PLR0917 - the options of a command are its parameters
    sample: SampleId,
    config: Config = CONFIG,
    monitor: MonitorName = None,
    label: Annotated[str | None, typer.Option("--label", help="The right class; left out where it is not known, or is new.")] = None,
    note: Note = "",
    given: Annotated[
        Path | None, typer.Option("--input", "-i", metavar="FILE", help="The sample is in this .jsonl, .npy or .parquet: none is kept.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say that the model's answer to a sample is wrong. Marking it again changes nothing; another label corrects it."""
    from service.failures.marks import Word  # noqa: PLC0415 - loads the store's records

    with installed(config) as installation:
        name, word = monitor_of(installation.settings, monitor), Word(actor(), note, time.time())
        brought = None if given is None else _chosen(installation, name, given, sample)
        marked = installation.failures.mark(name, sample, label, word, given=brought)
    _show(marked, as_json)


@group.command(epilog=example("driftgate failure unmark m-17 --monitor support-chat --note 'the answer was right'"))
def unmark(sample: SampleId, config: Config = CONFIG, monitor: MonitorName = None, note: Note = "", as_json: AsJson = False) -> None:
    """Take a mark back. What labels say of the sample stays."""
    from service.failures.marks import Word  # noqa: PLC0415 - as above

    with installed(config) as installation:
        name = monitor_of(installation.settings, monitor)
        taken_back = installation.failures.unmark(name, sample, Word(actor(), note, time.time()))
    _show(taken_back, as_json)


def _chosen(installation: Installation, monitor: str, path: Path, id: str) -> Sample:
    found = next((each for each in samples_of(installation, monitor, [path]) if each.id == id), None)
    if found is None:
        raise InputError("empty", f"{path}: no sample {id!r:.200} in it")
    return found


def _show(mark: FailureMark, as_json: bool) -> None:
    from service.failures.written import mark_document  # noqa: PLC0415 - as above

    if as_json:
        emit(mark_document(mark))
    else:
        of = f" (right: {mark.label})" if mark.label is not None and mark.state is MarkState.MARKED else ""
        show(f"monitor {mark.monitor}: sample {mark.sample} is {mark.state.value}{of}: {mark.history[-1].reason}")
