"""`refresh` and `verify`: cycles from candidates to a proven model."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from service import screens
from service.cli.installed import CONFIG, AsJson, Config, MonitorName, Note, installed, monitor_of, monitors_of, operations
from service.cli.terminal import actor, emit, example, show
from service.cli.views import refresh_view, view, views
from service.errors import ConflictError, InputError
from service.records import AnnotationBatch, RefreshCycle
from service.screens.cycles import refresh_screen
from service.screens.drawing import columns, moment, word

if TYPE_CHECKING:
    from service.app import Installation
    from service.operations import Operations

group = typer.Typer(no_args_is_help=True)

CycleId = Annotated[str, typer.Argument(metavar="CYCLE", help="The cycle's id; `driftgate refresh list` has it.")]


@group.command("list", epilog=example("driftgate refresh list --monitor support-chat"))
def list_cycles(config: Config = CONFIG, monitor: MonitorName = None, as_json: AsJson = False) -> None:
    """List refresh cycles, newest first."""
    with installed(config) as installation:
        name = None if monitor is None else monitor_of(installation.settings, monitor)
        cycles = installation.store.find(RefreshCycle, monitor=name, limit=100)
    if as_json:
        emit({"cycles": views(cycles)})
        return
    table = columns("cycle", "monitor", "state", "attempt", "opened", "opened by")
    for cycle in cycles:
        table.add_row(cycle.id, cycle.monitor, word(cycle.state), str(cycle.attempt), moment(cycle.created), Text(cycle.opened_by))
    show(table if cycles else "no refresh cycles")


@group.command("show", epilog=example("driftgate refresh show 9d41c2aa"))
def show_cycle(cycle: CycleId, config: Config = CONFIG, as_json: AsJson = False) -> None:
    """Show a cycle's steps, its batch and, once there is one, its verification."""
    with installed(config) as installation:
        found = installation.store.get(RefreshCycle, cycle)
        batch = installation.store.get(AnnotationBatch, found.batch)
    if as_json:
        emit({**view(found), "annotation_batch": view(batch)})
    else:
        _show_cycle(found, batch)


@group.command(epilog=example("driftgate refresh status"))
def status(config: Config = CONFIG, monitor: MonitorName = None, as_json: AsJson = False) -> None:
    """Show where each monitor's cycle is: what it waits for and since when, what to do next, what is spent and left."""
    now = time.time()
    with installed(config) as installation:
        found = [refresh_status(installation, name, now) for name in monitors_of(installation.settings, monitor)]
    if as_json:
        emit({"monitors": [refresh_view(each) for each in found]})
    else:
        show(refresh_screen(found))


@group.command(epilog=example("driftgate refresh start --monitor support-chat --note 'before the release'"))
def start(config: Config = CONFIG, monitor: MonitorName = None, note: Note = "", as_json: AsJson = False) -> None:
    """Open a cycle for the monitor's strongest open alarm, else for its recent traffic: candidates make its annotation batch."""
    with installed(config) as installation:
        name = monitor_of(installation.settings, monitor)
        cycle = operations(installation).open_refresh(name, actor=actor(), note=note, now=time.time())
        _report(installation, cycle.id, as_json)


@group.command(epilog=example("driftgate refresh approve 9d41c2aa"))
def approve(cycle: CycleId, config: Config = CONFIG, note: Note = "", as_json: AsJson = False) -> None:
    """Approve the cycle's annotation batch, which then goes to the annotators."""
    _act_on_batch(config, cycle, as_json, lambda acts, batch: acts.approve_batch(batch, actor=actor(), note=note, now=time.time()))


@group.command(epilog=example("driftgate refresh close 9d41c2aa --note 'enough labels'"))
def close(cycle: CycleId, config: Config = CONFIG, note: Note = "", as_json: AsJson = False) -> None:
    """Go on with the labels that have come back: the next round goes out; after the last one training is asked for."""
    _act_on_batch(config, cycle, as_json, lambda acts, batch: acts.close_batch(batch, actor=actor(), note=note, now=time.time()))


@group.command(epilog=example("driftgate refresh finish 9d41c2aa --note 'the budget is needed elsewhere'"))
def finish(cycle: CycleId, config: Config = CONFIG, note: Note = "", as_json: AsJson = False) -> None:
    """End the rounds: no further batch is sent, and the new model learns from what is labelled so far."""
    with installed(config) as installation:
        operations(installation).finish_refresh(cycle, actor=actor(), note=note, now=time.time())
        carry_on(installation)
        _report(installation, cycle, as_json)


@group.command(epilog=example("driftgate refresh cancel 9d41c2aa --note 'a false alarm'"))
def cancel(cycle: CycleId, config: Config = CONFIG, note: Note = "", as_json: AsJson = False) -> None:
    """End the cycle, and its batch where that is still running. Once its model was announced, `refresh revert` does."""
    with installed(config) as installation:
        operations(installation).cancel_refresh(cycle, actor=actor(), note=note, now=time.time())
        _report(installation, cycle, as_json)


def carry_on(installation: Installation) -> None:
    """What follows from a closed batch happens here too, not only where a server runs; whoever comes second finds it done."""
    try:
        installation.refresher.step(now=time.time())
    except ConflictError:
        return


def refresh_status(installation: Installation, monitor: str, now: float) -> Mapping[str, Any]:
    """As the API has it, with what the clock would open."""
    from service.cycles.summary import summary  # noqa: PLC0415 - loads the detectors

    settings = installation.effective(monitor)
    occasions = installation.occasions
    freshness = None if settings.refresh.min_freshness is None else occasions.measure(monitor, now=now)
    due = occasions.due(monitor, settings, now=now)
    return summary(installation.store, settings, now=now, due=due, freshness=freshness).figures


def _act_on_batch(config: Path, cycle: str, as_json: bool, act: Callable[[Operations, str], AnnotationBatch]) -> None:
    with installed(config) as installation:
        act(operations(installation), installation.store.get(RefreshCycle, cycle).batch)
        carry_on(installation)
        _report(installation, cycle, as_json)


def _report(installation: Installation, cycle: str, as_json: bool) -> None:
    found = installation.store.get(RefreshCycle, cycle)
    if as_json:
        emit(view(found))
    else:
        _show_cycle(found, installation.store.get(AnnotationBatch, found.batch))


def _show_cycle(cycle: RefreshCycle, batch: AnnotationBatch) -> None:
    answered = f"{batch.returned} of {len(batch.items)} answered"
    which = f"annotation batch {batch.id}, round {batch.round} of {cycle.rounds}: "
    show(screens.cycle_timeline(cycle), Text.assemble(f"\n{which}", word(batch.state), f", {answered}"))
    show(screens.step_list(batch.history))


def class_names(path: Path | None) -> Sequence[str]:
    """The lines of a file; none without one."""
    if path is None:
        return ()
    try:
        names = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("file", f"{path}: can't be read as one class per line: {error}") from error
    if len(set(names)) != len(names) or not names:
        raise InputError("file", f"{path}: found {len(names)} classes, {len(set(names))} of them different; one per line, each once")
    return names
