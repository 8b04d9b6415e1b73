"""`backtest`: what another configuration would have alarmed on, from the stored panes or from files."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from service.backtest import Backtest, History, Span, differences, stored
from service.cli.installed import CONFIG, AsJson, Config, MonitorName, MoreFiles, installed, monitor_of, rows_in
from service.cli.terminal import bars, counter, emit, example, show
from service.errors import ConfigurationError, InputError, NotFoundError
from service.observe import Silent
from service.records import Alarm
from service.replay import MOST_LETTERS, fold
from service.scoring import UNJUDGED, Mark, Score, assess, document, marked_by_verdict, timeline
from service.screens.backtest import backtest_screen
from service.settings import DetectionSettings, MonitorSettings, Settings, load
from service.worker import Worker

app = typer.Typer()

SHAPING = ("pane_samples", "pane_seconds", "order", "seed")
"""Detection settings that made the panes, or the reference that they were made with."""

_MARKS_BYTES, _MOST_MARKS = 1_000_000, 1_000

Moment = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"], help="Log time; UTC.")]
Inputs = Annotated[list[Path] | None, typer.Option("--input", "-i", help="Raw history instead of the stored panes, in order of time.")]


@dataclass(frozen=True, slots=True)
class Trial:
    """A configuration that is tried."""

    name: str
    settings: Settings
    monitor: MonitorSettings


@app.command(epilog=example("driftgate backtest --monitor support-chat --run-length 50000 --episodes marks.csv"))
def backtest(  # noqa: PLR0913, PLR0917 - the options of a command are its parameters
    config: Config = CONFIG,
    monitor: MonitorName = None,
    other: Annotated[Path | None, typer.Option(help="Another configuration file, tried beside the one in force.")] = None,
    run_length: Annotated[float | None, typer.Option(min=500, max=1e10, help="Try this detection.run_length.")] = None,
    tolerance: Annotated[float | None, typer.Option(min=1e-4, max=0.9999, help="Try this detection.tolerance.")] = None,
    critical: Annotated[float | None, typer.Option(min=1e-4, max=1.0, help="Try this detection.critical.")] = None,
    inputs: Inputs = None,
    more: MoreFiles = None,
    episodes: Annotated[Path | None, typer.Option(help="Known drift: .csv or .json with start, end and perhaps name.")] = None,
    since: Moment = None,
    until: Moment = None,
    as_json: AsJson = False,
) -> None:
    """Try a configuration on the past: which alarms it would have raised, beside those that were; nothing is changed."""
    span = Span(_seconds(since, -float("inf")), _seconds(until, float("inf")))
    marks = None if episodes is None else read_marks(episodes)
    changes = {"run_length": run_length, "tolerance": tolerance, "critical": critical}
    settings = load(config)
    trials = _trials(settings, monitor_of(settings, monitor), other, {name: v for name, v in changes.items() if v is not None})
    paths = [*(inputs or ()), *(more or ())]
    found = _over_files(trials, paths, span, marks) if paths else _over_store(config, trials, span, marks)
    if as_json:
        emit(found)
    else:
        show(backtest_screen(found))


def _seconds(moment: datetime | None, otherwise: float) -> float:
    return otherwise if moment is None else (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _trials(settings: Settings, monitor: str, other: Path | None, changes: Mapping[str, float]) -> Sequence[Trial]:
    """What is configured and, where something else is asked for, that: the other file, with the changes on top."""
    configured = Trial("configured", settings, settings.monitor(monitor))
    if other is None and not changes:
        return [configured]
    base = settings if other is None else load(other)
    chosen = base.monitor(monitor)
    detection = DetectionSettings.model_validate({**chosen.detection.model_dump(), **changes})
    name = ", ".join([*([other.name] if other else ()), *(f"{name.replace('_', ' ')} {value:,g}" for name, value in changes.items())])
    return [configured, Trial(name, base, chosen.model_copy(update={"detection": detection}))]


# --- over the stored panes ------------------------------------------------------------------------------------------


def _over_store(config: Path, trials: Sequence[Trial], span: Span, marks: Sequence[Mark] | None) -> dict[str, Any]:
    _check_panes(trials)
    configured = trials[0].monitor
    with installed(config) as installation, bars() as progress:
        store, references = installation.store, partial(installation.references.load, configured.name)
        history = History.of(store, configured.name)
        tests = [
            Backtest(t.monitor, references, history, span=span, as_recorded=t is trials[0], budget=_rate(t) / _rate(trials[0]))
            for t in trials
        ]
        decided = max(store.decided(configured.name)[0] - history.begins, 1)
        for entries in stored(store, configured.name, history):
            _feed(tests, entries)
            progress("replaying the stored panes", (entries[-1].sequence - history.begins) / decided)
    if tests[0].first is None:
        raise NotFoundError(f"monitor {configured.name}: no decided pane is stored; replay files with --input")
    recorded = [alarm for alarm in history.alarms if span.holds(alarm.opened) and alarm.opened >= tests[0].first.first_time]
    changed = differences(tests[0], recorded)
    found = _document("stored panes", trials, tests, recorded, marks)
    found |= {"recorded": [alarm.id for alarm in recorded], "differences": changed}
    found["notes"] += [*_history_notes(history, changed, len(trials)), *_budget_notes(trials)]
    return found


def _rate(trial: Trial) -> float:
    """False alarms a day that the installation accepts."""
    return trial.settings.budget.alarms / trial.settings.budget.days


def _check_panes(trials: Sequence[Trial]) -> None:
    """Stored panes are bound to what made them; only what decides on them can be another."""
    one, other = trials[0].monitor, trials[-1].monitor
    differ = [name for name in ("embedder", "segments", "classes") if getattr(one, name) != getattr(other, name)]
    differ += [f"detection.{name}" for name in SHAPING if getattr(one.detection, name) != getattr(other.detection, name)]
    if differ:
        raise ConfigurationError(
            f"monitor {one.name}: {', '.join(differ)} shaped the stored panes and their reference and can't be tried on them; "
            "replay raw history instead: driftgate backtest --input FILE, with a reference built under the other configuration"
        )


def _history_notes(history: History, changed: Sequence[str], trials: int) -> list[str]:
    notes = []
    if history.begins and trials > 1:
        notes.append(f"panes up to {history.begins:,} have gone (pane_log): B begins with empty windows there, A where its detectors stood")
    if changed:
        notes.append(
            f"{len(changed)} alarms are not as recorded under what is configured today: settings or driftgate changed since "
            f"({', '.join(changed[:5])}{', …' if len(changed) > 5 else ''})"
        )
    return notes


def _budget_notes(trials: Sequence[Trial]) -> list[str]:
    """What of a budget the past can't tell."""
    one, other = trials[0], trials[-1]
    notes = []
    if _rate(one) != _rate(other):
        notes.append("another budget is tried with the recorded allocations, scaled: when they were made and who had which share stays")
    if one.monitor.importance != other.monitor.importance:
        notes.append("another importance moves shares between monitors and can't be tried on the panes of one")
    return notes


