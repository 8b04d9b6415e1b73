"""`annotation import`: labels back from people who work on files."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.answer_files import Answer, Columns, read_answers
from service.cli.installed import CONFIG, AsJson, Config, installed, operations
from service.cli.refresh import carry_on
from service.cli.terminal import emit, example, show
from service.cli.views import view
from service.errors import ConflictError
from service.records import AnnotationBatch, Delivery, DeliveryState, Label

if TYPE_CHECKING:
    from service.app import Installation
    from service.inbox import Inbox

app = typer.Typer()

_AT_ONCE = 10_000
_PATIENCE, _LOOK = 10.0, 0.1


@app.command("import", epilog=example("driftgate annotation import inbox/annotation.batch-0c3f.jsonl"))
def import_labels(
    file: Annotated[Path, typer.Argument(help="A batch's .jsonl, .parquet, .csv or .tsv with `label`, or `unusable: true`, in its lines.")],
    batch: Annotated[str, typer.Option(help="The batch that all lines belong to, where they do not say so.")] = "",
    id_column: Annotated[str, typer.Option(help="The column with our ids; else `driftgate_id`, or `id`.")] = "",
    label_column: Annotated[str, typer.Option(help="The column with the answers.")] = "label",
    config: Config = CONFIG,
    as_json: AsJson = False,
) -> None:
    """Take labels from a file; importing it again changes nothing. Answers are as old as the file.

    Exit code 0: all were taken; 1: some could not be used (ids that are not in the batch, answers that are no class), or all were refused.
    """
    now = time.time()
    answers = read_answers(file, Columns(id_column, label_column, batch))
    made = min(file.stat().st_mtime, now)
    with installed(config) as installation:
        labels = [_labels(installation, name, each, made) for name, each in answers.items()]
        deliveries = [found for each in labels for found in _taken(installation, each, now)]
        carry_on(installation)
        batches = [installation.store.get(AnnotationBatch, name) for name in answers]
    if as_json:
        changed, unknown = sum(each.changed for each in deliveries), [name for each in deliveries for name in each.unknown]
        told = [view(replace(each, labels=())) for each in deliveries]
        emit({"batches": [view(each) for each in batches], "changed": changed, "unknown": unknown, "deliveries": told})
    else:
        show(*(f"{_line(delivery)}\n" for delivery in deliveries), *(f"batch {each.id} is {each.state}\n" for each in batches))
    if any(each.state is DeliveryState.REFUSED or each.unknown or each.unresolved for each in deliveries):
        raise typer.Exit(1)


def _labels(installation: Installation, batch: str, answers: Sequence[Answer], made: float) -> list[Label]:
    monitor = installation.store.get(AnnotationBatch, batch).monitor
    return [answer.as_label(monitor, made) for answer in answers]


def _taken(installation: Installation, labels: Sequence[Label], now: float) -> Iterator[Delivery]:
    """Through the same inbox as labels that come over HTTP; worked off here where no server does."""
    from service.inbox import Inbox  # noqa: PLC0415 - loads the detectors

    inbox = Inbox(installation.store, operations(installation).take_labels)
    for first in range(0, len(labels), _AT_ONCE):
        delivery = inbox.receive(labels[first : first + _AT_ONCE], source="file", now=now)
        if delivery.state is DeliveryState.PENDING:
            yield _worked_off(installation, inbox, delivery)
        else:
            yield replace(delivery, changed=0)  # the file was imported before


def _worked_off(installation: Installation, inbox: Inbox, delivery: Delivery) -> Delivery:
    end = time.monotonic() + _PATIENCE
    while delivery.state is DeliveryState.PENDING and time.monotonic() < end:
        try:
            inbox.step(time.time())
        except ConflictError:
            time.sleep(_LOOK)  # a server is at it
        delivery = installation.store.get(Delivery, delivery.id)
    return delivery


def _line(delivery: Delivery) -> str:
    told = {
        "are not in the batch": delivery.unknown,
        "are no class of the scheme": delivery.unresolved,
    }
    rest = "".join(f"; {len(found):,} {what}: {', '.join(found[:5])}" for what, found in told.items() if found)
    if delivery.state is DeliveryState.REFUSED:
        return f"delivery {delivery.id}: refused: {delivery.error}"
    late = f"; {delivery.late:,} late" if delivery.late else ""
    return f"delivery {delivery.id}: {delivery.count:,} labels, {delivery.changed:,} new or changed{late}{rest}"
