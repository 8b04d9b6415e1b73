"""`report`: the blind spots of a monitor, or of all of them ranked by what needs doing first."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markdown import Markdown
from rich.table import Table
from rich.text import Text

from service.cli.installed import CONFIG, Config, MonitorName, installed, monitor_of
from service.cli.terminal import bars, example, out, show, warn
from service.errors import InputError
from service.report.ranking import PAGES, Line, line_of, ranked
from service.report.rendering import SUFFIXES, Format, render, render_ranking
from service.screens.drawing import columns, excerpt, percent, word

if TYPE_CHECKING:
    from service.app import Installation
    from service.report.material import Progress
    from service.report.parts import Report

app = typer.Typer()

All = Annotated[bool, typer.Option("--all", help="Every monitor, one after the other, and a table of what needs doing first.")]
InFormat = Annotated[Format | None, typer.Option("--format", help="By default by the output's name: Markdown, or HTML for a folder.")]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="A file; with --all a folder for an index and a page per monitor.")]
Sections = Annotated[list[str] | None, typer.Option("--section", help="Only this one; may be given several times.")]


@app.command(epilog=example("driftgate report --monitor support-chat --output report.html"))
def report(
    config: Config = CONFIG,
    monitor: MonitorName = None,
    every: All = False,
    form: InFormat = None,
    output: Output = None,
    section: Sections = None,
) -> None:
    """Look where nobody looks: drift, coverage, freshness, labels, quality, leakage and, where labels came back, how the model does."""
    if every and monitor is not None:
        raise InputError("use", "either --all or --monitor")
    chosen = form or _format_of(output, folder=every)
    with installed(config) as installation:
        if every:
            _all(installation, section or (), chosen, output)
        else:
            _one(installation, monitor_of(installation.settings, monitor), section or (), chosen, output)


def _format_of(output: Path | None, *, folder: bool) -> Format:
    named: dict[str, Format] = {suffix: form for form, suffix in SUFFIXES.items()}
    return named.get("" if output is None else output.suffix.lower(), "html" if folder and output is not None else "markdown")


def _one(installation: Installation, monitor: str, names: Sequence[str], form: Format, output: Path | None) -> None:
    with bars() as progress:
        text = render(_made(installation, monitor, names, steps=progress), form)
    if output is not None:
        _write(output, text)
        warn(f"monitor {monitor}: {output}")
    elif form == "markdown" and out.is_terminal:
        show(Markdown(text))
    else:
        typer.echo(text, nl=False)


def _all(installation: Installation, names: Sequence[str], form: Format, output: Path | None) -> None:
    """One monitor in memory at a time; the table at the end."""
    if form == "html" and output is None:
        raise InputError("use", "--all --format html writes a folder of pages: name it with --output")
    if output is not None and (output.suffix in SUFFIXES.values() or output.is_file()):
        raise InputError("use", f"--all writes a folder of pages: --output {output} names a file; leave out its ending")
    now = time.time()
    with bars() as progress:
        pages = (_made(installation, name, names, told=partial(progress, name)) for name in installation.names)
        lines = ranked(_paged(page, form, output) for page in pages)
    if output is not None:
        _write(output / f"index{SUFFIXES[form]}", render_ranking(lines, form, now=now))
        warn(f"{len(lines)} monitors: {output}")
    elif form == "json":
        typer.echo(render_ranking(lines, form, now=now), nl=False)
    else:
        show(_ranking(lines))


def _paged(page: Report, form: Format, output: Path | None) -> Line:
    if output is not None:
        _write(output / PAGES / f"{page.monitor}{SUFFIXES[form]}", render(page, form))
    return line_of(page)


def _made(
    installation: Installation,
    monitor: str,
    names: Sequence[str],
    *,
    steps: Progress = lambda *_: None,
    told: Callable[[float], None] = lambda _: None,
) -> Report:
    """Kept beside those that a server makes, where it is whole."""
    from service.report.making import make  # noqa: PLC0415 - loads the detectors

    page = make(installation.material(monitor, now=time.time(), progress=steps), names, told=told)
    if not names:
        installation.reports.add(page)
    return page


def _ranking(lines: Sequence[Line]) -> Table:
    table = columns("monitor", "urgency", "standing", "section", "do first", right=("urgency",))
    for line in lines:
        table.add_row(line.monitor, percent(line.urgency), word(line.standing), line.section, Text(excerpt(line.todo, 200)))
    return table


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError("output", f"--output {path}: can't be written: {error.strerror}") from error
