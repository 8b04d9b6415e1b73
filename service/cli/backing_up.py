"""`backup`, `restore`: a copy of all that an installation keeps, and its way back."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from service.cli.installed import CONFIG, AsJson, Config
from service.cli.terminal import counter, emit, example, show
from service.settings import load

app = typer.Typer()


@app.command(epilog=example("driftgate backup --output /backups/2026-11-22"))
def backup(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="A new folder.")],
    redis_dump: Annotated[Path | None, typer.Option("--redis-dump", help="What `redis-cli --rdb FILE` wrote just before.")] = None,
    config: Config = CONFIG,
    as_json: AsJson = False,
) -> None:
    """Copy state and all that belongs to it into a new folder, with checksums, while driftgate works. It holds secrets and samples."""
    from service.app import back_up  # noqa: PLC0415 - loads the web framework

    with counter("copying", None, of="bytes") as copied:
        made = back_up(load(config), output, now=time.time(), dump=redis_dump, copied=copied)
    _tell(made, "copied to", as_json)


@app.command(epilog=example("driftgate restore --input /backups/2026-11-22"))
def restore(
    source: Annotated[Path, typer.Option("--input", "-i", metavar="DIR", help="What `driftgate backup` wrote.")],
    config: Config = CONFIG,
    as_json: AsJson = False,
) -> None:
    """Put a backup back into the configuration's directory, where nothing is; every file is held against its checksum before.

    Where the state was in Redis, start a Redis from the backup's redis.rdb first: docs/backup.md has the order.
    """
    from service.app import restore as put_back  # noqa: PLC0415 - loads the web framework

    settings = load(config)
    with counter("putting back", None, of="bytes") as copied:
        made = put_back(settings, source, copied=copied)
    _tell(made, "put back from", as_json)


def _tell(made: Any, what: str, as_json: bool) -> None:
    files = len(made.manifest["files"])
    if as_json:
        emit({"folder": str(made.folder), "files": files, "bytes": made.bytes, "made": made.manifest["made"]})
    else:
        show(f"{files:,} files, {made.bytes / 1e6:,.1f} MB, {what} {made.folder}, as of {made.manifest['made']}")
