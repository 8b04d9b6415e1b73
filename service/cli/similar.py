"""`similar`: the kept samples that are most like something."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.installed import CONFIG, AsJson, Config, MonitorName, installed, monitor_of, samples_of
from service.cli.reference import Moment, seconds
from service.cli.terminal import actor, bars, emit, example, show
from service.cli.views import view
from service.errors import InputError
from service.records import AnnotationBatch, Sample
from service.screens.similar import similar_screen

if TYPE_CHECKING:
    from service.app import Installation

app = typer.Typer()

SampleOption = Annotated[str | None, typer.Option("--sample", metavar="ID", help="Near to a sample that is kept.")]
TextOption = Annotated[str | None, typer.Option("--text", help="Near to a text.")]
InputOption = Annotated[Path | None, typer.Option("--input", "-i", metavar="FILE", help="Near to the only sample of a file.")]
FailureOption = Annotated[str | None, typer.Option("--failure", metavar="CLUSTER", help="Near to any sample of a failure cluster.")]
SetOption = Annotated[str | None, typer.Option("--set", metavar="ROLE[:VERSION]", help="Near to any row of a data set.")]
Segment = Annotated[str | None, typer.Option("--segment", metavar="TAG=VALUE", help="Only samples of this segment.")]
Confidence = Annotated[str | None, typer.Option("--confidence", metavar="LOW:HIGH", help="Only answers of this confidence, like 0.5:0.9.")]
Extractors = Annotated[
    list[Path] | None, typer.Option("--extractor", metavar="MODEL", help="A further ONNX model whose order is fused in; several times.")
]


@app.command(epilog=example("driftgate similar --monitor support-chat --failure 5b0d6c1f --limit 50 --send"))
def similar(  # noqa: PLR0913, PLR0917 - the options of a command are its parameters
    sample: SampleOption = None,
    text: TextOption = None,
    given: InputOption = None,
    failure: FailureOption = None,
    named: SetOption = None,
    segment: Segment = None,
    since: Moment = None,
    until: Moment = None,
    label: Annotated[str | None, typer.Option("--label", help="Only samples known to be of this class.")] = None,
    predicted: Annotated[str | None, typer.Option("--predicted", help="Only samples that the model answered so.")] = None,
    confidence: Confidence = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1_000, help="Most that are shown, near-duplicates as one.")] = 20,
    extractors: Extractors = None,
    send: Annotated[bool, typer.Option("--send", help="Open a refresh cycle that asks annotators about them.")] = False,
    config: Config = CONFIG,
    monitor: MonitorName = None,
    as_json: AsJson = False,
) -> None:
    """Find the kept samples nearest to a sample, a text, a failure cluster or a set: recent ones, the reserve and pool sets."""
    from service.similar.mining import Asked  # noqa: PLC0415 - loads the detectors
    from service.similar.pool import Narrowing  # noqa: PLC0415 - as above
    from service.similar.written import document  # noqa: PLC0415 - as above

    narrowing = Narrowing(segment, seconds(since), seconds(until), label, predicted, _range(confidence))
    now = time.time()
    with installed(config) as installation, bars() as progress:
        name = monitor_of(installation.settings, monitor)
        asked = Asked(sample, _given(installation, name, text, given), failure, named, narrowing, limit, tuple(extractors or ()))
        found = installation.similar.find(name, asked, now=now, progress=progress)
        cycle = installation.similar.send(found, actor=actor(), now=now) if send else None
        sent = None if cycle is None else installation.store.get(AnnotationBatch, cycle.batch)
    _show({**document(found), **({} if cycle is None else {"cycle": view(cycle)})}, sent, as_json=as_json)


def _given(installation: Installation, monitor: str, text: str | None, path: Path | None) -> Sample | None:
    """From outside: a text, or a file's only sample."""
    if text is not None:
        if installation.effective(monitor).embedder.input != "text":
            raise InputError("use", f"monitor {monitor} does not take texts: name a sample with --sample ID or --input FILE")
        return Sample(monitor, "the text", 0.0, text)
    if path is None:
        return None
    found = samples_of(installation, monitor, [path])
    first = next(found, None)
    if first is None or next(found, None) is not None:
        raise InputError("too_many" if first else "empty", f"{path}: one sample is wanted, found {'more' if first else 'none'}")
    return first


def _range(written: str | None) -> tuple[float, float] | None:
    if written is None:
        return None
    low, colon, high = written.partition(":")
    try:
        return float(low or 0), float(high or 1) if colon else float(low)
    except ValueError as error:
        raise InputError("confidence", f"--confidence {written!r:.40}: LOW:HIGH, between 0 and 1, like 0.5:0.9") from error


def _show(found: dict[str, Any], sent: AnnotationBatch | None, *, as_json: bool) -> None:
    if as_json:
        emit(found)
        return
    show(similar_screen(found))
    if sent is not None:
        left = len(found["matches"]) - len(sent.items)
        why = f"; {left:,} have a label, were asked about, or are too close to what models are judged by" if left else ""
        show(f"refresh cycle {sent.cycle} asks about {len(sent.items):,} of them{why}")
        show(f"its batch {sent.id} is {sent.state.value}: `driftgate refresh list`")
