"""`init` and `config`: the configuration file before anything runs."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from service.cli.installed import CONFIG, AsJson, Config
from service.cli.terminal import emit, example
from service.errors import ConfigurationError
from service.settings import Settings, load

app = typer.Typer()
group = typer.Typer(no_args_is_help=True)


@app.command(epilog=example("driftgate init driftgate.yaml"))
def init(path: Annotated[Path, typer.Argument(help="Where to write it.")] = CONFIG) -> None:
    """Write a commented configuration; a file that is there is left alone."""
    text = files("service.cli").joinpath("driftgate.yaml").read_text(encoding="utf-8")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise ConfigurationError(f"{path} exists and is left as it is; name another file, or remove it first") from error
    except OSError as error:
        raise ConfigurationError(f"{path} can't be written: {error.strerror}") from error
    typer.echo(
        f"wrote {path}. Next:\n"
        f"  driftgate model build minilm --output {path.parent / 'models/minilm/model.onnx'}\n"
        f"  driftgate reference build --config {path} --input good.jsonl\n"
        f"  driftgate serve --config {path}"
    )


@group.command(epilog=example("driftgate config schema > driftgate.schema.json"))
def schema() -> None:
    """Print the configuration's JSON schema, for editors."""
    emit(Settings.model_json_schema())


@group.command(epilog=example("driftgate config check --config driftgate.yaml"))
def check(config: Config = CONFIG, as_json: AsJson = False) -> None:
    """Read and validate the configuration: every mistake with its field, value and remedy."""
    settings = load(config)
    names = [monitor.name for monitor in settings.monitors]
    if as_json:
        emit({"valid": True, "monitors": names, "directory": str(settings.directory)})
    else:
        typer.echo(f"{config}: valid; monitors: {', '.join(names) or 'none'}; state in {settings.directory}")
