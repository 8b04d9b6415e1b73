"""`audit`: who changed what."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice, takewhile
from typing import Annotated

import typer

from service.access.auditing import entries
from service.cli.installed import CONFIG, AsJson, Config, MonitorName, installed
from service.cli.terminal import emit, example, show
from service.screens.access import audit_list

app = typer.Typer()

Since = Annotated[datetime | None, typer.Option("--since", help="Only changes from then on, UTC.")]


@app.command(epilog=example("driftgate audit --who ana --since 2026-03-01"))
def audit(
    config: Config = CONFIG,
    monitor: MonitorName = None,
    who: Annotated[str | None, typer.Option("--who", help="Only changes of this token, person or account.")] = None,
    since: Since = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many, newest first.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Show who changed what: by API, console and command line."""
    begins = 0.0 if since is None else since.replace(tzinfo=UTC).timestamp()
    with installed(config) as installation:
        recent = takewhile(lambda entry: entry.created >= begins, entries(installation.store, monitor=monitor))
        found = list(islice((entry for entry in recent if who in (None, entry.who)), limit))
    if as_json:
        from service.api.audit import view  # noqa: PLC0415 - loads the web framework

        emit({"entries": [view(entry).model_dump(mode="json") for entry in found]})
    else:
        show(audit_list(found))
