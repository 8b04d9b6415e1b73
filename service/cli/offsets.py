"""`offsets`: how far partitions are read, and a person's word on where to read on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.installed import CONFIG, AsJson, Config, installed
from service.cli.terminal import actor, emit, example, show, warn
from service.cli.views import position_view
from service.errors import ConfigurationError
from service.screens.offsets import offset_screen

if TYPE_CHECKING:
    from service.offsets import Offsets, Place

group = typer.Typer(no_args_is_help=True)


@group.callback()
def offsets() -> None:
    """Where the log is read on."""


@group.command("show", epilog=example("driftgate offsets show"))
def show_offsets(config: Config = CONFIG, as_json: AsJson = False) -> None:
    """Show how far each partition is read, what is left of it, and why it stands still."""
    with _opened(config) as known:
        documents = [_document(place) for place in known.shown()]
    if known.silent:
        warn(f"ends are not known: {known.silent}")
    if as_json:
        emit({"partitions": documents})
    else:
        show(offset_screen(documents))


@group.command(epilog=example("driftgate offsets reset --topic chats --partition 0 --to earliest"))
def reset(
    partition: Annotated[int, typer.Option("--partition", "-p", min=0, help="Its number.")],
    to: Annotated[str, typer.Option("--to", help="`earliest`, `latest`, an offset, or a time (RFC 3339).")],
    topic: Annotated[str | None, typer.Option("--topic", "-t", help="May be left out where only one is read.")] = None,
    config: Config = CONFIG,
    as_json: AsJson = False,
) -> None:
    """Say where a partition is read on; its worker takes it up anew, and every monitor that reads it keeps the change in its log.

    Going back counts samples twice, going forward leaves some out: both are for a partition that stands still, or by intent.
    """
    with _opened(config) as known:
        position = known.reset(topic or _only(known), partition, to, actor=actor(), now=time.time())
    if as_json:
        emit({"partition": str(position.partition), "offset": position.offset})
    else:
        show(f"partition {position.partition.number} of {position.partition.topic} is read on at offset {position.offset:,}")


@contextmanager
def _opened(config: Any) -> Iterator[Offsets]:
    from service.app import open_topics  # noqa: PLC0415 - loads the clients of brokers
    from service.offsets import Offsets, readers  # noqa: PLC0415 - loads the detectors

    with installed(config) as installation, open_topics(installation.settings) as topics:
        settings = installation.settings
        yield Offsets(installation.store, topics, readers(settings.monitors, settings.kafka))


def _only(known: Offsets) -> str:
    topics = known.topics()
    if len(topics) != 1:
        raise ConfigurationError(f"which topic? Read so far: {', '.join(topics) or 'none'}; name one with --topic")
    return topics[0]


def _document(place: Place) -> dict[str, Any]:
    return {**position_view(place.position), "end": place.end, "lag": place.lag, "absent": place.absent or None}
