"""`demo`: the loop on generated messages."""

from __future__ import annotations

from typing import Annotated

import typer

from service.cli.terminal import example, out

app = typer.Typer()


@app.command(epilog=example("driftgate demo --exit"))
def demo(
    exit_when_done: Annotated[bool, typer.Option("--exit", help="End with the summary instead of staying up.")] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of the API; 0: a free one.")] = 8080,
) -> None:
    """Show the whole loop on a support chat that drifts: alarm, candidates, labels, a new model, its verification, the rebase."""
    from service.demo.run import run  # noqa: PLC0415 - loads everything

    raise typer.Exit(run(out, exit_when_done=exit_when_done, port=port))
