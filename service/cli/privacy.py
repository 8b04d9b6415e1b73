"""`forget`: what leaves an installation for good."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from service.cli.installed import CONFIG, AsJson, Config, installed, monitor_of
from service.cli.terminal import actor, emit, example, show
from service.screens.privacy import forgotten_screen

app = typer.Typer()


@app.command(epilog=example("driftgate forget --sample order-4711 --monitor support-chat"))
def forget(
    sample: Annotated[str, typer.Option("--sample", help="Its id.")],
    config: Config = CONFIG,
    monitor: Annotated[str | None, typer.Option("--monitor", "-m", help="Of which monitor; without one, of all.")] = None,
    as_json: AsJson = False,
) -> None:
    """Take a sample out of everything that is kept; have annotators delete it; never take it again. It may be repeated."""
    from service.privacy.forgetting import OUTSIDE  # noqa: PLC0415 - loads the detectors

    with installed(config) as installation:
        names = [monitor_of(installation.settings, monitor)] if monitor else list(installation.names)
        done = installation.forgetting.forget(sample, names, actor=actor(), now=time.time())
    erasures = [{"monitor": each.monitor, "erased": dict(each.erased), "asked": list(each.asked)} for each in done]
    document = {"sample": sample, "erasures": erasures, "outside": list(OUTSIDE)}
    if as_json:
        emit(document)
    else:
        show(forgotten_screen(document))
