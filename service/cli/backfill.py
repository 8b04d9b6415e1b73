"""`backfill`: history from a topic or files, read into a log and detectors of its own."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.backfill import Backfills, TopicSpan
from service.cli.installed import CONFIG, AsJson, Config, MonitorName, MoreFiles, installed, monitor_of, monitors_of, rows_in
from service.cli.terminal import counter, emit, example, show
from service.cli.views import view, views
from service.errors import InputError
from service.records import Alarm, Backfill
from service.screens.backfills import backfill_list, backfill_screen
from service.settings import load

if TYPE_CHECKING:
    from service.app import Installation

group = typer.Typer(no_args_is_help=True)

MOST_SHOWN = 100
"""Live alarms beside a backfill's own."""

_FORMATS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"]

BackfillId = Annotated[str, typer.Argument(metavar="BACKFILL", help="Its id, or the beginning of it; `driftgate backfill list` has it.")]
Since = Annotated[datetime | None, typer.Option("--from", formats=_FORMATS, help="The topic's time of the first record; UTC.")]
Until = Annotated[datetime | None, typer.Option("--to", formats=_FORMATS, help="The topic's time that ends it, itself not read.")]
Partitions = Annotated[list[int] | None, typer.Option("--partition", "-p", min=0, help="Only these partitions of the topic.")]


@group.command(epilog=example("driftgate backfill run --monitor support-chat --topic chats --from 2026-01-01 --to 2026-02-01"))
def run(  # noqa: PLR0913, PLR0917 - the options of a command are its parameters
    config: Config = CONFIG,
    monitor: MonitorName = None,
    topic: Annotated[str | None, typer.Option(help="Read a topic.")] = None,
    partition: Partitions = None,
    since: Since = None,
    until: Until = None,
    inputs: Annotated[list[Path] | None, typer.Option("--input", "-i", help="Read .parquet, .jsonl or .npy files instead.")] = None,
    more: MoreFiles = None,
    as_json: AsJson = False,
) -> None:
    """Read history through the monitor, beside its live log; what was interrupted goes on where it stopped.

    What the monitor reads live is left out, and nothing of the live state is changed.
    """
    paths = [*(inputs or ()), *(more or ())]
    span = _span(topic, partition or (), since, until, files=bool(paths))
    with installed(config) as installation:
        from service.app import backfill_files, backfill_topic  # noqa: PLC0415 - loads the inference runtime

        name = monitor_of(installation.settings, monitor)
        made = backfill_files(installation, name, paths) if span is None else backfill_topic(installation, name, span)
        total = made.planned.planned if span else rows_in(paths)
        with counter(f"backfilling {name}", total, of="records") as progress:
            found = made.run(lambda backfill: progress(backfill.read))
        _show(installation, found, as_json=as_json)


@group.command("list", epilog=example("driftgate backfill list --monitor support-chat"))
def list_backfills(config: Config = CONFIG, monitor: MonitorName = None, as_json: AsJson = False) -> None:
    """List the backfills, newest first."""
    settings, now = load(config), time.time()
    found = [each for name in monitors_of(settings, monitor) for each in Backfills(settings.directory).of(name, now=now)]
    if as_json:
        emit({"backfills": views(found)})
    else:
        show(backfill_list(found))


@group.command("show", epilog=example("driftgate backfill show 5b0d6c1f"))
def show_backfill(backfill: BackfillId, config: Config = CONFIG, as_json: AsJson = False) -> None:
    """Show what a backfill found, beside what was found live."""
    with installed(config) as installation:
        _show(installation, Backfills(installation.settings.directory).get(backfill, now=time.time()), as_json=as_json)


def _span(topic: str | None, partitions: Sequence[int], since: datetime | None, until: datetime | None, *, files: bool) -> TopicSpan | None:
    """What is read of a topic; None where files are read."""
    if (topic is None) is not files or (files and (partitions or since or until)):
        raise InputError("usage", "give either --topic, with --from and --to, or --input with files, which are read whole")
    if topic is None:
        return None
    if since is None or until is None or _seconds(since) >= _seconds(until):
        raise InputError(
            "usage", "--topic needs --from and a later --to: times of the topic's records, like 2026-01-01 or 2026-01-01T12:00:00Z"
        )
    return TopicSpan(topic, tuple(sorted(set(partitions))), _seconds(since), _seconds(until))


def _seconds(moment: datetime) -> float:
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _show(installation: Installation, backfill: Backfill, *, as_json: bool) -> None:
    from service.app import backfill_alarms  # noqa: PLC0415 - loads the inference runtime

    if as_json:
        emit(view(backfill))
        return
    live = installation.store.find(Alarm, monitor=backfill.monitor, limit=MOST_SHOWN)
    show(backfill_screen(backfill, backfill_alarms(installation, backfill), live, now=time.time()))