# --- over files -----------------------------------------------------------------------------------------------------


def _over_files(trials: Sequence[Trial], paths: Sequence[Path], span: Span, marks: Sequence[Mark] | None) -> dict[str, Any]:
    """Configurations that fold alike share one pass: embedding is what costs."""
    together = _alike(trials[0], trials[-1])
    passes = [trials] if together else [[trial] for trial in trials]
    done = [_through(trials, paths, span) for trials in passes]
    found = _document("files", trials, [test for tests, _ in done for test in tests], (), marks)
    if unusable := max(letters for _, letters in done):
        found["notes"].append(f"{unusable:,} lines could not be used; `driftgate replay --report` lists them")
    return found


def _alike(one: Trial, other: Trial) -> bool:
    ours, theirs = one.monitor, other.monitor
    shaped = all(getattr(ours.detection, name) == getattr(theirs.detection, name) for name in SHAPING)
    return (
        shaped
        and one.settings.directory == other.settings.directory
        and (ours.embedder, ours.segments, ours.classes) == (theirs.embedder, theirs.segments, theirs.classes)
    )


def _through(trials: Sequence[Trial], paths: Sequence[Path], span: Span) -> tuple[list[Backtest], int]:
    from service.app import opened  # noqa: PLC0415 - loads the web framework and the inference runtime

    monitor = trials[0].monitor.name
    with opened(trials[0].settings, in_memory=True) as installation:
        if installation.version(monitor) is None:
            raise NotFoundError(f"monitor {monitor}: no reference yet; `driftgate reference build` makes one")
        tests = [Backtest(trial.monitor, partial(installation.references.load, monitor), span=span) for trial in trials]
        source = installation.files(monitor, paths)
        worker = Worker(source, installation.store, {monitor: installation.watched(monitor)}, Silent())
        with counter(f"replaying {monitor}", rows_in(paths)) as progress:
            for entries in fold(worker, source, installation.store, monitor, progress=progress):
                _feed(tests, entries)
        return tests, len(installation.store.dead_letters(limit=MOST_LETTERS))


