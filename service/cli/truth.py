"""`truth`: what turned out to be right, from files."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from service.cli.installed import CONFIG, AsJson, Config, MonitorName, MoreFiles, installed, monitor_of, rows_in
from service.cli.terminal import counter, emit, example, show
from service.errors import InputError
from service.observe import Silent
from service.screens.truth import delivery_screen, truth_screen

if TYPE_CHECKING:
    from service.app import Installation
    from service.truth.taking import Receipt

group = typer.Typer(no_args_is_help=True)

_AT_ONCE = 10_000


@group.callback()
def truth() -> None:
    """Labels that come after the answers that they judge."""


@group.command(epilog=example("driftgate truth add --monitor support-chat --input labels.jsonl"))
def add(
    inputs: Annotated[list[Path], typer.Option("--input", "-i", help='Labels as .jsonl: {"id", "label"}, with `time` where known.')],
    more: MoreFiles = None,
    config: Config = CONFIG,
    monitor: MonitorName = None,
    as_json: AsJson = False,
) -> None:
    """Take labels for samples that the model has answered; importing a file again changes nothing.

    They count in the order of their samples' times. Exit code 1 where none of them found an answer.
    """
    paths = [*inputs, *(more or ())]
    with installed(config) as installation:
        name = monitor_of(installation.settings, monitor)
        receipt = _taken(installation, name, paths)
        if not receipt.counts:
            raise InputError(
                "empty", f'{", ".join(map(str, paths))}: no labels in it; one JSON object per line: {{"id": ..., "label": ...}}'
            )
        figures = installation.store.status(name).get("truth")
    if as_json:
        emit({"counts": receipt.counts, "named": receipt.named, "truth": figures})
    else:
        show(delivery_screen({fate.value: n for fate, n in receipt.counts.items()}, [(each.id, each.message) for each in receipt.named]))
    if sum(receipt.counts.values()) == receipt.refused:
        raise typer.Exit(1)


@group.command("show", epilog=example("driftgate truth show --monitor support-chat"))
def show_truth(config: Config = CONFIG, monitor: MonitorName = None, as_json: AsJson = False) -> None:
    """Show how often the model was wrong, among the answers whose labels have come."""
    with installed(config) as installation:
        name = monitor_of(installation.settings, monitor)
        figures = installation.store.status(name).get("truth")
    if as_json:
        emit({"monitor": name, "truth": figures})
    else:
        show(truth_screen(name, figures))


def _taken(installation: Installation, monitor: str, paths: Sequence[Path]) -> Receipt:
    """All labels of the files, told in the log and decided."""
    from service.truth.deliveries import Labels  # noqa: PLC0415 - loads what decodes samples
    from service.truth.taking import Receipt  # noqa: PLC0415 - as above
    from service.truth.telling import tell  # noqa: PLC0415 - as above

    now, receipt, done, told = time.time(), Receipt({}), 0, None
    labels = Labels(installation.store, installation.effective, Silent())
    with counter("taking labels", rows_in(paths), of="labels") as progress:
        lines = (line for path in paths for line in _lines(path) if line[1].strip())
        while some := list(islice(lines, _AT_ONCE)):
            receipt = receipt.plus(labels.take(monitor, some, now=now))
            told = tell(installation.store, monitor, now=now) or told  # at once: what is told may make room
            done += len(some)
            progress(done)
    if told is not None and installation.version(monitor) is not None:
        installation.decide(monitor, told.sequence)
    if receipt.kept:
        installation.failures.gather(monitor, now=now)
    return receipt


def _lines(path: Path) -> Iterator[tuple[str, bytes]]:
    """Each with where it stands."""
    try:
        with path.open("rb") as file:
            for number, line in enumerate(iter(lambda: _line(file), b""), start=1):
                yield f"{path.name}, line {number}", line
    except OSError as error:
        raise InputError("file", f"{path}: {error.strerror}") from error


def _line(file: BinaryIO) -> bytes:
    """The next one; of one that is too long only so much that it is seen to be."""
    from service.truth.deliveries import LONGEST_LABEL  # noqa: PLC0415 - loads what decodes samples

    line = rest = file.readline(LONGEST_LABEL + 1)
    while rest and not rest.endswith(b"\n"):
        rest = file.readline(LONGEST_LABEL)
    return line
