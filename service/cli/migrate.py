"""`migrate`: leads what an older driftgate wrote up to this one."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.installed import CONFIG, AsJson, Config
from service.cli.terminal import emit, example, show, warn
from service.screens.upgrading import survey_screen
from service.settings import load

if TYPE_CHECKING:
    from service.app import Survey

app = typer.Typer()


@app.command(epilog=example("driftgate migrate --check"))
def migrate(
    check: Annotated[bool, typer.Option("--check", help="Only say what there is to do.")] = False,
    wait: Annotated[float, typer.Option("--wait", min=0.0, metavar="SECONDS", help="How long older processes may take to end.")] = 0.0,
    config: Config = CONFIG,
    as_json: AsJson = False,
) -> None:
    """Lead state that an older driftgate wrote up to this one, once no older process runs; exit code 1 if something is left to do.

    Until then this version works on it as it is, beside the one before. There is no way back but a backup.
    """
    from service import app as installation  # noqa: PLC0415 - loads the web framework

    settings = load(config)
    found = installation.survey(settings) if check else installation.migrate(settings, wait=wait, told=_told)
    document = _document(found)
    if as_json:
        emit(document)
    else:
        show(survey_screen(document))
    raise typer.Exit(0 if found.finished else 1)


def _told(part: str, level: int) -> None:
    warn(f"{part}: to level {level} …")


def _document(found: Survey) -> dict[str, Any]:
    parts = [
        {"part": part.name, "level": part.level, "newest": part.newest, "works": part.works, "pending": part.pending}
        for part in found.parts
    ]
    older = [process.name for process in found.older]
    return {
        "finished": found.finished,
        "says": _says(found),
        "parts": parts,
        "processes": [asdict(process) for process in found.processes],
        "older": older,
    }


def _says(found: Survey) -> str:
    from service.app import named  # noqa: PLC0415 - loads the web framework

    unfit = ", ".join(part.name for part in found.parts if part.unfit)
    if unfit:
        remedy = "run the version that wrote it, or restore what was backed up before"
        return f"{unfit}: this program can't work on it, and there is no way back; {remedy}"
    if found.finished:
        return "up to date"
    if found.older:
        return f"older processes still run: {named(found.older)}; this version works beside them; once they are gone: `driftgate migrate`"
    return "no older process runs: `driftgate migrate` leads it up"
