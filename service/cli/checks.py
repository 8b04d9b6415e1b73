"""What `driftgate doctor` examines. Every finding that is not ok says what to do."""

from __future__ import annotations

import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from detectors.model import rows_needed
from service.access import Access, tokens
from service.cli.leaving import examine_leaving
from service.cli.server import examine_server
from service.errors import DriftgateError
from service.feed import NOT_KEYED
from service.reference import effective_tolerance
from service.settings import MonitorSettings, Settings, load
from service.verifying import Gate, next_look

if TYPE_CHECKING:
    from service.app import Installation
    from service.ports import Embedder

_MOST = 100_000


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report; an error's message holds its remedy already."""

    level: Level
    subject: str
    says: str
    remedy: str = ""


def examine(config: Path) -> list[Finding]:
    """Everything that one configuration stands for."""
    try:
        settings = load(config)
    except DriftgateError as error:
        return [Finding(Level.FAIL, "configuration", str(error))]
    findings = [Finding(Level.OK, "configuration", f"{config}, {len(settings.monitors)} monitors"), _directory(settings)]
    if findings[-1].level is Level.OK:
        findings += _installation(settings, config)
    findings += [Finding(Level(level), subject, says, remedy) for subject, (level, says, remedy) in examine_leaving(settings)]
    return [*findings, _access(settings), *(Finding(Level(level), "server", *rest) for level, *rest in examine_server(settings))]


# --- state --------------------------------------------------------------------------------------------------------


def _directory(settings: Settings) -> Finding:
    try:
        settings.directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=settings.directory):
            pass
    except OSError as error:
        return Finding(
            Level.FAIL, "directory", f"{settings.directory}: {error.strerror}", "make it writable for this user, or choose another"
        )
    return Finding(Level.OK, "directory", f"{settings.directory} can be written")


def _installation(settings: Settings, config: Path) -> Iterator[Finding]:
    from service.app import LOG, STORE, opened  # noqa: PLC0415 - loads the web framework and the inference runtime

    yield from _servers(settings)
    files = [settings.directory / name for name, server in ((STORE, settings.redis), (LOG, settings.kafka)) if server is None]
    try:
        with opened(settings, config=config) as installation:
            yield from (_database(file) for file in files if file.is_file())
            yield _tokens(installation)
            yield _outbox(installation)
            yield from _stopped(installation)
            for monitor in installation.settings.monitors:
                yield from _monitor(installation, monitor)
    except DriftgateError as error:
        yield Finding(Level.FAIL, "store", str(error))


def _servers(settings: Settings) -> Iterator[Finding]:
    """Those that are configured."""
    from service.app import examine_kafka, examine_redis, examine_storage  # noqa: PLC0415 - loads their clients

    for subject, examine in (("redis", examine_redis), ("kafka", examine_kafka), ("storage", examine_storage)):
        yield from (Finding(Level(level), subject, says, remedy) for level, says, remedy in examine(settings))


def _stopped(installation: Installation) -> Iterator[Finding]:
    """Partitions that nobody reads on before a person has said where."""
    for position in installation.store.positions():
        topic, number = position.partition.topic, position.partition.number
        if position.stopped and not position.retired:
            remedy = f"`driftgate offsets reset --topic {topic} --partition {number} --to earliest|latest|OFFSET`"
            yield Finding(Level.FAIL, f"partition {topic}/{number}", position.stopped, remedy)


def _database(path: Path) -> Finding:
    """Whether SQLite finds the file whole and keeps its log of writes beside it."""
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            mode = str(connection.execute("PRAGMA journal_mode").fetchone()[0])
            whole = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.Error as error:
        return Finding(Level.FAIL, path.name, str(error), "restore it from a backup")
    if whole != "ok":
        return Finding(Level.FAIL, path.name, whole, "restore it from a backup")
    if mode != "wal":
        return Finding(
            Level.FAIL, path.name, f"journal mode {mode}, not wal", "move the directory to a local file system with working locks"
        )
    return Finding(Level.OK, path.name, f"whole, journal mode {mode}, {path.stat().st_size / 1e6:,.1f} MB")


