"""`dataset check`: sets looked over before anything is built on them, from files or as a monitor has them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from service.checking import KINDS, Check, Likeness, Outcome, Rows, check, limits_of, of_set, readable, rows_of, worst
from service.cli.installed import CONFIG, AsJson, Config, MonitorName, installed, monitor_of
from service.cli.terminal import bars, emit, example, show
from service.datasets import ROLES, Role
from service.decoding.options import SampleOptions
from service.errors import NotFoundError
from service.screens.checking import check_table

if TYPE_CHECKING:
    from service.app import Installation

app = typer.Typer()

_BATCH = 256

Progress = Callable[[str, float], None]
Files = list[Path] | None
Train = Annotated[
    Files, typer.Option("--train", help="What the model is or will be trained on: .jsonl, .npy or .parquet; may be repeated.")
]
Golden = Annotated[Files, typer.Option("--golden", help="What must not regress.")]
Challenge = Annotated[Files, typer.Option("--challenge", help="What shows the drift.")]
Pool = Annotated[Files, typer.Option("--pool", help="Rows without labels.")]
Classes = Annotated[str, typer.Option(metavar="NAME,…", help="The labels that there may be; a monitor's `classes` by default.")]
Limits = Annotated[
    list[str] | None,
    typer.Option("--limit", metavar="CHECK=[WARN:]FAIL", help="Move a limit, like near_shared=0.01:0.05; may be repeated."),
]
Strict = Annotated[bool, typer.Option("--strict", help="End with 1 on warnings too.")]


@app.command("check", epilog=example("driftgate dataset check --train train.jsonl --golden golden.jsonl"))
def check_sets(  # noqa: PLR0913, PLR0917 - the options of a command are its parameters
    train: Train = None,
    golden: Golden = None,
    challenge: Challenge = None,
    pool: Pool = None,
    config: Config = CONFIG,
    monitor: MonitorName = None,
    classes: Classes = "",
    limit: Limits = None,
    strict: Strict = False,
    as_json: AsJson = False,
) -> None:
    """Look sets over: what is missing, repeated, contradicted, rare, garbled, or in training and in a test at once.

    Files need neither a configuration nor a model; with --monitor its model embeds them, which adds clusters. Without files the monitor's
    own sets are checked. Ends with 1 if a check fails.
    """
    limits = limits_of(limit or ())
    files = {role: paths for role, paths in zip(ROLES, (train, golden, challenge, pool), strict=True) if paths}
    scheme = [name.strip() for name in classes.split(",") if name.strip()]
    with bars() as progress:
        if files and monitor is None:
            sets = list(_from_files(files))
        else:
            sets, declared = _of_monitor(config, monitor, files, progress)
            scheme = scheme or declared
        found = check(sets, Likeness(progress=progress), classes=scheme, limits=limits)
    document = _document(sets, found)
    if as_json:
        emit(document)
    else:
        show(check_table(document))
    failing = {Outcome.FAIL, Outcome.WARN} if strict else {Outcome.FAIL}
    raise typer.Exit(int(worst(found) in failing))


def _from_files(files: Mapping[Role, Sequence[Path]]) -> Iterator[Rows]:
    """Taken as they are: nothing is known of a monitor."""
    from service.app import read_samples  # noqa: PLC0415 - loads the web framework

    for role, paths in files.items():
        yield rows_of(role, read_samples(paths, "", SampleOptions(check=readable)))


def _of_monitor(
    config: Path, monitor: str | None, files: Mapping[Role, Sequence[Path]], progress: Progress
) -> tuple[list[Rows], list[str]]:
    """The files as the monitor's model embeds them, or its own sets; and its classes."""
    with installed(config, in_memory=True) as installation:
        name = monitor_of(installation.settings, monitor)
        if files:
            sets = [_embedded(installation, name, role, paths, progress) for role, paths in files.items()]
        else:
            sets = list(_registered(installation, name))
        return sets, list(installation.effective(name).classes)


def _embedded(installation: Installation, monitor: str, role: Role, paths: Sequence[Path], progress: Progress) -> Rows:
    source, embedder = installation.files(monitor, paths), installation.embedder(monitor)
    rows = rows_of(role, (record for batch in iter(lambda: source.poll(_BATCH, 0.0), ()) for record in batch))
    parts = []
    for start in range(0, len(rows), _BATCH):
        progress(f"embedding {role}", start / len(rows))
        parts.append(embedder.embed([sample.payload for sample in rows.samples[start : start + _BATCH]]).embedding)
    return replace(rows, embeddings=np.concatenate(parts) if parts else None, fingerprint=embedder.fingerprint)


def _registered(installation: Installation, monitor: str) -> Iterator[Rows]:
    """The newest version of each role; NotFoundError without any."""
    roles = [role for role in ROLES if installation.data_sets.versions(monitor, role)]
    if not roles:
        raise NotFoundError(
            f"monitor {monitor}: no data sets; name files to check (--train FILE), or make sets with `driftgate dataset add`"
        )
    for role in roles:
        yield of_set(role, installation.data_sets.load(monitor, role))


def _document(sets: Sequence[Rows], found: Sequence[Check]) -> dict[str, Any]:
    checks = [_view(each) for each in found]
    return {"outcome": worst(found), "sets": {rows.name: len(rows) for rows in sets}, "checks": checks}


def _view(found: Check) -> dict[str, Any]:
    """A limit that is never reached is null."""
    limits = {name: value if math.isfinite(value) else None for name, value in (("warn", found.limit.warn), ("fail", found.limit.fail))}
    kind = KINDS[found.kind]
    told = {"title": kind.title, "unit": "count" if kind.counted else "share", "outcome": found.outcome, "todo": found.todo}
    return {
        "check": found.kind,
        "about": found.about,
        "value": found.value,
        **limits,
        "says": found.says,
        "examples": found.examples,
        "pairs": found.pairs,
        **told,
    }
