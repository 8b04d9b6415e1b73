"""`openapi`: the API's document, for whoever makes a client of it."""

from __future__ import annotations

from importlib.metadata import version

import typer

from service.cli.terminal import emit, example

app = typer.Typer()


@app.command(epilog=example("driftgate openapi > openapi.json"))
def openapi() -> None:
    """Print the OpenAPI document of the HTTP API, as a server has it at /openapi.json."""
    from service.api import document  # noqa: PLC0415 - loads the web framework

    emit(document(version("driftgate")))
