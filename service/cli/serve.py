"""`serve`: all roles in one process."""

from __future__ import annotations

import signal
from types import FrameType

import structlog
import typer

from service.cli.installed import CONFIG, Config
from service.cli.terminal import example
from service.logs import configure
from service.settings import load

app = typer.Typer()


@app.command(epilog=example("driftgate serve --config driftgate.yaml"))
def serve(config: Config = CONFIG) -> None:
    """Take samples in over HTTP, watch them, and drive the refresh cycles, until SIGTERM or Ctrl-C."""
    configure()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # while models load: what was started is stopped in order
    from service.app import served  # noqa: PLC0415 - loads the web framework and the inference runtime

    try:
        with served(load(config)) as serving:

            def stop(_signal: int, _frame: FrameType | None) -> None:
                serving.stop()

            # The server puts its own in their place while it runs and repeats the signal afterwards: then it asks for nothing new.
            signal.signal(signal.SIGTERM, stop)
            signal.signal(signal.SIGINT, stop)
            typer.echo(f"Listening on {serving.address}")
            structlog.get_logger().info("listening", address=serving.address)
            serving.run()
    except KeyboardInterrupt:
        typer.echo("stopped before it listened", err=True)
