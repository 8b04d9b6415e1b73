"""`annotation import`: labels back from people who work on files."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from service.cli.installed import CONFIG, AsJson, Config, installed, operations
from service.cli.refresh import carry_on
from service.cli.terminal import emit, example, show
from service.cli.views import view
from service.errors import InputError
from service.records import AnnotationBatch, Label

group = typer.Typer(no_args_is_help=True)


class Line(msgspec.Struct):
    """A candidate's line as the folder destination wrote it, with its answer; lines without one are not answered yet."""

    batch: str
    driftgate_id: str
    label: str | None = None
    unusable: bool = False
    annotator: str = ""


@group.callback()
def annotation() -> None:
    """Labels back from annotators."""


@group.command("import", epilog=example("driftgate annotation import inbox/annotation.batch-0c3f.jsonl"))
def import_labels(
    file: Annotated[Path, typer.Argument(help="A batch's .jsonl with `label` (or `unusable: true`) added to its lines.")],
    config: Config = CONFIG,
    as_json: AsJson = False,
) -> None:
    """Take labels from a batch's file; importing it again changes nothing."""
    now = time.time()
    with installed(config) as installation:
        answers = _answered(file)
        monitor = installation.store.get(AnnotationBatch, answers[0].batch).monitor
        labels = [Label(monitor, a.batch, a.driftgate_id, None if a.unusable else a.label, now, a.annotator, a.unusable) for a in answers]
        taken = operations(installation).take_labels(labels, now=now)
        carry_on(installation)
    if as_json:
        emit({"batch": view(taken.batch), "changed": taken.changed, "unusable": taken.unusable, "unknown": list(taken.unknown)})
    else:
        unknown = f"; {len(taken.unknown)} are not in the batch" if taken.unknown else ""
        show(f"batch {taken.batch.id} is {taken.batch.state}: {taken.changed} labels new or changed, {taken.unusable} unusable{unknown}")


def _answered(file: Path) -> list[Line]:
    try:
        text = file.read_bytes()
    except OSError as error:
        raise InputError("file", f"{file}: {error.strerror}") from error
    try:
        lines = msgspec.json.Decoder(Line).decode_lines(text)
    except msgspec.DecodeError as error:
        raise InputError("labels", f"{file}: not a batch's file with answers: {error}") from error
    answered = [line for line in lines if line.unusable or line.label]
    if not answered:
        raise InputError("labels", f'{file}: no line has an answer yet; add "label" or "unusable": true')
    return answered
