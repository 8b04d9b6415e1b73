"""`maintenance`: monitors that count on and open no alarms for a while."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.installed import CONFIG, AsJson, Config, MonitorName, Note, installed, monitor_of, operations
from service.cli.terminal import actor, emit, example, show
from service.errors import ConfigurationError, ConflictError
from service.screens.notifying import pause_list
from service.settings import Settings

if TYPE_CHECKING:
    from service.app import Installation

group = typer.Typer(no_args_is_help=True)

TeamName = Annotated[str | None, typer.Option("--team", help="All monitors that it owns now, instead of one monitor.")]


@group.command(epilog=example("driftgate maintenance start --monitor support --hours 2 --note 'a load test'"))
def start(
    config: Config = CONFIG,
    monitor: MonitorName = None,
    team: TeamName = None,
    hours: Annotated[float, typer.Option(min=0.01, max=720, help="From now on, by the log's time.")] = 2.0,
    note: Note = "",
    as_json: AsJson = False,
) -> None:
    """Pause alarms: everything goes on being counted, none opens until the end, and what still stands then opens."""
    now = time.time()
    with installed(config) as installation:
        monitors, acts = _named(installation.settings, monitor, team), operations(installation)
        for name in monitors:
            acts.pause(name, until=now + 3_600.0 * hours, actor=actor(), note=note, now=now)
        pauses = _pauses(installation, monitors)
    _print(pauses, as_json=as_json)


@group.command(epilog=example("driftgate maintenance end --team payments"))
def end(config: Config = CONFIG, monitor: MonitorName = None, team: TeamName = None, note: Note = "", as_json: AsJson = False) -> None:
    """End a pause before its time."""
    with installed(config) as installation:
        monitors, acts = _named(installation.settings, monitor, team), operations(installation)
        paused = [pause["monitor"] for pause in _pauses(installation, monitors) if pause.get("until")]
        if not paused:
            raise ConflictError(f"in no maintenance pause: {', '.join(monitors)}")
        for name in paused:
            acts.unpause(name, actor=actor(), note=note, now=time.time())
        pauses = _pauses(installation, paused)
    _print(pauses, as_json=as_json)


@group.command("list", epilog=example("driftgate maintenance list"))
def list_pauses(config: Config = CONFIG, as_json: AsJson = False) -> None:
    """List the monitors that are paused."""
    with installed(config) as installation:
        pauses = _pauses(installation, [monitor.name for monitor in installation.settings.monitors])
    _print([pause for pause in pauses if pause.get("until")], as_json=as_json)


def _named(settings: Settings, monitor: str | None, team: str | None) -> Sequence[str]:
    if team is None:
        return [monitor_of(settings, monitor)]
    if monitor is not None:
        raise ConfigurationError("name a monitor or a team, not both")
    owned = [each.name for each in settings.monitors if each.team == team]
    if not owned:
        raise ConfigurationError(f"team {team!r:.80} owns no monitor")
    return owned


def _pauses(installation: Installation, monitors: Sequence[str]) -> list[dict[str, Any]]:
    return [{**(installation.store.status(name).get("maintenance") or {}), "monitor": name} for name in monitors]


def _print(pauses: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        from service.api.maintenance import PauseView  # noqa: PLC0415 - loads the web framework

        emit({"monitors": [PauseView.model_validate({"until": None, **pause}).model_dump(mode="json") for pause in pauses]})
    else:
        show(pause_list(pauses))