def _feed(tests: Sequence[Backtest], entries: Sequence[Any]) -> None:
    for test in tests:
        for entry in entries:
            test.apply(entry)


# --- what came out --------------------------------------------------------------------------------------------------


def _document(
    source: str, trials: Sequence[Trial], tests: Sequence[Backtest], recorded: Sequence[Alarm], marks: Sequence[Mark] | None
) -> dict[str, Any]:
    assessed = [assess(trial.name, test, recorded=recorded, marks=marks) for trial, test in zip(trials, tests, strict=True)]
    known = marked_by_verdict(recorded, tests[0].last_time) if marks is None else marks
    times, first = tests[0].course.times, tests[0].first
    return {
        "monitor": trials[0].monitor.name,
        "source": source,
        "samples": sum(tests[0].course.samples),
        "first": first and {"sequence": first.sequence, "time": first.first_time, "reference_version": first.key.reference_version},
        "since": min(times, default=None),
        "until": max(times, default=None),
        "recorded": [],
        "differences": [],
        "configurations": [document(scored) for scored in assessed],
        "timeline": timeline(assessed, recorded=recorded, marks=known),
        "notes": _unjudged(assessed, marks),
    }


def _unjudged(assessed: Sequence[Score], marks: Sequence[Mark] | None) -> list[str]:
    open_question = marks is None and any(scored.counts[UNJUDGED] for scored in assessed)
    return (
        ["alarms without a verdict count neither as right nor as false: `driftgate alarm verdict`, or --episodes"] if open_question else []
    )


# --- marked episodes ------------------------------------------------------------------------------------------------


def read_marks(path: Path) -> Sequence[Mark]:
    """Episodes from a .csv with a header or a .json list of objects: `start` and `end` (RFC 3339), `name` if there is one."""
    try:
        read = _READERS[path.suffix.lower()]
        with path.open("rb") as file:
            content = file.read(_MARKS_BYTES + 1)
        rows = read(content.decode("utf-8-sig")) if len(content) <= _MARKS_BYTES else []
    except OSError as error:
        raise InputError("file", f"{path}: {error.strerror}") from error
    except KeyError:
        raise InputError("file", f"{path}: marked episodes are read from {' and '.join(_READERS)} files") from None
    except (ValueError, csv.Error, msgspec.DecodeError) as error:
        raise InputError("file", f"{path}: can't be read: {error}") from error
    if len(content) > _MARKS_BYTES or len(rows) > _MOST_MARKS:
        raise InputError("file", f"{path}: at most {_MOST_MARKS:,} episodes and {_MARKS_BYTES:,} bytes are read")
    return sorted((_mark(row, f"{path}, episode {number}") for number, row in enumerate(rows, 1)), key=lambda mark: mark.start)


def _csv(text: str) -> list[Mapping[str, Any]]:
    return list(csv.DictReader(io.StringIO(text)))


_READERS: Mapping[str, Callable[[str], list[Mapping[str, Any]]]] = {
    ".csv": _csv,
    ".json": partial(msgspec.json.decode, type=list[dict[str, Any]]),
}


def _mark(row: Mapping[str, Any], where: str) -> Mark:
    for column in ("start", "end"):
        if column not in row:
            raise InputError("file", f"{where}: no column {column}; found {', '.join(map(str, row)) or 'none'}")
    start, end = (_time(row[column], f"{where}, {column}") for column in ("start", "end"))
    if end <= start:
        raise InputError("file", f"{where}: ends before it starts ({row['start']} to {row['end']})")
    return Mark(start, end, str(row.get("name") or ""))


def _time(value: object, where: str) -> float:
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        raise InputError("file", f"{where}: not a time: {value!r:.60}; write it as 2026-03-01T12:00:00Z") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
