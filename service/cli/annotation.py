"""`annotation`: batches that go to annotators, from their proposal to their end."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.deliveries import app as deliveries
from service.cli.doubts import app as doubts
from service.cli.installed import CONFIG, AsJson, Config, MonitorName, Note, installed, monitor_of, operations
from service.cli.labels import app as labels
from service.cli.refresh import carry_on
from service.cli.terminal import actor, emit, example, show
from service.cli.views import view, views
from service.records import AnnotationBatch, BatchState
from service.screens import step_list

if TYPE_CHECKING:
    from service.app import Installation
    from service.operations import Operations

group = typer.Typer(no_args_is_help=True)
group.add_typer(labels)
group.add_typer(deliveries)
group.add_typer(doubts)

Samples = Annotated[list[str], typer.Argument(metavar="SAMPLE...", help="Its candidates, by their ids.")]
PutBack = Annotated[bool, typer.Option("--back", help="Put them back instead.")]
BatchId = Annotated[str, typer.Argument(metavar="BATCH", help="The batch's id; `driftgate annotation list` has it.")]


@group.callback()
def annotation() -> None:
    """What annotators are asked, and what they answer."""


@group.command("list", epilog=example("driftgate annotation list --monitor support-chat --state proposed"))
def list_batches(
    config: Config = CONFIG,
    monitor: MonitorName = None,
    state: Annotated[BatchState | None, typer.Option("--state", help="Only those in this state.")] = None,
    as_json: AsJson = False,
) -> None:
    """List annotation batches, newest first."""
    from service.annotation.screen import batches_table  # noqa: PLC0415 - loads the detectors

    with installed(config) as installation:
        name = None if monitor is None else monitor_of(installation.settings, monitor)
        batches = installation.store.find(AnnotationBatch, monitor=name, states=[state] if state else [], limit=100)
    if as_json:
        emit({"batches": views(batches)})
    else:
        show(batches_table(batches))


@group.command("show", epilog=example("driftgate annotation show 0c3f --manifest"))
def show_batch(
    batch: BatchId,
    config: Config = CONFIG,
    manifest: Annotated[
        bool, typer.Option("--manifest", help="The canonical manifest alone; exit code 1 if it is not what was sealed.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show what a batch asks, what it costs and waits for, what the answers come to, and how good those are who gave them."""
    with installed(config) as installation:
        found = installation.store.get(AnnotationBatch, batch)
        if manifest:
            _show_manifest(found)
        else:
            _show(installation, found, as_json)


@group.command(epilog=example("driftgate annotation approve 0c3f --note 'within the quarter'"))
def approve(batch: BatchId, config: Config = CONFIG, note: Note = "", as_json: AsJson = False) -> None:
    """Approve a proposed batch, which then goes to the annotators."""
    _act(config, as_json, lambda acts: acts.approve_batch(batch, actor=actor(), note=note, now=time.time()))


@group.command(epilog=example("driftgate annotation close 0c3f --note 'enough labels'"))
def close(batch: BatchId, config: Config = CONFIG, note: Note = "", as_json: AsJson = False) -> None:
    """Go on with the labels that have come back."""
    _act(config, as_json, lambda acts: acts.close_batch(batch, actor=actor(), note=note, now=time.time()))


@group.command(epilog=example("driftgate annotation cancel 0c3f --note 'a false alarm'"))
def cancel(batch: BatchId, config: Config = CONFIG, note: Note = "", as_json: AsJson = False) -> None:
    """Expect no more of a batch: annotators who have it are told, and labels that still come are kept."""
    _act(config, as_json, lambda acts: acts.cancel_batch(batch, actor=actor(), note=note, now=time.time()))


@group.command(epilog=example("driftgate annotation drop 0c3f m-17 m-40 --note 'not ours to label'"))
def drop(
    batch: BatchId, samples: Samples, config: Config = CONFIG, note: Note = "", back: PutBack = False, as_json: AsJson = False
) -> None:
    """Take candidates out of a proposed batch: they are not asked about, and not proposed again."""

    def act(acts: Operations) -> AnnotationBatch:
        change = acts.restore_candidates if back else acts.drop_candidates
        return change(batch, samples, actor=actor(), note=note, now=time.time())

    _act(config, as_json, act)


@group.command(epilog=example("driftgate annotation priority 0c3f 9"))
def priority(
    batch: BatchId,
    number: Annotated[float, typer.Argument(metavar="NUMBER", help="0 to 10 for the batch, 0 to 1 for an item; larger goes first.")],
    item: Annotated[str, typer.Option("--item", help="One of its candidates, by its id.")] = "",
    config: Config = CONFIG,
    as_json: AsJson = False,
) -> None:
    """Set the priority of a batch or of one of its candidates; annotators who have it are told."""
    _act(config, as_json, lambda acts: acts.prioritise_batch(batch, number, item=item, actor=actor(), now=time.time()))


def _act(config: Path, as_json: bool, act: Callable[[Operations], AnnotationBatch]) -> None:
    with installed(config) as installation:
        changed = act(operations(installation))
        carry_on(installation)
        _show(installation, installation.store.get(AnnotationBatch, changed.id), as_json)


def _show(installation: Installation, batch: AnnotationBatch, as_json: bool) -> None:
    from service.annotation.screen import batch_screen  # noqa: PLC0415 - as above
    from service.annotation.standing import standing  # noqa: PLC0415 - loads the detectors
    from service.api.batches import answers_view  # noqa: PLC0415 - loads the web framework

    found = standing(installation.store, batch, installation.effective(batch.monitor).annotation)
    if as_json:
        emit({**view(batch), "returned_answers": answers_view(found).model_dump(mode="json")})
    else:
        show(batch_screen(batch, found), "\n", step_list(batch.history))


def _show_manifest(batch: AnnotationBatch) -> None:
    from service.annotation.manifest import canonical_json, is_intact, manifest  # noqa: PLC0415 - loads the detectors

    typer.echo(canonical_json(manifest(batch)))
    if not is_intact(batch):
        typer.echo(f"driftgate: annotation batch {batch.id}: sealed as {batch.manifest or 'nothing'}, and it is another by now", err=True)
        raise typer.Exit(1)
