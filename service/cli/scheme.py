"""`scheme`: by which words annotators answer, version by version."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from service.cli.installed import CONFIG, AsJson, Config, MonitorName, Note, installed, monitor_of, operations
from service.cli.refresh import carry_on
from service.cli.terminal import actor, emit, example, show

if TYPE_CHECKING:
    from service.records import LabelScheme

group = typer.Typer(no_args_is_help=True)

ClassName = Annotated[str, typer.Argument(metavar="CLASS", help="A class of the scheme.")]
After = Annotated[int | None, typer.Option("--after", min=0, help="Refuse the change unless this version is in force.")]


@group.callback()
def scheme() -> None:
    """By which words annotators answer: classes, their aliases and guidelines. Every change is a version of its own."""


@group.command("show", epilog=example("driftgate scheme show --monitor support-chat --yaml > scheme.yaml"))
def show_scheme(
    config: Config = CONFIG,
    monitor: MonitorName = None,
    version: Annotated[int | None, typer.Option("--version", min=1, help="A version; the one in force by default.")] = None,
    as_yaml: Annotated[bool, typer.Option("--yaml", help="As a file to edit and apply.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show the scheme that annotators answer by; before anybody wrote one it follows from the monitor's classes."""
    from service.annotation import schemes  # noqa: PLC0415 - loads the detectors
    from service.annotation.scheme_files import as_yaml as written_out  # noqa: PLC0415 - as above
    from service.annotation.screen import scheme_screen  # noqa: PLC0415 - as above

    with installed(config) as installation:
        settings = installation.effective(monitor_of(installation.settings, monitor))
        kept = None if version is None else schemes.version(installation.store, settings.name, version)
        found = kept or schemes.in_force(installation.store, settings, now=time.time())
        unheard = schemes.unheard(found, settings.labels)
    if as_yaml:
        typer.echo(written_out(found), nl=False)
    elif as_json:
        emit(msgspec.to_builtins(found))
    else:
        show(scheme_screen(found, unheard))


@group.command("list", epilog=example("driftgate scheme list --monitor support-chat"))
def list_versions(config: Config = CONFIG, monitor: MonitorName = None, as_json: AsJson = False) -> None:
    """List the versions of a monitor's scheme, newest first."""
    from service.annotation.schemes import versions  # noqa: PLC0415 - loads the detectors
    from service.annotation.screen import schemes_table  # noqa: PLC0415 - as above

    with installed(config) as installation:
        kept = versions(installation.store, monitor_of(installation.settings, monitor))
    newest_first = sorted(kept, key=lambda each: -each.number)
    if as_json:
        emit({"versions": msgspec.to_builtins(newest_first)})
    else:
        show(schemes_table(newest_first))


@group.command(epilog=example("driftgate scheme diff 1 2 --monitor support-chat"))
def diff(
    old: Annotated[int, typer.Argument(min=1, help="The version before.")],
    new: Annotated[int, typer.Argument(min=1, help="The version after.")],
    config: Config = CONFIG,
    monitor: MonitorName = None,
    as_json: AsJson = False,
) -> None:
    """Show what a version changes: classes that came, went or are called otherwise, aliases and guidelines."""
    from service.annotation.scheme import difference  # noqa: PLC0415 - loads the detectors
    from service.annotation.schemes import version  # noqa: PLC0415 - as above
    from service.annotation.screen import change_screen  # noqa: PLC0415 - as above

    with installed(config) as installation:
        name = monitor_of(installation.settings, monitor)
        before, after = (version(installation.store, name, number) for number in (old, new))
    change = difference(before, after)
    if as_json:
        emit(msgspec.to_builtins(change))
    else:
        show(change_screen(before, after, change))


@group.command("apply", epilog=example("driftgate scheme apply scheme.yaml --monitor support-chat --after 3"))
def apply_file(
    file: Annotated[Path, typer.Argument(help="YAML or JSON with `classes`, `guideline`, and `renamed` (former name: name).")],
    config: Config = CONFIG,
    monitor: MonitorName = None,
    after: After = None,
    as_json: AsJson = False,
) -> None:
    """Write the next version from a file; the same content makes none."""
    from service.annotation.scheme import written  # noqa: PLC0415 - loads the detectors
    from service.annotation.scheme_files import read_draft  # noqa: PLC0415 - as above

    draft = read_draft(file)
    _edit(config, monitor, after, as_json, lambda before, now: written(before, before.monitor, draft, actor=actor(), now=now))


@group.command(epilog=example("driftgate scheme add 'lost card' --alias 'card gone' --guideline 'the card and not its PIN'"))
def add(  # noqa: PLR0913, PLR0917 - the options of a command are its parameters
    name: Annotated[str, typer.Argument(metavar="CLASS", help="What the model is to call it.")],
    config: Config = CONFIG,
    monitor: MonitorName = None,
    alias: Annotated[list[str] | None, typer.Option("--alias", help="A word that annotators use for it; may be repeated.")] = None,
    guideline: Annotated[str, typer.Option("--guideline", help="How to tell it from the others.")] = "",
    note: Note = "",
    after: After = None,
    as_json: AsJson = False,
) -> None:
    """Add a class. Answers that proposed it count from then on."""
    from service.annotation.scheme import added  # noqa: PLC0415 - loads the detectors
    from service.records import SchemeClass  # noqa: PLC0415 - as above

    new = SchemeClass(name, tuple(alias or ()), guideline)
    _edit(config, monitor, after, as_json, lambda before, now: added(before, new, actor=actor(), now=now, note=note))


@group.command(epilog=example("driftgate scheme rename refund reimbursement --monitor support-chat"))
def rename(  # noqa: PLR0913, PLR0917 - the options of a command are its parameters
    name: ClassName,
    to: Annotated[str, typer.Argument(metavar="NAME", help="What it is called from now on.")],
    config: Config = CONFIG,
    monitor: MonitorName = None,
    note: Note = "",
    after: After = None,
    as_json: AsJson = False,
) -> None:
    """Call a class otherwise; its labels follow when data sets are published."""
    from service.annotation.scheme import renamed  # noqa: PLC0415 - loads the detectors

    _edit(config, monitor, after, as_json, lambda before, now: renamed(before, name, to, actor=actor(), now=now, note=note))


@group.command(epilog=example("driftgate scheme merge 'card stolen' 'card blocked' --into 'card lost'"))
def merge(  # noqa: PLR0913, PLR0917 - the options of a command are its parameters
    names: Annotated[list[str], typer.Argument(metavar="CLASS...", help="Classes that become part of another one.")],
    into: Annotated[str, typer.Option("--into", help="The class that they become part of; a new one is added first.")],
    config: Config = CONFIG,
    monitor: MonitorName = None,
    note: Note = "",
    after: After = None,
    as_json: AsJson = False,
) -> None:
    """Make several classes one; this can't be taken back, as labels no longer tell them apart."""
    from service.annotation.scheme import merged  # noqa: PLC0415 - loads the detectors

    _edit(config, monitor, after, as_json, lambda before, now: merged(before, names, into, actor=actor(), now=now, note=note))


def _edit(config: Path, monitor: str | None, after: int | None, as_json: bool, change: Callable[[LabelScheme, float], LabelScheme]) -> None:
    from service.annotation.screen import scheme_screen  # noqa: PLC0415 - loads the detectors

    now = time.time()
    with installed(config) as installation:
        name = monitor_of(installation.settings, monitor)
        made = operations(installation).edit_scheme(name, lambda before: change(before, now), after=after, now=now)
        carry_on(installation)
    if as_json:
        emit(msgspec.to_builtins(made))
    else:
        show(scheme_screen(made))
