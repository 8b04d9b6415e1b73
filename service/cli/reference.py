"""`reference`: versions of what the model is known to be good on."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from service.cli.installed import CONFIG, AsJson, Config, MonitorName, MoreFiles, installed, monitor_of, rows_in, samples_of
from service.cli.pooled import Span, pooled_rows
from service.cli.terminal import bars, emit, example, show
from service.datasets import Role
from service.errors import ArtefactError, InputError, NotFoundError
from service.promotion import shortfall
from service.reference import Origin, Progress, Reference
from service.reference_rows import ReferenceRows, embed_rows
from service.screens.differences import difference_screen
from service.screens.drawing import NONE, columns, count, moment
from service.screens.reference import learned, warned

if TYPE_CHECKING:
    from service.app import Installation

app = typer.Typer(no_args_is_help=True)

_ASKED = 8
"""Payloads that two embedders are asked for, to tell whether they are one."""

Manifest = Mapping[str, Any]
Inputs = Annotated[list[Path] | None, typer.Option("--input", "-i", help="Good samples as .jsonl, .npy or .parquet.")]
FromStream = Annotated[bool, typer.Option("--from-stream", help="From the recent samples that are kept; provisional until accepted.")]
First = Annotated[int | None, typer.Option("--first", min=1, help="With --from-stream: only the first so many of those kept.")]
Moment = Annotated[
    datetime | None, typer.Option(formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"], help="Of the recent samples; UTC.")
]
Version = Annotated[int, typer.Argument(help="The version; `driftgate reference list` has them.")]


@app.command(epilog=example("driftgate reference build --config driftgate.yaml --monitor support-chat --input good.jsonl"))
def build(  # noqa: PLR0913, PLR0917 - the options of a command are its parameters
    inputs: Inputs = None,
    more: MoreFiles = None,
    config: Config = CONFIG,
    monitor: MonitorName = None,
    from_stream: FromStream = False,
    first: First = None,
    since: Moment = None,
    until: Moment = None,
    as_json: AsJson = False,
) -> None:
    """Make the next version: from files it comes into force, from the stream it waits for `driftgate reference accept`."""
    paths = [*(inputs or ()), *(more or ())]
    if bool(paths) == from_stream:
        raise InputError("use", "name the samples: either --input FILE or --from-stream")
    if not from_stream and (first or since or until):
        raise InputError("use", "--first, --since and --until choose among the recent samples: they go with --from-stream")
    with installed(config) as installation, bars() as progress:
        name = monitor_of(installation.settings, monitor)
        if from_stream:
            span = Span(first, seconds(since), seconds(until))
            built = _publish(installation, name, pooled_rows(installation, name, span, progress), progress, provisional=True)
        else:
            built = _publish(installation, name, _file_rows(installation, name, paths, progress), progress, provisional=False)
    _report(built, as_json)


@app.command("list", epilog=example("driftgate reference list --monitor support-chat"))
def list_versions(config: Config = CONFIG, monitor: MonitorName = None, as_json: AsJson = False) -> None:
    """List the monitor's versions, oldest first."""
    with installed(config) as installation:
        found = installation.references.versions(monitor_of(installation.settings, monitor))
    if as_json:
        emit({"references": [{**manifest, "state": _state(manifest, found)} for manifest in found]})
        return
    table = columns("version", "state", "rows", "supports", "follows", "made", "from", "", right=("version", "rows", "supports"))
    for manifest in found:
        figures = (count(manifest["rows"]), count(manifest["supported_run_length"]))
        made = (manifest.get("profile", NONE), moment(manifest["created"]), Text(manifest["source"]))
        table.add_row(str(manifest["version"]), _state(manifest, found), *figures, *made, _remarks(manifest))
    show(table if found else "no reference yet: `driftgate reference build` makes one")


@app.command("show", epilog=example("driftgate reference show 2 --monitor support-chat"))
def show_version(version: Version, config: Config = CONFIG, monitor: MonitorName = None, as_json: AsJson = False) -> None:
    """Show a version's counts, thresholds and checksums, after holding its files against them."""
    with installed(config) as installation:
        name = monitor_of(installation.settings, monitor)
        manifest = installation.references.load(name, version).manifest
        found = installation.references.versions(name)
    state = next(_state(other, found) for other in found if other["version"] == version)
    if as_json:
        emit({**manifest, "state": state})
        return
    show(Text(f"reference {version} of {name}: {state}", "bold"))
    table = columns("", "")
    for key in ("rows", "dimension", "labelled", "supported_run_length", "resolvable_tolerance", "fingerprint", "source", "model"):
        table.add_row(key, Text(f"{manifest[key]}"))
    for name, says in learned(manifest):
        table.add_row(name, Text(says))
    table.add_row("thresholds", Text(", ".join(f"{int(length):,}: {value:.2f}" for length, value in manifest["thresholds"].items())))
    table.add_row("segments", Text("; ".join(f"{tag}: {', '.join(values)}" for tag, values in manifest["segments"].items())))
    show(table, *warned(manifest))


@app.command(epilog=example("driftgate reference accept 1 --monitor support-chat"))
def accept(version: Version, config: Config = CONFIG, monitor: MonitorName = None) -> None:
    """Bring a version into force, such as a provisional one that a person has looked at."""
    with installed(config) as installation:
        name = monitor_of(installation.settings, monitor)
        installation.bring_into_force(name, version)
    show(f"monitor {name}: reference {version} is in force; a running server takes it up")


