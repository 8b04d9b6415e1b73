"""`alarm`: what drifted, what shows it, and what people say about it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service import screens
from service.cli.installed import CONFIG, AsJson, Config, MonitorName, Note, installed, monitor_of, operations
from service.cli.terminal import actor, emit, example, show
from service.cli.views import view, views
from service.records import Alarm, AlarmState, Verdict

if TYPE_CHECKING:
    from service.operations import Operations

group = typer.Typer(no_args_is_help=True)

AlarmId = Annotated[str, typer.Argument(metavar="ALARM", help="The alarm's id; `driftgate alarm list` has it.")]
States = Annotated[list[AlarmState] | None, typer.Option("--state", help="Only these; may be given several times.")]
Limit = Annotated[int, typer.Option(min=1, max=1000, help="At most so many, newest first.")]


@group.command("list", epilog=example("driftgate alarm list --state open"))
def list_alarms(
    config: Config = CONFIG,
    monitor: MonitorName = None,
    state: States = None,
    limit: Limit = 50,
    segments: Annotated[bool, typer.Option("--segments", help="Also those of streams that are open as a whole, a row each.")] = False,
    as_json: AsJson = False,
) -> None:
    """List alarms, newest first; segments of a stream that is open as a whole are counted beside it."""
    with installed(config) as installation:
        name = None if monitor is None else monitor_of(installation.settings, monitor)
        alarms = installation.store.find(Alarm, monitor=name, states=state or (), limit=limit)
    if as_json:
        emit({"alarms": views(alarms)})
    else:
        show(screens.alarm_list(alarms, now=time.time(), folded=not segments))


@group.command(epilog=example("driftgate alarm ack 5b0d6c1f --note 'looking at it'"))
def ack(alarm: AlarmId, config: Config = CONFIG, note: Note = "", as_json: AsJson = False) -> None:
    """Say that somebody takes care of the alarm."""
    _act(config, as_json, lambda acts: acts.acknowledge(alarm, actor=actor(), note=note, now=time.time()))


@group.command(epilog=example("driftgate alarm resolve 5b0d6c1f --note 'the client was mended'"))
def resolve(alarm: AlarmId, config: Config = CONFIG, note: Note = "", as_json: AsJson = False) -> None:
    """Close the alarm; its stream's detector starts anew."""
    _act(config, as_json, lambda acts: acts.resolve(alarm, actor=actor(), note=note, now=time.time()))


@group.command(epilog=example("driftgate alarm verdict 5b0d6c1f false --note 'a load test'"))
def verdict(
    alarm: AlarmId,
    verdict: Annotated[Verdict, typer.Argument(help="What it turned out to be.")],
    config: Config = CONFIG,
    note: Note = "",
    as_json: AsJson = False,
) -> None:
    """Say what the alarm turned out to be: `false` and `seasonal` close an open one and hold its like back for a while; of a resolved one
    it is kept for the ledger."""
    _act(config, as_json, lambda acts: acts.verdict(alarm, verdict, actor=actor(), note=note, now=time.time()))


def _act(config: Path, as_json: bool, act: Callable[[Operations], Alarm]) -> None:
    """Carries an act out and shows the step that it led to."""
    with installed(config) as installation:
        changed = act(operations(installation))
    if as_json:
        emit(view(changed))
    else:
        show(f"alarm {changed.id}:", screens.step_list(changed.history[-1:]))
