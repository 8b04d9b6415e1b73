"""`demo`: the loop on generated messages, and what a trial of a whole installation needs of them."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import typer

from service.cli.installed import CONFIG, Config
from service.cli.terminal import bars, err, example, out, show, warn
from service.settings import load

group = typer.Typer(invoke_without_command=True)

_CHAT = "support-chat"

Chat = Annotated[str, typer.Option("--monitor", "-m", help="The monitor of the support chat.")]
Way = Annotated[Literal["kafka", "http"], typer.Option("--to", help="Into the monitor's topic, or to `POST …/samples`.")]
Url = Annotated[str, typer.Option("--url", help="Of the server that takes samples over HTTP.")]
TokenFile = Annotated[Path | None, typer.Option("--token-file", help="File with the token that server asks for.")]
Rate = Annotated[float, typer.Option("--rate", min=0.01, max=10_000, help="Messages a second.")]
DriftAfter = Annotated[
    float,
    typer.Option("--drift-after", min=0, max=1e9, help="Seconds of ordinary traffic, after which a product launch and a bad week come."),
]
Count = Annotated[int | None, typer.Option("--count", min=1, help="End after so many messages; by default at SIGTERM or Ctrl-C.")]
Seed = Annotated[int | None, typer.Option("--seed", help="For the same messages again; by default others each time.")]


@group.callback(epilog=example("driftgate demo --exit"))
def demo(
    context: typer.Context,
    exit_when_done: Annotated[bool, typer.Option("--exit", help="End with the summary instead of staying up.")] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of the API; 0: a free one.")] = 8080,
) -> None:
    """Show the whole loop on a support chat that drifts: alarm, candidates, labels, a new model, its verification, the rebase."""
    if context.invoked_subcommand is not None:
        return
    from service.demo.run import run  # noqa: PLC0415 - loads everything

    raise typer.Exit(run(out, exit_when_done=exit_when_done, port=port))


@group.command("secrets", epilog=example("driftgate demo secrets --config driftgate.yaml"))
def make(
    config: Config = CONFIG,
    redis_acl: Annotated[
        Path | None, typer.Option("--redis-acl", help="Also an ACL file for Redis, with the configured user alone.")
    ] = None,
    also: Annotated[list[Path] | None, typer.Option("--also", help="A further file with a secret; may be given several times.")] = None,
) -> None:
    """Write the tokens and passwords whose files the configuration names, each of 256 random bits; files that are there stay."""
    from service.demo.keys import make_secrets  # noqa: PLC0415 - loads the web framework

    made = make_secrets(load(config), redis_acl=redis_acl, others=also or ())
    show(f"wrote {', '.join(map(str, made))}" if made else "all secrets are there")


@group.command(epilog=example("driftgate demo prepare --config driftgate.yaml --monitor support-chat"))
def prepare(
    config: Config = CONFIG,
    monitor: Chat = _CHAT,
    partitions: Annotated[int, typer.Option("--partitions", min=1, max=1_000, help="Of each topic; as many workers can share them.")] = 4,
    rows: Annotated[int, typer.Option("--rows", min=100, max=100_000, help="Generated messages that the reference is made of.")] = 4_000,
) -> None:
    """Make what the support chat needs and is not there yet: topics, the sentence embedder, a reference of ordinary days."""
    from service.demo.preparing import Wanted, prepare  # noqa: PLC0415 - loads everything

    with _steps() as progress:
        wanted = Wanted(monitor, partitions, rows)
        made = prepare(load(config), wanted, config=config, now=time.time(), progress=progress)
    show(f"topics: {', '.join(made.topics) or 'are there'}")
    show(f"embedder: {made.model or 'is there'}")
    show(f"reference of {monitor}: {f'version {made.reference}' if made.reference else 'is there'}")


@group.command(epilog=example("driftgate demo samples --count 4000 > good.jsonl"))
def samples(
    count: Annotated[int, typer.Option("--count", min=1, max=1_000_000, help="Messages.")] = 4_000,
    drift_after: Annotated[
        int | None, typer.Option("--drift-after", min=0, help="Messages before the drift; by default none comes.")
    ] = None,
    days: Annotated[float, typer.Option("--days", min=0.001, max=3_650, help="Over which they are spread, up to now.")] = 28.0,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Another seed gives other messages, under other ids.")] = 1,
) -> None:
    """Print the support chat's messages as JSON lines, as files of samples hold them."""
    from service.demo.samples import Written, lines  # noqa: PLC0415 - loads numpy

    written = Written(count, count if drift_after is None else drift_after, days, seed)
    for line in lines(written, now=time.time()):
        typer.echo(line)


@contextmanager
def _steps() -> Iterator[Callable[[str, float], None]]:
    """Bars; where nobody would see any, such as in a container's log, a line at the beginning of each step."""
    named: set[str] = set()
    with bars() as drawn:

        def report(step: str, done: float) -> None:
            drawn(step, done)
            if step not in named and not err.is_terminal:
                show(f"{step} …")
            named.add(step)

        yield report


@group.command(epilog=example("driftgate demo traffic --config driftgate.yaml --rate 10 --drift-after 600"))
def traffic(  # noqa: PLR0913, PLR0917 - the options of a command
    config: Config = CONFIG,
    monitor: Chat = _CHAT,
    to: Way = "kafka",
    url: Url = "http://127.0.0.1:8080",
    token_file: TokenFile = None,
    rate: Rate = 10.0,
    drift_after: DriftAfter = 600.0,
    count: Count = None,
    seed: Seed = None,
) -> None:
    """Send the support chat's messages as production would: ordinary days first, then drift, until SIGTERM or Ctrl-C.

    Over Kafka the configuration says where; over HTTP it is not read."""
    import numpy as np  # noqa: PLC0415 - not for `--help`

    from service.demo.channels import over_http, over_kafka  # noqa: PLC0415 - loads the web framework
    from service.demo.chats import Chats  # noqa: PLC0415 - as numpy
    from service.demo.traffic import Course, Stream, Teller  # noqa: PLC0415 - as numpy

    course = Course(rate, drift_after, math.inf if count is None else count)
    chats = Chats(np.random.default_rng(seed), run=f"{int(time.time()):x}")
    with over_kafka(load(config), monitor) if to == "kafka" else over_http(url, monitor, token_file) as channel:
        stream = Stream(chats, channel, course, report=Teller(course, say=show, warn=warn))
        done = stream.run(clock=time.monotonic, stop=_told_to_stop())
    show(f"sent {done.sent:,} messages in {done.elapsed:,.0f} s, {done.drifted:,} of them since the drift")


def _told_to_stop() -> threading.Event:
    """Set by SIGTERM and Ctrl-C."""
    stop = threading.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda *_: stop.set())
    return stop
