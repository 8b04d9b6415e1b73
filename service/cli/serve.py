"""`serve`, and each role by itself: `worker`, `controller`, `api`."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import structlog
import typer

from service.cli.installed import CONFIG, Config
from service.cli.terminal import example
from service.logs import configure, keep_recent
from service.settings import load

if TYPE_CHECKING:
    from service.app import Serving

app = typer.Typer()

KILLED = 1
"""Exit code of a process that was told twice, or that did not get done within the grace: its work goes on elsewhere as after a crash."""

log = structlog.get_logger()


@app.command(epilog=example("driftgate serve --config driftgate.yaml"))
def serve(config: Config = CONFIG) -> None:
    """Take samples in, watch them, and drive the refresh cycles: all roles in one process, until SIGTERM or Ctrl-C."""
    _run(config, "ALL")


@app.command(epilog=example("driftgate worker --config driftgate.yaml"))
def worker(config: Config = CONFIG) -> None:
    """Read samples from Kafka, embed them and fold them into panes; any number share the partitions."""
    _run(config, "WORKER")


@app.command(epilog=example("driftgate controller --config driftgate.yaml"))
def controller(config: Config = CONFIG) -> None:
    """Decide on the panes and do what follows: one leads, the others stand by and take over when it is gone."""
    _run(config, "CONTROLLER")


@app.command(epilog=example("driftgate api --config driftgate.yaml"))
def api(config: Config = CONFIG) -> None:
    """Take samples in over HTTP, for the workers to read, and answer questions; any number, all alike."""
    _run(config, "API")


def _run(config: Path, role: str) -> None:
    configure()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # while models load: what was started is stopped in order
    from service.app import Roles, served  # noqa: PLC0415 - loads the web framework and the inference runtime

    settings = load(config)
    keep_recent(settings.directory / "logs", f"{role.lower()}-{socket.gethostname()}", now=time.time())
    try:
        with served(settings, config=config, roles=Roles[role]) as serving:
            _heed_signals(serving, settings.roles.grace_seconds)
            typer.echo(f"Listening on {serving.address}")
            if Roles.API in Roles[role]:
                typer.echo(f"The console is at {settings.server.public_url or serving.address}/console")
            log.info("listening", address=serving.address, roles=role.lower())
            serving.run()
    except KeyboardInterrupt:
        typer.echo("stopped before it listened", err=True)


def _heed_signals(serving: Serving, grace: float) -> None:
    """The first one ends what is in hand, within the grace; the second ends the process where it stands, which is as safe as a crash."""

    def stop(_signal: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, now)
        signal.signal(signal.SIGINT, now)
        patience = threading.Timer(grace, lambda: os._exit(KILLED))
        patience.daemon = True
        patience.start()
        serving.stop()

    def now(_signal: int, _frame: FrameType | None) -> None:
        os._exit(KILLED)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
