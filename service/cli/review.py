"""`dataset review`: labels of a set that are probably wrong, sent to annotators or corrected from a file."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import typer

from service.cli.installed import CONFIG, AsJson, Config, MonitorName, installed, monitor_of
from service.cli.terminal import actor, bars, emit, example, show
from service.cli.views import view
from service.errors import InputError
from service.records import AnnotationBatch

if TYPE_CHECKING:
    from service.app import Installation
    from service.report.mislabelled import Mislabelled

app = typer.Typer()

_MOST_BYTES = 64_000_000

OfSet = Annotated[Literal["train", "golden"], typer.Option("--role", help="Whose labels.")]
Budget = Annotated[int, typer.Option("--budget", min=1, max=10_000, help="Rows that can be reviewed.")]
Send = Annotated[bool, typer.Option("--send", help="Ask annotators, who see neither the label nor what is thought of it.")]
File = Annotated[
    Path | None,
    typer.Option("--corrections", help='Lines of JSON with "id" and the right "label"; makes a version at once, without a review.'),
]
Done = Annotated[
    str | None, typer.Option("--batch", help="A closed review: makes its version now instead of at the controller's next look.")
]


class Line(msgspec.Struct):
    """A row's right label."""

    id: str
    label: str


@app.command("review", epilog=example("driftgate dataset review --role golden --monitor support-chat --budget 50 --send"))
def review(  # noqa: PLR0913, PLR0917 - options
    role: OfSet,
    config: Config = CONFIG,
    monitor: MonitorName = None,
    budget: Budget = 20,
    send: Send = False,
    corrections: File = None,
    batch: Done = None,
    as_json: AsJson = False,
) -> None:
    """List the labels most probably wrong, send them to review, or correct them; corrections make a new version that says why."""
    if sum((send, corrections is not None, batch is not None)) > 1:
        raise InputError("use", "one of --send, --corrections and --batch at a time")
    with installed(config) as installation:
        name = monitor_of(installation.settings, monitor)
        if corrections is not None:
            labels, now = _read(corrections), time.time()
            made = installation.reviews.correct(name, role, labels, source=corrections.name, actor=actor(), now=now)
            _show_published(asdict(made), as_json=as_json)
        elif batch is not None:
            _publish(installation, batch, as_json=as_json)
        else:
            _list_or_send(installation, name, role, budget, send=send, as_json=as_json)


def _list_or_send(
    installation: Installation, name: str, role: Literal["train", "golden"], budget: int, *, send: bool, as_json: bool
) -> None:
    from service.screens.mislabelled import errors_table  # noqa: PLC0415 - loads the detectors

    found = _suspects(installation, name, role, budget)
    if not send:
        document = {"monitor": name, "set": role, **asdict(found)}
        emit(document) if as_json else show(errors_table(document))
        return
    likely = [one for one in found.suspects if one.probability >= _WORTH]
    sent = installation.reviews.send(name, role, likely, now=time.time())
    if as_json:
        emit({"batch": view(sent)})
    else:
        show(f"batch {sent.id} asks about {len(sent.items):,} labels of the {role} set and is {sent.state}; its answers make a new version")


_WORTH = 0.1
"""Probability of being wrong from which a label is sent."""


def _suspects(installation: Installation, name: str, role: Literal["train", "golden"], budget: int) -> Mislabelled:
    from service.report.mislabelled import mislabelled  # noqa: PLC0415 - loads scipy's optimizers
    from service.report.parts import Missing  # noqa: PLC0415 - likewise

    with bars() as progress:
        found = mislabelled(installation.material(name, now=time.time(), progress=progress), role, budget)
    if isinstance(found, Missing):
        raise InputError("labels", f"monitor {name}: {found.what}: {found.why}; {found.remedy}")
    return found


def _publish(installation: Installation, batch: str, *, as_json: bool) -> None:
    made = installation.reviews.publish(installation.store.get(AnnotationBatch, batch), now=time.time())
    if made is None:
        show(f"batch {batch}: its corrections were published before; `driftgate dataset list` has the versions")
    else:
        _show_published(asdict(made), as_json=as_json)


def _show_published(document: Mapping[str, Any], *, as_json: bool) -> None:
    from service.screens.label_checks import published_screen  # noqa: PLC0415 - loads rich's tables

    if as_json:
        emit(document)
    else:
        show(published_screen(document))


def _read(file: Path) -> dict[str, str]:
    try:
        if file.stat().st_size > _MOST_BYTES:
            raise InputError("file", f"{file}: {file.stat().st_size:,} bytes, at most {_MOST_BYTES:,}; split it")
        lines = msgspec.json.Decoder(Line).decode_lines(file.read_bytes())
    except OSError as error:
        raise InputError("file", f"{file}: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise InputError("corrections", f'{file}: lines of JSON with "id" and "label" are needed: {error}') from error
    labels: dict[str, str] = {}
    for line in lines:
        if labels.setdefault(line.id, line.label) != line.label:
            raise InputError("corrections", f"{file}: {line.id!r} has two labels, {labels[line.id]!r} and {line.label!r}; keep one")
        if not line.label.strip():
            raise InputError("corrections", f"{file}: {line.id!r} has an empty label; leave the line out")
    if not labels:
        raise InputError("corrections", f"{file}: no lines; nothing to correct")
    return labels