@app.command(epilog=example("driftgate reference rebase --monitor support-chat --since 2026-03-01"))
def rebase(since: Moment = None, config: Config = CONFIG, monitor: MonitorName = None) -> None:
    """Make what came lately the new normal: a version from the recent samples, on the model in force, that counts at once."""
    with installed(config) as installation, bars() as progress:
        name = monitor_of(installation.settings, monitor)
        built = installation.promotion.rebase(name, since=seconds(since) or 0.0, now=time.time(), progress=progress)
        short = shortfall(built, installation.effective(name), installation.store.status(name))
    show(f"monitor {name}: reference {built.version} of {len(built.rows):,} recent samples is in force; a running server takes it up")
    if short:
        show(short)


@app.command(epilog=example("driftgate reference rollback --monitor support-chat"))
def rollback(config: Config = CONFIG, monitor: MonitorName = None) -> None:
    """Go back to the version that was in force before, and with it to its embedder; `driftgate reference accept` goes to any."""
    with installed(config) as installation:
        name = monitor_of(installation.settings, monitor)
        active = installation.version(name)
        before = _before(installation, name, active)
        if before is None:
            raise NotFoundError(f"monitor {name}: no reference version before {active or 'the first'} to go back to")
        model = installation.references.model(name)
        installation.bring_into_force(name, before)
        left = installation.references.model(name) != model
    show(f"monitor {name}: back on reference {before}, from {active}; a running server takes it up")
    if left:
        show("its model is no longer what driftgate goes by; `driftgate refresh revert` asks production for the model before, too")


@app.command(epilog=example("driftgate reference diff 1 2 --monitor support-chat"))
def diff(
    before: Version,
    after: Annotated[int | None, typer.Argument(help="The later version; by default the one in force.")] = None,
    config: Config = CONFIG,
    monitor: MonitorName = None,
    as_json: AsJson = False,
) -> None:
    """Compare two versions: rows, segments, the masses of clusters, embedder, thresholds."""
    from service.reference_differences import difference  # noqa: PLC0415 - loads the detectors

    with installed(config) as installation:
        name = monitor_of(installation.settings, monitor)
        versions = [installation.references.load(name, version) for version in (before, after)]
        found = difference(*versions, same_embedder=_same_embedder(installation, *versions)).document()
    if as_json:
        emit(found)
    else:
        show(difference_screen(found))


def _before(installation: Installation, name: str, active: int | None) -> int | None:
    """The newest version below the one in force that has been in force; where nobody remembers, that waits for nobody."""
    known = installation.declarations.brought_into_force(name)
    versions = installation.references.versions(name)
    older = [made for made in versions if active is not None and made["version"] < active]
    been = [made for made in older if made["version"] in known or not made["provisional"]]
    return max((int(made["version"]) for made in been), default=None)


def _same_embedder(installation: Installation, before: Reference, after: Reference) -> bool:
    """A new head makes another model of the same embedder: then both are asked."""
    from service.reference_differences import alike  # noqa: PLC0415 - loads the detectors

    if before.fingerprint == after.fingerprint:
        return True
    name = before.monitor
    role: Role = "golden" if installation.data_sets.versions(name, "golden") else "train"
    try:
        one, other = (installation.load(installation.made_with(name, reference.version).embedder) for reference in (before, after))
        tried = [sample.payload for sample in installation.data_sets.load(name, role).samples[:_ASKED]]
    except (ArtefactError, NotFoundError):
        return False
    return alike(one, other, tried)


def _file_rows(installation: Installation, name: str, paths: Sequence[Path], progress: Progress) -> ReferenceRows:
    total = rows_in(paths)

    def embedding(done: int) -> None:
        progress("embedding", min(done / total, 1.0) if total else 0.0)

    progress("loading the embedder", 0.0)
    embedder = installation.embedder(name)
    return embed_rows(samples_of(installation, name, paths), embedder, classes=installation.effective(name).classes, progress=embedding)


def _publish(installation: Installation, name: str, rows: ReferenceRows, progress: Progress, *, provisional: bool) -> Reference:
    """The model in force stays in force: a promoted one belongs to the references made with it."""
    model, classes = installation.references.model(name)
    source = "recent samples" if provisional else "files"
    origin = Origin(installation.embedder(name).fingerprint, time.time(), source, provisional, model, classes)
    return installation.references.build(installation.effective(name), rows, origin, progress=progress)


def _report(built: Reference, as_json: bool) -> None:
    if as_json:
        emit(built.manifest)
        return
    supported, rows = built.manifest["supported_run_length"], built.manifest["rows"]
    show(f"monitor {built.monitor}: reference {built.version} of {rows:,} rows, supports a false alarm in {supported:,.0f} samples")
    for name, says in learned(built.manifest):
        show(Text(f"  {name}: {says}"))
    show(*warned(built.manifest))
    if built.manifest["provisional"]:
        show(f"provisional: `driftgate reference accept {built.version} --monitor {built.monitor}` brings it into force")


def _remarks(manifest: Manifest) -> str:
    warnings = len(manifest.get("warnings", ()))
    return "" if not warnings else f"{warnings} warning{'s' if warnings > 1 else ''}"


def _state(manifest: Manifest, versions: Sequence[Manifest]) -> str:
    active = next((other["version"] for other in versions if other["active"]), 0)
    if manifest["active"]:
        return "in force"
    return "provisional" if manifest["provisional"] and manifest["version"] > active else "kept"


def seconds(moment: datetime | None) -> float | None:
    """Since the epoch; UTC where it names no zone."""
    if moment is None:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
