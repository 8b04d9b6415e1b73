"""`compare`: one look at two sets of samples with classical tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.installed import CONFIG, AsJson, Config, MonitorName, MoreFiles, installed, monitor_of, rows_in
from service.cli.terminal import bars, counter, emit, example, show
from service.comparing import LEVEL, NAMES, Comparison, Side, chosen_tests, compare_sides, read_side, reference_side
from service.screens.comparing import CAUTION, comparison_table
from service.watched import WatchedMonitor

if TYPE_CHECKING:
    from service.app import Installation

app = typer.Typer()
REFERENCE = "reference"

Against = Annotated[str, typer.Option(metavar="reference|FILE", help="What to hold it against: the reference in force, or another file.")]
Tests = Annotated[str, typer.Option(metavar="NAME,…|all", help=f"Which: {', '.join(NAMES)}.")]
By = Annotated[str | None, typer.Option("--by", metavar="TAG", help="Also each value of this tag, against the same value there.")]


@app.command(epilog=example("driftgate compare --monitor support-chat --input last-week.jsonl --against reference --tests ks,mmd"))
def compare(  # noqa: PLR0913, PLR0917 - the options of a command are its parameters
    inputs: Annotated[list[Path], typer.Option("--input", "-i", help="Samples as .jsonl, .npy or .parquet.")],
    more: MoreFiles = None,
    against: Against = REFERENCE,
    tests: Tests = "all",
    by: By = None,
    config: Config = CONFIG,
    monitor: MonitorName = None,
    as_json: AsJson = False,
) -> None:
    """Ask once, with classical two-sample tests, whether samples differ from the reference or from another file.

    For reports and questions, not for watching: repeated on every window such a test raises false alarms without end.
    """
    with installed(config, in_memory=True) as installation:
        name = monitor_of(installation.settings, monitor)
        before, window = _sides(installation, name, [*inputs, *(more or ())], against)
        seed = installation.effective(name).detection.seed
    chosen = chosen_tests(tests, before, window)
    with bars() as progress:
        found = compare_sides(before, window, tests=chosen, by=by, seed=seed, progress=lambda done: progress("testing", done))
    document = _document(found, name, against, {"input": window.unusable, "against": before.unusable})
    if as_json:
        emit(document)
    else:
        show(comparison_table(document))


def _sides(installation: Installation, name: str, paths: Sequence[Path], against: str) -> tuple[Side, Side]:
    """What it is held against, and the input."""
    reference = installation.references.load(name) if against == REFERENCE else None
    monitor = WatchedMonitor(installation.effective(name), installation.embedder(name), reference)
    window = _read(installation, monitor, paths)
    return _read(installation, monitor, [Path(against)]) if reference is None else reference_side(reference.rows), window


def _read(installation: Installation, monitor: WatchedMonitor, paths: Sequence[Path]) -> Side:
    name = monitor.settings.name
    with counter(f"embedding {paths[0].name}", rows_in(paths)) as progress:
        return read_side(installation.files(name, paths), monitor, progress=progress)


def _document(found: Comparison, monitor: str, against: str, unusable: Mapping[str, int]) -> dict[str, Any]:
    tests = [
        {
            "segment": tested.segment,
            "test": tested.test,
            **asdict(tested.result),
            "adjusted_p_value": tested.adjusted,
            "differs": tested.differs,
        }
        for tested in found.tested
    ]
    return {
        "monitor": monitor,
        "against": against,
        "level": LEVEL,
        "tests": tests,
        "left_out": found.left_out,
        "unusable": unusable,
        "caution": CAUTION,
    }
