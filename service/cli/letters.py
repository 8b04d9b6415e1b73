"""`dlq` and `outbox`: what could not be used, and what must still leave."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from service.cli.installed import CONFIG, AsJson, Config, MonitorName, installed, monitor_of, operations
from service.cli.terminal import actor, emit, example, show
from service.cli.views import view, views
from service.decoding.legible import legible
from service.errors import InputError
from service.records import OutboxItem
from service.screens.drawing import columns, excerpt, moment, word
from service.screens.letters import dead_letter_list, dead_letter_screen

if TYPE_CHECKING:
    from service.app import Installation
    from service.ports import Sink

dead = typer.Typer(no_args_is_help=True)
outbox = typer.Typer(no_args_is_help=True)

_MOST = 10_000

Limit = Annotated[int, typer.Option(min=1, max=1000, help="At most so many, newest first.")]


LetterId = Annotated[str, typer.Argument(metavar="LETTER", help="Its id; `driftgate dlq list --json` has it.")]


class State(StrEnum):
    """Of an outbox item."""

    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"
    DROPPED = "dropped"


@dead.callback()
def letters() -> None:
    """Samples that could not be used."""


@dead.command("list", epilog=example("driftgate dlq list --monitor support-chat"))
def list_dead(config: Config = CONFIG, monitor: MonitorName = None, limit: Limit = 50, as_json: AsJson = False) -> None:
    """List dead letters with their reasons, newest first."""
    with installed(config) as installation:
        name = None if monitor is None else monitor_of(installation.settings, monitor)
        found = installation.store.dead_letters(monitor=name, limit=limit)
    if as_json:
        emit({"dead_letters": views(found)})
    else:
        show(dead_letter_list(found, read=legible, limit=limit))


@dead.command("show", epilog=example("driftgate dlq show 5b0d6c1f0a7e4c21"))
def show_dead(letter: LetterId, config: Config = CONFIG, as_json: AsJson = False) -> None:
    """Show a dead letter, with what is kept of the original."""
    with installed(config) as installation:
        found = installation.store.dead_letter(letter)
    if as_json:
        emit(view(found))
    else:
        show(dead_letter_screen(found, read=legible))


@dead.command("replay", epilog=example("driftgate dlq replay 5b0d6c1f0a7e4c21"))
def replay_dead(
    letters: Annotated[list[str], typer.Argument(metavar="LETTER...", help="Their ids; `driftgate dlq list` has them.")],
    config: Config = CONFIG,
    as_json: AsJson = False,
) -> None:
    """Send dead letters again, once what was wrong is mended; samples that were counted already are recognised by their ids.

    One from a topic goes there as it was; one that came over HTTP goes to the log behind it.
    """
    from service.app import alone, open_logs, open_topics  # noqa: PLC0415 - loads the clients of brokers
    from service.replaying import replay as send_again  # noqa: PLC0415 - as above

    with installed(config) as installation, open_topics(installation.settings) as topics, ExitStack() as stack:
        settings = installation.settings

        @cache
        def sink() -> Sink:
            if settings.kafka is None:  # a running server gives the embedded log's offsets away
                stack.enter_context(alone(settings.directory))
            return stack.enter_context(open_logs(settings)).sink()

        found = [installation.store.dead_letter(letter) for letter in letters]
        sent = [{"id": letter.id, "to": send_again(letter, topics, sink, now=time.time())} for letter in found]
    if as_json:
        emit({"replayed": sent})
    else:
        show(*(f"{each['id']} went to {each['to']}\n" for each in sent))


@outbox.command("list", epilog=example("driftgate outbox list --state dead"))
def list_items(
    config: Config = CONFIG,
    state: Annotated[State | None, typer.Option(help="Only these.")] = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """List what was or must be sent, newest first."""
    with installed(config) as installation:
        items = installation.store.outbox(states=[state] if state else [], limit=limit)
    if as_json:
        emit({"items": views(items)})
        return
    table = columns("item", "what, and where to", "state", "attempts", "due")
    for item in items:
        what = Text(f"{item.kind} to {item.destination}" + (f"\n{excerpt(item.error, 200)}" if item.error else ""))
        table.add_row(item.id, what, word(item.state), str(item.attempts), moment(item.due))
    show(table if items else "nothing in the outbox")


@outbox.command(epilog=example("driftgate outbox replay --destination vendor"))
def replay(
    item: Annotated[str | None, typer.Argument(metavar="[ITEM]", help="The dead item's id.")] = None,
    destination: Annotated[
        str | None, typer.Option(help="All dead items of this destination; for one that is disabled, the way back.")
    ] = None,
    config: Config = CONFIG,
    as_json: AsJson = False,
) -> None:
    """Make dead items due again, under their old ids; a running server sends them."""
    if (item is None) == (destination is None):
        raise InputError("item", "say which: an item's id, or --destination for all that are dead there")
    with installed(config) as installation:
        names = [item] if item else [each.id for each in _dead(installation) if each.destination == destination]
        again = [operations(installation).replay(name, actor=actor(), now=time.time()) for name in names]
    if as_json:
        emit(view(again[0]) if item else {"items": views(again)})
    else:
        show(*(f"{each.id}: {each.kind} to {each.destination} is due again\n" for each in again), "" if again else "nothing is dead there")


def _dead(installation: Installation) -> Sequence[OutboxItem]:
    return installation.store.outbox(states=[State.DEAD], limit=_MOST)
