"""`dataset`: versioned sets of samples by role."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from service import golden
from service.cli.check import app as checking
from service.cli.draw import app as drawing
from service.cli.installed import CONFIG, AsJson, Config, MonitorName, MoreFiles, installed, monitor_of, rows_in, samples_of
from service.cli.mislabelled import app as mislabelled
from service.cli.review import app as reviewing
from service.cli.terminal import counter, emit, example, show
from service.datasets import DataSet, Difference, Role, difference
from service.errors import InputError
from service.growing import kept_as_given
from service.screens.drawing import columns, count
from service.settings import MonitorSettings

app = typer.Typer(no_args_is_help=True)
app.add_typer(checking)
app.add_typer(drawing)
app.add_typer(mislabelled)
app.add_typer(reviewing)

OfRole = Annotated[Role, typer.Option("--role", help="golden: must not regress; challenge: shows the drift; train; pool: labels optional.")]
Inputs = Annotated[list[Path] | None, typer.Option("--input", "-i", help="Samples as .jsonl, .npy or .parquet, with labels.")]


@app.command(epilog=example("driftgate dataset add --role golden --monitor support-chat --input golden.jsonl"))
def add(
    role: OfRole,
    inputs: Inputs = None,
    more: MoreFiles = None,
    config: Config = CONFIG,
    monitor: MonitorName = None,
    as_json: AsJson = False,
) -> None:
    """Publish the files' samples as the next version; golden rows are split into their three parts."""
    files = _named(inputs, more)
    with installed(config) as installation, counter(f"adding the {role} set", rows_in(files)) as progress:
        name = monitor_of(installation.settings, monitor)
        samples, embedder = samples_of(installation, name, files), installation.embedder(name)
        settings = installation.effective(name)
        made = installation.data_sets.add(name, role, samples, embedder, now=time.time(), classes=settings.classes, progress=progress)
    if as_json:
        emit(made.manifest)
    else:
        _show_made(settings, role, made)


@app.command("refill", epilog=example("driftgate dataset refill --monitor support-chat --input fresh.jsonl"))
def refill(
    inputs: Inputs = None,
    more: MoreFiles = None,
    config: Config = CONFIG,
    monitor: MonitorName = None,
    as_json: AsJson = False,
) -> None:
    """Add labelled samples, drawn at random, to golden's calibrate and verify parts; all other rows stay where they are."""
    files = _named(inputs, more)
    with installed(config) as installation:
        name = monitor_of(installation.settings, monitor)
        samples, settings = list(samples_of(installation, name, files)), installation.effective(name)
        made = golden.refill(installation.data_sets, settings, samples, installation.embedder(name), now=time.time())
    if made is None:
        raise InputError("no_golden", f"monitor {name}: no golden set to refill; `driftgate dataset add --role golden` makes one")
    if as_json:
        emit(made.manifest)
    else:
        _show_made(settings, "golden", made)


@app.command("list", epilog=example("driftgate dataset list --monitor support-chat --role golden"))
def list_versions(
    config: Config = CONFIG,
    monitor: MonitorName = None,
    role: Annotated[Role | None, typer.Option("--role", help="Only this role.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the monitor's data sets by role and version."""
    with installed(config) as installation:
        found = installation.data_sets.versions(monitor_of(installation.settings, monitor), role)
    if as_json:
        emit({"data_sets": found})
        return
    table = columns("role", "version", "rows", "labels", "made", right=("version", "rows"))
    for manifest in found:
        labels = f"{len(manifest['labels'])} classes" + (f", {manifest['unlabelled']} unlabelled" if manifest["unlabelled"] else "")
        table.add_row(manifest["role"], str(manifest["version"]), count(manifest["rows"]), labels, manifest["created"])
    show(table if found else "no data sets yet: `driftgate dataset add` makes one")


@app.command(epilog=example("driftgate dataset diff --role train --monitor support-chat --before 1 --after 2"))
def diff(
    role: OfRole,
    config: Config = CONFIG,
    monitor: MonitorName = None,
    before: Annotated[int | None, typer.Option(min=1, help="A version; by default the one before `--after`.")] = None,
    after: Annotated[int | None, typer.Option(min=1, help="A version; by default the newest.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show what changed between two versions: rows added, removed, changed and relabelled."""
    with installed(config) as installation:
        name, sets = monitor_of(installation.settings, monitor), installation.data_sets
        newer = sets.load(name, role, after)
        if before is None and newer.version == 1:
            raise InputError("use", f"monitor {name}: version 1 of the {role} set is the first; there is nothing to compare it with")
        older = sets.load(name, role, before or newer.version - 1)
    found = difference(older, newer)
    if as_json:
        emit({"role": role, "before": older.version, "after": newer.version, **asdict(found)})
    else:
        _show(f"{role} set {older.version} → {newer.version}", found)


def _named(inputs: list[Path] | None, more: list[Path] | None) -> list[Path]:
    files = [*(inputs or ()), *(more or ())]
    if not files:
        raise InputError("use", "name the samples: --input FILE")
    return files


def _show_made(settings: MonitorSettings, role: Role, made: DataSet) -> None:
    parts = ", ".join(f"{part} {rows}" for part, rows in made.manifest["parts"].items())
    show(f"monitor {settings.name}: {role} set {made.version} of {len(made.rows):,} rows{f' ({parts})' if parts else ''}")
    if note := kept_as_given(settings):
        show(note)


def _show(title: str, found: Difference) -> None:
    show(Text(title, "bold"))
    for what, ids in (("added", found.added), ("removed", found.removed), ("changed", found.changed), ("relabelled", found.relabelled)):
        listed = f": {', '.join(ids[:5])}{', …' if len(ids) > 5 else ''}" if ids else ""
        show(Text(f"{what:>11} {len(ids):>7,}{listed}"))
    table = columns("label", "before", "after", right=("before", "after"))
    for label, (old, new) in found.labels.items():
        if old != new:
            table.add_row(Text(label or "(none)"), count(old), count(new))
    if table.row_count:
        show(table)
