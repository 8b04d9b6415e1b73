"""`dataset draw`: a set to train on from a pool with noisy labels."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer
from rich.text import Text

from service.cli.installed import CONFIG, AsJson, Config, MonitorName, installed, monitor_of, samples_of
from service.cli.terminal import bars, emit, example, show
from service.errors import InputError
from service.screens.drawing import columns, count, excerpt, percent

if TYPE_CHECKING:
    from service.app import Installation
    from service.debug_train import DebugTrain, Failing

app = typer.Typer()

From = Annotated[str, typer.Option("--from", metavar="pool[:VERSION]", help="The pool set; by default the newest that has labels.")]
Count = Annotated[int, typer.Option("--count", min=1, max=100_000, help="Rows at most; fewer where fewer are sure.")]
Failures = Annotated[
    Path | None,
    typer.Option("--failures", metavar="FILE", help="Failures with their right labels; by default those the monitor knows."),
]
Output = Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write the rows as .jsonl, which `dataset add` takes.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="The same seed draws the same rows.")]

_SHOWN = 10


@app.command("draw", epilog=example("driftgate dataset draw --monitor support-chat --from pool --count 500 --output debug-train.jsonl"))
def draw(  # noqa: PLR0913, PLR0917 - the options of a command are its parameters
    source: From = "pool",
    rows: Count = 1_000,
    failures: Failures = None,
    output: Output = None,
    seed: Seed = 0,
    config: Config = CONFIG,
    monitor: MonitorName = None,
    as_json: AsJson = False,
) -> None:
    """Draw rows to train on that are like known failures, from a pool set whose labels are noisy; nobody is asked.

    Labels count as evidence: each row comes with the class believed, and with the probability that this is right.
    """
    from service.debug_train import DebugTraining, Wanted, document  # noqa: PLC0415 - loads scipy's optimizers, which other commands do without

    wanted = Wanted(rows, _version(source), seed)
    with installed(config) as installation, bars() as progress:
        name = monitor_of(installation.settings, monitor)
        known = installation.version(name)
        training = DebugTraining(
            name,
            installation.embedder(name).fingerprint,
            installation.data_sets,
            None if known is None else installation.references.load(name, known),
            tuple(installation.effective(name).classes),
        )
        found = training.draw(_failing(installation, name, failures), wanted, progress=lambda done: progress("weighing labels", done))
    lines = [document(row) for row in found.rows]
    if output is not None:
        _write(output, lines)
    if as_json:
        emit({"monitor": name, **_summary(found), **({"output": str(output)} if output else {"rows": lines})})
    else:
        _show(found, output)


def _version(source: str) -> int | None:
    matched = re.fullmatch(r"pool(?::([1-9]\d{0,8}))?", source)
    if matched is None:
        raise InputError("use", f"--from {source!r:.40}: pool or pool:VERSION; `driftgate dataset list --role pool` shows them")
    return int(matched[1]) if matched[1] else None


def _failing(installation: Installation, monitor: str, path: Path | None) -> Failing:
    from service.debug_train import Failing, failing_rows, failing_samples  # noqa: PLC0415 - as above
    from service.failures.rows import failure_rows  # noqa: PLC0415 - as above

    embedder = installation.embedder(monitor)
    if path is not None:
        return failing_samples(samples_of(installation, monitor, [path]), embedder)
    version = installation.version(monitor)
    if version is None:
        return Failing.none(embedder.dimension)
    return failing_rows(failure_rows(installation.store, installation.references.load(monitor, version), installation.effective(monitor)))


def _write(path: Path, lines: Iterable[dict[str, Any]]) -> None:
    try:
        path.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
    except OSError as error:
        raise InputError("output", f"--output {path}: can't be written: {error.strerror}") from error


def _summary(found: DebugTrain) -> dict[str, Any]:
    names = ("pool", "labelled", "unlabelled", "held_back", "failures", "noise", "noise_of", "notes")
    return {"drawn": len(found.rows), **{name: getattr(found, name) for name in names}}


def _show(found: DebugTrain, output: Path | None) -> None:
    show(
        f"{len(found.rows):,} rows of pool set {found.pool} ({found.labelled:,} with a label, about {percent(found.noise)} of them wrong), "
        f"by {found.failures:,} failure samples{f'; {found.held_back:,} too close to golden or challenge rows' if found.held_back else ''}"
    )
    table = columns("sample", "label", "in the pool", "right", "like failures", right=("right", "like failures"))
    for row in found.rows[:_SHOWN]:
        given = "" if row.label == row.sample.label else excerpt(row.sample.label or "", 30)
        table.add_row(Text(excerpt(row.sample.id, 40)), Text(excerpt(row.label, 30)), Text(given), percent(row.right), percent(row.failing))
    if found.rows:
        show(table)
    for note in found.notes:
        show(Text(note, "yellow"))
    if output is not None:
        show(f"written to {output}: {count(len(found.rows))} samples; train on them beside the training set")
    elif found.rows:
        show("nothing was written: name a file with --output")