def _outbox(installation: Installation) -> Finding:
    dead = installation.store.outbox(states=["dead"], limit=_MOST)
    if dead:
        where = ", ".join(sorted({item.destination for item in dead}))
        remedy = "mend the receiver; `driftgate outbox list --state dead` has the errors, `driftgate outbox replay ITEM` sends again"
        return Finding(Level.WARN, "outbox", f"{len(dead)} items were given up, for {where}", remedy)
    waiting = len(installation.store.outbox(states=["pending"], limit=_MOST))
    return Finding(Level.OK, "outbox", f"nothing given up, {waiting} waiting to leave")


# --- monitors -----------------------------------------------------------------------------------------------------


def _monitor(installation: Installation, monitor: MonitorSettings) -> Iterator[Finding]:
    subject = f"monitor {monitor.name}"
    try:
        embedder = installation.embedder(monitor.name)
    except DriftgateError as error:
        yield Finding(Level.FAIL, subject, str(error), "mend monitors[].embedder; `driftgate model build minilm` writes a model")
        return
    yield Finding(
        Level.OK, subject, f"embedder {embedder.fingerprint[:12]}, {embedder.dimension} dimensions, the same alone and in a batch"
    )
    try:
        yield from _reference(installation, monitor, embedder)
        yield _golden(installation, monitor)
        yield from _budgeted(installation, monitor)
        yield from _fed(installation, monitor)
    except DriftgateError as error:
        yield Finding(Level.FAIL, subject, str(error))
    letters = Counter(letter.rejected.reason for letter in installation.store.dead_letters(monitor=monitor.name, limit=_MOST))
    if letters:
        listed = ", ".join(f"{reason} {number:,}" for reason, number in letters.most_common())
        yield Finding(Level.WARN, subject, f"dead letters: {listed}", f"`driftgate dlq list --monitor {monitor.name}` says what to mend")
    if monitor.annotation.destination is None:
        yield Finding(Level.WARN, subject, "annotation batches go nowhere", "name a destination in annotation.destination")


def _reference(installation: Installation, monitor: MonitorSettings, embedder: Embedder) -> Iterator[Finding]:
    subject, name = f"monitor {monitor.name}", monitor.name
    if installation.version(name) is None:
        remedy = f"`driftgate reference build --monitor {name} --input FILE`"
        yield Finding(Level.WARN, subject, "no reference in force, so nothing is decided", remedy)
        return
    reference = installation.references.load(name)
    if reference.fingerprint != embedder.fingerprint:
        says = f"reference {reference.version} was made with another embedder ({reference.fingerprint[:12]})"
        yield Finding(Level.FAIL, subject, says, "build a reference with this one, or restore the other")
        return
    tolerance = effective_tolerance(installation.effective(name), reference.model)
    supported, asked = reference.model.calibration.supported, monitor.detection.first_run_length
    rows = f"reference {reference.version} of {len(reference.rows):,} rows"
    says = f"{rows}, tolerance {tolerance:.3f}, supports a run length of {supported:,.0f}"
    if supported < asked:
        need = rows_needed(asked, inflation=reference.model.dependence.inflation)
        remedy = f"build one of {need:,} rows, or lower detection.run_length"
        yield Finding(Level.WARN, subject, f"{says}, not the {asked:,.0f} asked for", remedy)
    else:
        yield Finding(Level.OK, subject, says)
    for warning in reference.manifest.get("warnings", ()):
        remedy = "build a new one from rows without it, or leave it where traffic is so too"
        yield Finding(Level.WARN, subject, f"reference {reference.version}: {warning}", remedy)


