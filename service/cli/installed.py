"""What most commands start from: the configuration, its installation, one of its monitors, and samples in files."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer.main import get_current_context  # type: ignore[attr-defined]  # typer has no other name for it

from service.access.acting import Acting, acting
from service.access.auditing import note, settle_up
from service.cli.terminal import actor
from service.errors import ConfigurationError, InputError
from service.records import Item, Record, Rejected, Sample
from service.records.erasure import forgotten_id
from service.settings import Settings, load

if TYPE_CHECKING:
    from service.app import Installation
    from service.operations import Operations

Config = Annotated[Path, typer.Option("--config", "-c", envvar="DRIFTGATE_CONFIG", help="The configuration file.")]
MonitorName = Annotated[str | None, typer.Option("--monitor", "-m", help="The monitor; may be left out where there is only one.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Note = Annotated[str, typer.Option("--note", help="Kept in the history.")]
MoreFiles = Annotated[list[Path] | None, typer.Argument(metavar="[FILE]...", help="Further input files, so that `--input *.jsonl` works.")]
CONFIG = Path("driftgate.yaml")

_WRITES = frozenset(
    {
        "backfill run",
        "dataset add",
        "dataset refill",
        "dlq replay",
        "forget",
        "pool import",
        "reference build",
        "reference rebase",
        "truth add",
    }
)
"""Commands that change what is no entity of the store: the log of changes names them."""

_LINES = frozenset({".jsonl", ".ndjson"})


@contextmanager
def installed(config: Path, *, in_memory: bool = False) -> Iterator[Installation]:
    """The configuration's installation, beside a running server or without one."""
    from service.app import opened  # noqa: PLC0415 - loads the web framework and the inference runtime

    with opened(load(config), config=config, in_memory=in_memory) as installation, acting(_acting()) as by:
        try:
            yield installation
        finally:
            settle_up(installation.store, by, now=time.time())
        if by.operation() in _WRITES and not by.recorded:
            note(installation.store, by, now=time.time())


def _acting() -> Acting:
    """Who types, and what."""
    context = get_current_context(silent=True)
    command = "" if context is None else context.command_path.partition(" ")[2]
    return Acting(actor(), "cli", lambda: command, address=socket.gethostname())


def operations(installation: Installation) -> Operations:
    """The acts of people, decided by the controller that leads; where none does, by one made on the spot."""
    from service.operations import Operations  # noqa: PLC0415 - loads the detectors

    return Operations(installation.store, installation.refresher, installation, installation.decide, affords=installation.money.require)


def monitor_of(settings: Settings, name: str | None) -> str:
    """The monitor's name; without one the only monitor there is."""
    if name is None and len(settings.monitors) != 1:
        declared = ", ".join(monitor.name for monitor in settings.monitors) or "none"
        raise ConfigurationError(f"which monitor? Declared: {declared}; name one with --monitor")
    return settings.monitor(name).name if name is not None else settings.monitors[0].name


def monitors_of(settings: Settings, name: str | None) -> Sequence[str]:
    """The named monitor; without a name all of them."""
    return [monitor_of(settings, name)] if name is not None else [monitor.name for monitor in settings.monitors]


def samples_of(installation: Installation, monitor: str, paths: Sequence[Path]) -> Iterator[Sample]:
    """The files' samples, without any that was forgotten. InputError names the first line that can't be used: what is built on them is
    made with care."""
    source, forgotten = installation.files(monitor, paths), installation.store.forgotten()
    while not source.ended:
        for record in source.poll(512, 0.0):
            found = (good(record, item) for item in record.items)
            yield from (sample for sample in found if not forgotten or forgotten_id(monitor, sample.id) not in forgotten)


def good(record: Record, item: Item) -> Sample:
    """The sample; InputError says which line holds none."""
    if isinstance(item, Sample):
        return item
    where = f"{record.partition.topic}, line {record.offset + 1}"
    why = (item.reason, item.message) if isinstance(item, Rejected) else ("file", "not a sample")
    raise InputError(why[0], f"{where}: {why[1]}; mend or remove it")


def rows_in(paths: Sequence[Path]) -> int | None:
    """How many samples the files hold, where counting lines tells."""
    if not all(path.suffix.lower() in _LINES and path.is_file() for path in paths):
        return None
    return sum(_lines(path) for path in paths)


def _lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b""))
