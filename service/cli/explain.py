"""`explain`: an alarm, or one sample, in full."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service import screens
from service.cli.installed import CONFIG, AsJson, Config, MonitorName, installed, monitor_of, samples_of
from service.cli.terminal import bars, emit, example, show
from service.cli.views import view
from service.errors import InputError
from service.records import Alarm, Sample
from service.screens.explaining import sample_explanation

if TYPE_CHECKING:
    from service.app import Installation
    from service.explaining.samples import SampleExplanation

app = typer.Typer()

_MOST_IN_FILE = 10_000


@app.command(epilog=example("driftgate explain --monitor support-chat --sample m-17"))
def explain(
    alarm: Annotated[str | None, typer.Argument(metavar="[ALARM]", help="An alarm's id; `driftgate alarm list` has it.")] = None,
    sample: Annotated[str | None, typer.Option("--sample", metavar="ID", help="One sample in place of an alarm.")] = None,
    given: Annotated[
        Path | None, typer.Option("--input", "-i", metavar="FILE", help="The sample is in this .jsonl, .npy or .parquet.")
    ] = None,
    config: Config = CONFIG,
    monitor: MonitorName = None,
    as_json: AsJson = False,
) -> None:
    """Show an alarm in full: how far, which clusters moved, which samples show it, what was done about it.

    With --sample or --input: what one sample is near, what taught the model its answer, and which of its parts the answer stands on.
    """
    if (alarm is None) == (sample is None and given is None):
        raise InputError("use", "name one thing to explain: an alarm's id, or a sample with --sample ID or --input FILE")
    with installed(config) as installation:
        if alarm is not None:
            found = installation.store.get(Alarm, alarm)
            emit(view(found)) if as_json else show(screens.alarm_explanation(found))
            return
        explained = _explained(installation, monitor_of(installation.settings, monitor), sample, given)
    _show(explained, as_json)


def _explained(installation: Installation, name: str, sample: str | None, given: Path | None) -> SampleExplanation:
    with bars() as progress:
        if given is None:
            return installation.samples.explain(name, str(sample), now=time.time(), progress=progress)
        chosen = _chosen(installation, name, given, sample)
        return installation.samples.explain_given(chosen, now=time.time(), progress=progress)


def _chosen(installation: Installation, name: str, path: Path, sample: str | None) -> Sample:
    """The file's only sample, or the one of that id."""
    found: list[Sample] = []
    for number, each in enumerate(samples_of(installation, name, [path])):
        if sample is None and number:
            raise InputError("too_many", f"{path}: more than one sample; choose with --sample ID")
        if number == _MOST_IN_FILE:
            break
        if sample in {None, each.id}:
            found.append(each)
    if not found:
        among = "no samples" if sample is None else f"no sample {sample!r:.100} among its first {_MOST_IN_FILE:,}"
        raise InputError("empty", f"{path}: {among}")
    return found[0]


def _show(explained: SampleExplanation, as_json: bool) -> None:
    from service.explaining.written import document  # noqa: PLC0415 - loads the detectors

    found = document(explained)
    if as_json:
        emit(found)
    else:
        show(sample_explanation(found))
