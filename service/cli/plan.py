"""`plan`: what a promise about the next model takes."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.installed import CONFIG, AsJson, Config, MonitorName, installed, monitor_of
from service.cli.terminal import emit, example, show
from service.records import RefreshCycle
from service.screens.planning import plan_screen

if TYPE_CHECKING:
    from service.planning import Plan
    from service.ports import Store

app = typer.Typer()
_CYCLES = 100
_ALPHA = 0.01


@app.command(epilog=example("driftgate plan --monitor support-chat --alpha 0.01 --segments locale=de,locale=en"))
def plan(  # noqa: PLR0913, PLR0917 - the options of a command are its parameters
    alpha: Annotated[
        float | None, typer.Option("--alpha", help="Largest share that may break behind a switch; .01, or the monitor's.")
    ] = None,
    delta: Annotated[
        float | None, typer.Option("--delta", help="How likely a promise fails; by default 1 - the monitor's confidence.")
    ] = None,
    margin: Annotated[float, typer.Option("--margin", help="Difference in challenge accuracy that is to be seen.")] = 0.1,
    segments: Annotated[str, typer.Option("--segments", metavar="TAG=VALUE,…", help="Segments to have enough rows of.")] = "",
    config: Config = CONFIG,
    monitor: MonitorName = None,
    as_json: AsJson = False,
) -> None:
    """Show how many golden and challenge rows a promise needs, how many there are, and what the missing ones cost."""
    from service.planning import Asked  # noqa: PLC0415 - loads the detectors
    from service.planning import plan as planned  # noqa: PLC0415 - as above

    with installed(config) as installation:
        settings = installation.effective(monitor_of(installation.settings, monitor))
        asked = Asked(
            (settings.refresh.max_negative_flips or _ALPHA) if alpha is None else alpha,
            round(1 - settings.refresh.confidence, 6) if delta is None else delta,
            margin,
            tuple(dict.fromkeys(name.strip() for name in segments.split(",") if name.strip())),
        )
        found = planned(installation.store, installation.data_sets, settings, asked, flips=_last_flips(installation.store, settings.name))
    document = _document(found)
    if as_json:
        emit(document)
    else:
        show(plan_screen(document))


def _last_flips(store: Store, monitor: str) -> float | None:
    """Share of the challenge rows on which only one of the models was right when one was verified last."""
    for cycle in store.find(RefreshCycle, monitor=monitor, limit=_CYCLES):
        told = (cycle.verification or {}).get("challenge")
        if told:
            return float(told["negative_flips"] + told["positive_flips"]) / float(told["rows"])
    return None


def _document(found: Plan) -> dict[str, Any]:
    needs = [{**asdict(need), "missing": need.missing} for need in found.needs]
    return {**asdict(found), "needs": needs, "labels": found.golden_labels + found.challenge_labels, "cost": found.cost}
