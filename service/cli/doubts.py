"""`annotation doubts`: which answers are likely wrong, and who gave them."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.installed import CONFIG, AsJson, Config, MonitorName, installed, monitor_of
from service.cli.terminal import emit, example, show
from service.errors import InputError
from service.records import AnnotationBatch, BatchState, Candidate, Label, RefreshCycle

if TYPE_CHECKING:
    from service.app import Installation
    from service.label_checks.checking import Checked

app = typer.Typer()

_ANSWERED = (BatchState.PARTLY_RETURNED, BatchState.CLOSED)


@app.command("doubts", epilog=example("driftgate annotation doubts --monitor support-chat"))
def doubts(
    batch: Annotated[
        str | None, typer.Argument(metavar="[BATCH]", help="The batch's id; by default the monitor's newest with answers.")
    ] = None,
    config: Config = CONFIG,
    monitor: MonitorName = None,
    every: Annotated[bool, typer.Option("--all", help="All answers, not only the doubtful ones.")] = False,
    as_json: AsJson = False,
) -> None:
    """List answers that are likely wrong, what speaks against them, and how the answers of each annotator look together."""
    from service.screens.label_checks import doubts_screen  # noqa: PLC0415 - loads the detectors

    with installed(config) as installation:
        found = installation.store.get(AnnotationBatch, batch) if batch else _newest(installation, monitor)
        document = _document(installation, found, every=every)
    if as_json:
        emit(document)
    else:
        show(doubts_screen(document))


def _newest(installation: Installation, monitor: str | None) -> AnnotationBatch:
    name = monitor_of(installation.settings, monitor)
    found = installation.store.find(AnnotationBatch, monitor=name, states=_ANSWERED, limit=100)
    first = next((batch for batch in found if batch.cycle and not any(item.again for item in batch.items)), None)
    if first is None:
        raise InputError("no_batch", f"monitor {name}: no batch of a refresh cycle has answers yet; `driftgate annotation list` shows them")
    return first


def _document(installation: Installation, batch: AnnotationBatch, *, every: bool) -> dict[str, Any]:
    from service.label_checks.checks import DOUBTFUL, both, oddest  # noqa: PLC0415 - loads the detectors
    from service.label_checks.events import CHECKED, told  # noqa: PLC0415 - likewise
    from service.selecting.asking import asked  # noqa: PLC0415 - likewise

    first, _ = both(installation.store, batch)
    events = [event for event in installation.store.events(first.monitor) if event.subject in (first.id, first.cycle) and told(event)]
    checked = next((event for event in events if event.kind == CHECKED), None)
    now = None if checked else _as_it_stands(installation, first)
    items = [item for item in (now.batch if now else first).items if item.doubt is not None]
    answers = asked(installation.store, [first]).answers
    listed = sorted(
        (item for item in items if every or (item.doubt or 0.0) >= DOUBTFUL or item.settled is not None),
        key=lambda item: -(item.doubt or 0.0),
    )
    return {
        "batch": first.id,
        "monitor": first.monitor,
        "cycle": first.cycle,
        "answers": len(items),
        "doubtful": sum((item.doubt or 0.0) >= DOUBTFUL for item in items),
        "doubts": [_doubt(item, answers.get(item.id)) for item in listed],
        "annotators": checked.body["annotators"] if checked else [asdict(person) for person in oddest(now.people)] if now else [],
        "told": [told(event) for event in events],
    }


def _doubt(item: Candidate, answer: Label | None) -> dict[str, Any]:
    told = {name: getattr(item, name) for name in ("id", "doubt", "settled", "text")}
    return {**told, "label": answer.label if answer else None, "against": list(item.against), "became": _became(item)}


def _as_it_stands(installation: Installation, batch: AnnotationBatch) -> Checked:
    """Of answers that are still coming in."""
    from service.label_checks.checking import check  # noqa: PLC0415 - loads the detectors
    from service.selecting.slices import Slice  # noqa: PLC0415 - likewise

    if not batch.cycle:
        raise InputError("batch", f"annotation batch {batch.id} is of no refresh cycle: its answers are not held against others")
    cycle = installation.store.get(RefreshCycle, batch.cycle)
    about = Slice(cycle.monitor, cycle.reference_version, cycle.segment, cycle.since)
    return check(installation.refresher.selection.reading(about), batch)


def _became(item: Candidate) -> str:
    if item.outcome is None:
        return "settled" if item.settled is not None else ""
    return f"{item.outcome}, settled" if item.settled is not None else str(item.outcome)
