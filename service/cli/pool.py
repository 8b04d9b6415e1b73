"""`pool`: what a monitor keeps of its stream, and pools from files beside it."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.installed import CONFIG, AsJson, Config, MonitorName, MoreFiles, installed, monitor_of, rows_in, samples_of
from service.cli.terminal import counter, emit, example, show
from service.errors import InputError
from service.screens.drawing import percent

if TYPE_CHECKING:
    from service.app import Installation
    from service.datasets import DataSet

group = typer.Typer(no_args_is_help=True)

_NEW = 0.95
"""Novelty percentile from which a row of a file is told as new."""
_TOLD = ("version", "rows", "unlabelled", "created")
"""Of a pool set's manifest."""


@group.callback()
def pool() -> None:
    """Samples to choose candidates from."""


@group.command("show", epilog=example("driftgate pool show --monitor support-chat"))
def show_pool(config: Config = CONFIG, monitor: MonitorName = None, as_json: AsJson = False) -> None:
    """Show what there is to choose from: recent samples, the reserve by its parts, and pool sets from files."""
    from service.pools import pool_figures  # noqa: PLC0415 - loads what reserves samples
    from service.screens.pool import pool_screen  # noqa: PLC0415 - as above

    with installed(config) as installation:
        name = monitor_of(installation.settings, monitor)
        figures = pool_figures(installation.store, name, installation.effective(name).pool)
        recent = len(installation.store.pool(name))
        sets = [{key: each[key] for key in _TOLD} for each in installation.data_sets.versions(name, "pool")]
    if as_json:
        from service.api.pool import view  # noqa: PLC0415 - loads the web framework

        emit({**view(figures).model_dump(mode="json"), "recent": recent, "sets": sets})
    else:
        show(pool_screen({**asdict(figures), "recent": recent, "sets": sets}))


@group.command("import", epilog=example("driftgate pool import --monitor support-chat --input unlabelled.jsonl"))
def import_pool(
    inputs: Annotated[
        list[Path] | None, typer.Option("--input", "-i", help="Samples as .jsonl, .npy or .parquet; labels optional.")
    ] = None,
    more: MoreFiles = None,
    config: Config = CONFIG,
    monitor: MonitorName = None,
    as_json: AsJson = False,
) -> None:
    """Publish files as the monitor's next pool set, beside what its stream brings, and tell how new it is."""
    files = [*(inputs or ()), *(more or ())]
    if not files:
        raise InputError("use", "name the samples: --input FILE")
    from service.growing import kept_as_given  # noqa: PLC0415 - loads the detectors

    with installed(config) as installation, counter("adding the pool set", rows_in(files)) as progress:
        name = monitor_of(installation.settings, monitor)
        samples, embedder = samples_of(installation, name, files), installation.embedder(name)
        settings = installation.effective(name)
        made = installation.data_sets.add(name, "pool", samples, embedder, now=time.time(), classes=settings.classes, progress=progress)
        novelty = _novelty(installation, name, made)
    if as_json:
        emit({**made.manifest, "novelty": novelty})
        return
    show(f"monitor {name}: pool set {made.version} of {len(made.rows):,} rows")
    if note := kept_as_given(settings):
        show(note)
    if novelty is None:
        show("how new it is can't be said before there is a reference: driftgate reference build makes one")
    else:
        new, median = percent(novelty["new"]), percent(novelty["median"])
        show(f"{new} of them are newer than {percent(_NEW)} of the reference's own rows; half are newer than {median} of them")


def _novelty(installation: Installation, monitor: str, made: DataSet) -> dict[str, Any] | None:
    """Of the set's rows against the reference in force; None without one."""
    import numpy as np  # noqa: PLC0415 - slow to load

    if installation.references.active(monitor) is None:
        return None
    reference = installation.references.load(monitor)
    found = reference.summarizer.describe(made.embeddings).novelty
    return {"reference": reference.version, "median": float(np.median(found)), "new": float((found >= _NEW).mean())}
