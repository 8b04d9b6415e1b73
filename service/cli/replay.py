"""`replay`: files through the same engine as production, offline."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer
from rich.console import Group, RenderableType
from rich.text import Text

from service import screens
from service.cli.installed import CONFIG, AsJson, Config, MonitorName, MoreFiles, installed, monitor_of, rows_in
from service.cli.terminal import counter, emit, example, show
from service.errors import InputError
from service.observe import Silent
from service.records import Alarm, Candidate
from service.replay import MOST_LETTERS, open_alarms, report
from service.replay import replay as run_through
from service.worker import Worker

if TYPE_CHECKING:
    from service.app import Installation

app = typer.Typer()


@dataclass(frozen=True, slots=True)
class Found:
    """What a replay came to; `strongest` is the open alarm that the candidates are for."""

    report: Mapping[str, Any]
    alarms: Sequence[Alarm]
    strongest: Alarm | None
    candidates: Sequence[Candidate]


@app.command(
    epilog=example("driftgate replay --config driftgate.yaml --monitor support-chat --input last-month.jsonl --report report.json")
)
def replay(
    inputs: Annotated[list[Path], typer.Option("--input", "-i", help="Samples as .jsonl, .npy or .parquet, in order of time.")],
    more: MoreFiles = None,
    config: Config = CONFIG,
    monitor: MonitorName = None,
    report_to: Annotated[Path | None, typer.Option("--report", help="Write what was found as JSON.")] = None,
    as_json: AsJson = False,
) -> None:
    """Run samples through the monitor offline: which alarms they would have raised, and which would have gone to annotators.

    Nothing is kept: neither the installation's state nor its references change.
    """
    with installed(config, in_memory=True) as installation:
        found = _replayed(installation, monitor_of(installation.settings, monitor), [*inputs, *(more or ())])
    if report_to is not None:
        _write(report_to, found.report)
    if as_json:
        emit(found.report)
    else:
        show(_screen(found))


def _replayed(installation: Installation, monitor: str, paths: Sequence[Path]) -> Found:
    store = installation.store
    source = installation.files(monitor, paths)
    controller = installation.controller_for(monitor, following=False)
    worker = Worker(source, store, {monitor: installation.watched(monitor)}, Silent())
    with counter(f"replaying {monitor}", rows_in(paths)) as progress:
        run_through(worker, controller, source, store, progress=progress)
    still_open = open_alarms(store, monitor)
    candidates = installation.refresher.candidates(still_open[0]) if still_open else ()
    alarms = sorted(store.find(Alarm, monitor=monitor, limit=MOST_LETTERS), key=lambda alarm: alarm.at_sequence)
    untimed = controller.streams.times.untimed if controller is not None else 0
    found = {**report(store, monitor, candidates), "untimed": untimed}
    return Found(found, alarms, still_open[0] if still_open else None, candidates)


def _write(path: Path, found: Mapping[str, Any]) -> None:
    try:
        path.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n")
    except OSError as error:
        raise InputError("file", f"{path}: the report can't be written there ({error.strerror})") from error


def _screen(found: Found) -> RenderableType:
    letters = Counter(letter["reason"] for letter in found.report["dead_letters"])
    unusable = ", ".join(f"{reason} {count:,}" for reason, count in letters.most_common()) or "none"
    parts: list[RenderableType] = [Text(f"{found.report['samples']:,} samples taken; dead letters: {unusable}")]
    if found.report["untimed"]:
        said = f"{found.report['untimed']:,} samples came at no known hour, which the reference goes by: they were counted, not weighed"
        parts.append(Text(f"{said}; give each its `time`", "yellow"))
    if len(found.alarms) != 1 or found.strongest is None:
        parts.append(screens.alarm_list(found.alarms, now=max((alarm.opened for alarm in found.alarms), default=0.0)))
    if found.strongest is not None:
        parts.append(screens.alarm_explanation(found.strongest, candidates=found.candidates))
    return Group(*parts)
