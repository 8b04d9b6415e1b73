"""`doctor`: whether everything is in order, and what to do where it is not."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer
from rich.text import Text

from service.cli.checks import Finding, Level, examine
from service.cli.installed import CONFIG, AsJson, Config
from service.cli.terminal import emit, example, show

app = typer.Typer()

_STYLES = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "bold red"}


@app.command(epilog=example("driftgate doctor --config driftgate.yaml"))
def doctor(
    config: Config = CONFIG,
    as_json: AsJson = False,
    exit_zero: Annotated[bool, typer.Option("--exit-zero", help="Exit code 0 whatever is found: to look, and go on.")] = False,
) -> None:
    """Check configuration, store, models, references, destinations and server; exit code 1 if a check failed."""
    findings = examine(config)
    if as_json:
        emit({"findings": [asdict(finding) for finding in findings]})
    else:
        for finding in findings:
            show(_line(finding))
    raise typer.Exit(1 if any(finding.level is Level.FAIL for finding in findings) and not exit_zero else 0)


def _line(finding: Finding) -> Text:
    remedy = f"\n      → {finding.remedy}" if finding.remedy else ""
    return Text.assemble((f"{finding.level:<5}", _STYLES[finding.level]), f" {finding.subject}: {finding.says}{remedy}")
