"""All commands under one name. Heavy libraries are loaded by the commands that need them, so `--help` answers at once."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated

import typer

from service.cli.alarm import group as alarm
from service.cli.alert import group as alert
from service.cli.annotation import group as annotation
from service.cli.audit import app as audit
from service.cli.backfill import group as backfill
from service.cli.backing_up import app as backing_up
from service.cli.backtest import app as backtest
from service.cli.candidates import app as candidates
from service.cli.compare import app as compare
from service.cli.configuration import app as beginning
from service.cli.configuration import group as config
from service.cli.dataset import app as dataset
from service.cli.demo import group as demo
from service.cli.doctor import app as doctor
from service.cli.explain import app as explain
from service.cli.failure import group as failure
from service.cli.fleet import app as fleet
from service.cli.ledger import app as ledger
from service.cli.letters import dead, outbox
from service.cli.maintenance import group as maintenance
from service.cli.migrate import app as migrate
from service.cli.model import app as model
from service.cli.offsets import group as offsets
from service.cli.openapi import app as openapi
from service.cli.plan import app as plan
from service.cli.policy import group as policy
from service.cli.pool import group as pool
from service.cli.privacy import app as privacy
from service.cli.promotion import group as promotion
from service.cli.reference import app as reference
from service.cli.refresh import group as refresh
from service.cli.replay import app as replay
from service.cli.report import app as report
from service.cli.scheme import group as scheme
from service.cli.serve import app as serve
from service.cli.silence import group as silence
from service.cli.similar import app as similar
from service.cli.status import app as status
from service.cli.storage import group as storage
from service.cli.switch import app as switch
from service.cli.terminal import Commands
from service.cli.token import group as token
from service.cli.train import app as train
from service.cli.truth import group as truth
from service.cli.verify import app as verification
from service.logs import configure

app = typer.Typer(
    name="driftgate",
    cls=Commands,
    help="Watches what a deployed model is fed, says when its meaning has drifted, and drives the refresh until the new model is proven.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

_WITHOUT_GROUP = (
    beginning,
    serve,
    replay,
    backtest,
    compare,
    status,
    candidates,
    plan,
    explain,
    similar,
    ledger,
    fleet,
    report,
    train,
    verification,
    doctor,
    migrate,
    backing_up,
    privacy,
    audit,
    openapi,
)
for commands in _WITHOUT_GROUP:
    app.add_typer(commands)
app.add_typer(demo, name="demo")
app.add_typer(reference, name="reference", help="Versions of what the model is known to be good on.")
app.add_typer(dataset, name="dataset", help="Versioned sets of samples: train, golden, challenge, pool.")
app.add_typer(pool, name="pool", help="What is kept of the stream to choose from.")
app.add_typer(policy, name="policy", help="What the installation asks of every monitor.")
app.add_typer(alarm, name="alarm", help="Alarms, and what people say about them.")
app.add_typer(alert, name="alert", help="Whether news of alarms would arrive.")
app.add_typer(silence, name="silence", help="Whose news is kept back for a while.")
app.add_typer(maintenance, name="maintenance", help="Monitors that open no alarms for a while.")
refresh.add_typer(promotion)
app.add_typer(refresh, name="refresh", help="Refresh cycles, from labels to the next model.")
app.add_typer(annotation, name="annotation", help="What annotators are asked, and what they answer.")
app.add_typer(scheme, name="scheme", help="By which words annotators answer.")
app.add_typer(failure, name="failure", help="What the model is known to fail on.")
app.add_typer(truth, name="truth", help="Labels that come after the answers that they judge.")
app.add_typer(backfill, name="backfill", help="History beside the live log.")
app.add_typer(offsets, name="offsets", help="Where the log is read on.")
app.add_typer(dead, name="dlq", help="Samples that could not be used.")
app.add_typer(outbox, name="outbox", help="What must still leave.")
app.add_typer(switch, name="switch", help="Old and new model as one, with a bound on what breaks.")
app.add_typer(storage, name="storage", help="Where references, data sets, models and payloads lie.")
app.add_typer(model, name="model", help="Models that driftgate can write.")
app.add_typer(token, name="token", help="What programs and people show to be let in.")
app.add_typer(config, name="config", help="The configuration file.")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(version("driftgate"))
        raise typer.Exit


@app.callback(epilog="Example: driftgate demo --exit")
def start(
    show_version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and end.")] = False,
) -> None:
    """Commands that do one thing say only what went wrong; `serve` logs everything."""
    del show_version
    configure(level="WARNING", clients="CRITICAL")


def main() -> None:
    """The console script."""
    app()
