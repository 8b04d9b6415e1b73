"""`status`: every monitor on one screen, read from the store, with a running server or without."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import typer
from rich.text import Text

from detectors.model import rows_needed
from service import screens
from service.cli.installed import CONFIG, AsJson, Config, MonitorName, installed, monitors_of
from service.cli.terminal import emit, example, show
from service.records import WHOLE
from service.streams import MonitorStreams, describe_status

if TYPE_CHECKING:
    from service.app import Installation

app = typer.Typer()
_LETTERS = 100_000


@app.command(epilog=example("driftgate status --config driftgate.yaml"))
def status(config: Config = CONFIG, monitor: MonitorName = None, as_json: AsJson = False) -> None:
    """Show every monitor: its state, its evidence, open alarms, how fast it would see drift, and what is still missing."""
    with installed(config) as installation:
        documents = [standing(installation, name) for name in monitors_of(installation.settings, monitor)]
    if as_json:
        emit({"monitors": documents})
        return
    show(screens.status_screen(documents))
    for document in documents:
        if "remedy" in document:
            show(Text(f"{document['monitor']}: {document['remedy']}"))


def standing(installation: Installation, monitor: str) -> Mapping[str, Any]:
    """The monitor as `GET /v1/monitors/{monitor}` gives it, and before the first decision what it waits for."""
    store = installation.store
    undecided = [pane for pane in store.open_panes(monitor) if pane.key.segment == WHOLE]
    return {
        "monitor": monitor,
        **_figures(installation, monitor),
        "samples": store.samples_taken(monitor),
        "undecided": {"panes": len(undecided), "samples": sum(pane.summary.count for pane in undecided)},
        "dead_letters": Counter(letter.rejected.reason for letter in store.dead_letters(monitor=monitor, limit=_LETTERS)),
    }


def _figures(installation: Installation, monitor: str) -> Mapping[str, Any]:
    """Of the last decision; where the reference in force has decided nothing yet, of a monitor that starts with it."""
    version = installation.version(monitor)
    if version is None:
        return _without_reference(installation, monitor)
    decided = installation.store.status(monitor)
    if decided.get("reference_version") == version:
        return decided
    return describe_status(MonitorStreams(installation.effective(monitor), installation.references.load(monitor)))


def _without_reference(installation: Installation, monitor: str) -> Mapping[str, Any]:
    """How many samples are still missing for a reference from the stream, and how fast they come."""
    settings = installation.settings.monitor(monitor)
    kept = installation.store.pool(monitor, limit=settings.pool.rows)
    span = kept[-1].time - kept[0].time if kept else 0.0
    missing = max(rows_needed(settings.detection.run_length) - len(kept), 0)
    provisional = installation.references.versions(monitor)
    if provisional:
        remedy = (
            f"reference {provisional[-1]['version']} waits: `driftgate reference accept {provisional[-1]['version']} --monitor {monitor}`"
        )
    elif missing:
        remedy = (
            f"no reference yet: `driftgate reference build --monitor {monitor} --input FILE`, or --from-stream when enough samples are in"
        )
    else:
        remedy = f"no reference yet, and samples enough for one: `driftgate reference build --monitor {monitor} --from-stream`"
    return {
        "state": "warming up",
        "missing_samples": missing,
        "traffic_per_second": (len(kept) - 1) / span if span > 0 else None,
        "remedy": remedy,
    }