def _budgeted(installation: Installation, monitor: MonitorSettings) -> Iterator[Finding]:
    """Whether the reference holds its streams to their share of the budget, and the longest window covers a week."""
    status, subject = installation.store.status(monitor.name), f"monitor {monitor.name}"
    advisory = [stream for stream in status.get("streams", ()) if stream.get("regime") == "advisory"]
    if advisory:
        asked, supported = max(stream["asked_run_length"] for stream in advisory), status["supported_run_length"]
        says = f"{len(advisory)} streams are advisory: the reference supports {supported:,.0f} samples, their share asks {asked:,.0f}"
        remedy = "add reference rows, raise budget.alarms, set detection.run_length, or hear of them with detection.advisory: notify"
        yield Finding(Level.WARN, subject, says, remedy)
    if status.get("untimed_share", 0.0) > 0.5:
        says = "most samples of late came at no known hour, and this reference goes by the hour: they are counted, not weighed"
        remedy = "send samples when they happen or with their times, or build a reference from rows without times"
        yield Finding(Level.FAIL, subject, says, remedy)
    longest = status.get("longest_window", {})
    if longest.get("pane_samples"):
        days, needed = longest["seconds"] / 86_400.0, longest["pane_samples"]
        says = f"the longest window covers {days:.1f} days at this traffic, so drift that takes a week may pass unseen"
        yield Finding(Level.WARN, subject, says, f"set detection.pane_samples to {needed} or more and build a new reference")


def _fed(installation: Installation, monitor: MonitorSettings) -> Iterator[Finding]:
    """Whether the monitor sees its input."""
    feed, subject = installation.store.status(monitor.name).get("feed", {}), f"monitor {monitor.name}"
    if feed.get("blind"):
        says = f"blind: {100 * feed['lost_share']:.0f} % of the latest input is lost, so that no drift is told"
        yield Finding(Level.FAIL, subject, says, "`driftgate status` has the reasons, `driftgate dlq list` what could not be used")
    if feed.get("unmatched_share", 0.0) > NOT_KEYED:
        says = f"{100 * feed['unmatched_share']:.0f} % of the answers match no request"
        yield Finding(Level.WARN, subject, says, "key the topic by the event's id, or raise kserve.response_timeout")


def _golden(installation: Installation, monitor: MonitorSettings) -> Finding:
    """Whether a new model could be promoted at all."""
    subject, name = f"monitor {monitor.name}", monitor.name
    if not installation.data_sets.versions(name, "golden"):
        remedy = f"`driftgate dataset add --role golden --monitor {name} --input FILE`"
        return Finding(Level.WARN, subject, "no golden set, so no new model can be promoted", remedy)
    look = next_look(installation.store, installation.data_sets, name, monitor.refresh)
    rows, needed = len(look.drawn.rows.rows), Gate.of(look, monitor.refresh).rows_needed
    if rows < needed:
        says = f"golden set: {rows} rows to verify with, the next new model needs {needed}"
        return Finding(Level.WARN, subject, says, f"add labelled rows: `driftgate plan --monitor {name}` says how many, and what they cost")
    return Finding(Level.OK, subject, f"golden set: {rows} rows to verify with, {needed} needed")


# --- who may come in -------------------------------------------------------------------------------------------------


def _access(settings: Settings) -> Finding:
    try:
        access = Access.of(settings)
    except DriftgateError as error:
        return Finding(Level.FAIL, "access", str(error))
    if access.token is not None or access.proxy is not None:
        return Finding(Level.OK, "access", "by token" if access.proxy is None else "by token, and through the proxy that says who asks")
    return Finding(Level.OK, "access", "open on loopback until there is a token" if access.loopback else "by tokens of the store alone")


def _tokens(installation: Installation) -> Finding:
    access = Access.of(installation.settings)
    found = [token for token in tokens.listed(installation.store) if token.in_force(time.time())]
    if found or access.loopback or access.token is not None or access.proxy is not None:
        return Finding(Level.OK, "tokens", f"{len(found)} in force")
    return Finding(Level.WARN, "tokens", "there is none, so nobody is let in", "`driftgate token bootstrap` makes the first admin's")
