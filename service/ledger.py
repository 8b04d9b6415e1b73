"""The ledger: alarms, what they turned out to be, and what was done about them; false alarms as measured against those allowed for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from scipy.special import gammaincinv

from service.alarms import HOLD_BACK_GROWTH, HOLD_BACK_SECONDS, Reason, of_drift
from service.budget import ALLOCATION, DAY, WEEK, week_of, week_start
from service.label_checks.events import told
from service.looks import LOOKED
from service.maintenance import MAINTENANCE
from service.ports import Store
from service.records import (
    Alarm,
    AlarmState,
    AnnotationBatch,
    Event,
    Family,
    LabelScheme,
    Measured,
    RefreshCycle,
    Regime,
    Step,
    Verdict,
)
from service.records.ledger import Entry, FalseAlarms, Ledger, Proposal, Tally
from service.settings import BudgetSettings
from service.streams import SETTINGS

MOST_ALARMS = 10_000
"""Alarms that a ledger reads, newest first."""

MOST_REFRESHES = 1_000
"""Cycles and batches of each monitor."""

_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")

OFFSETS = "offsets"
"""The kind of the event that keeps a person's word on where a partition is read on."""


def keep(store: Store, monitors: Sequence[str], budget: BudgetSettings, *, weeks: int) -> Ledger:
    """The ledger of some monitors: so many weeks, up to the last one that anything is known of."""
    alarms = [alarm for name in monitors for alarm in store.find(Alarm, monitor=name, limit=MOST_ALARMS)]
    spent = [exposure for name in monitors for exposure in store.status(name).get("exposures", ())]
    last = max([week_of(alarm.opened) for alarm in alarms] + [exposure["week"] for exposure in spent], default=0)
    first = last - weeks + 1
    alarms = [alarm for alarm in alarms if week_of(alarm.opened) >= first]
    tallies = tuple(_weeks(alarms, [exposure for exposure in spent if exposure["week"] >= first]))
    total = _sum(tallies)
    events = [event for name in monitors for event in store.events(name) if week_of(event.time) >= first]
    steps = [entry for name in monitors for entry in _of_refreshing(store, name) if week_of(entry.time) >= first]
    entries = sorted([*_of_alarms(alarms), *_of_events(events), *steps], key=lambda entry: entry.time)
    seasonal = [alarm for alarm in reversed(of_drift(alarms)) if alarm.verdict is Verdict.SEASONAL]
    begins = {name: store.pool_begins(name) for name in {alarm.monitor for alarm in seasonal}}
    proposals = tuple(propose(alarm, pool_begins=begins[alarm.monitor]) for alarm in seasonal)
    return Ledger(tallies, total, measure(total, budget.days), tuple(entries), proposals)


def poisson_interval(count: int, level: float = 0.95) -> tuple[float, float]:
    """Exact bounds of a Poisson mean given one count (Garwood, Biometrika 1936)."""
    tail = (1 - level) / 2
    low = float(gammaincinv(count, tail)) if count else 0.0
    return low, float(gammaincinv(count + 1, 1 - tail))


def measure(total: Tally, days: float) -> FalseAlarms:
    """The rate of false alarms over all that was watched."""
    covered = total.seconds / DAY
    if not total.seconds:
        return FalseAlarms(days, 0.0, total.false, total.unjudged, None, None, None)
    per = days / covered
    low, high = poisson_interval(total.false)
    worst = poisson_interval(total.false + total.unjudged)[1]
    measured = Measured(total.false * per, low * per, high * per)
    return FalseAlarms(days, covered, total.false, total.unjudged, measured, worst * per, total.allowed * per)


def propose(alarm: Alarm, *, pool_begins: float = 0.0) -> Proposal:
    """A reference over the week that holds the alarm's hours beside all others, so that its profile learns when they come round: from
    the kept samples, where they hold the whole week."""
    start, end = (datetime.fromtimestamp(time, UTC) for time in (alarm.window_start, alarm.opened))
    steps = int(min(alarm.opened - alarm.window_start, WEEK) // 3_600) + 1
    moments = [datetime.fromtimestamp(alarm.window_start + 3_600 * n, UTC) for n in range(steps)] + [end]
    days = tuple(_WEEKDAYS[day] for day in sorted({moment.weekday() for moment in (start, *moments)}))
    since, until = _written(alarm.opened - WEEK), _written(alarm.opened + 1)
    build = f"driftgate reference build --monitor {alarm.monitor}"
    whole = pool_begins <= alarm.opened - WEEK
    command = (
        f"{build} --from-stream --since {since} --until {until}" if whole else f"{build} --input FILE  # samples of {since} to {until}"
    )
    hours = tuple(sorted({moment.hour for moment in (start, *moments)}))
    return Proposal(alarm.id, alarm.monitor, days, hours, alarm.window_start, alarm.opened, command)


def _written(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%S")


# --- tallies ----------------------------------------------------------------------------------------------------------


def _weeks(alarms: Iterable[Alarm], spent: Iterable[Mapping[str, Any]]) -> Iterator[Tally]:
    """Every week between the first and the last that has anything. Log time is covered while any of the monitors is watched."""
    by_week: dict[int, list[Mapping[str, Any]]] = {}
    for exposure in spent:
        by_week.setdefault(exposure["week"], []).append(exposure)
    raised: dict[int, list[Alarm]] = {}
    for alarm in alarms:
        raised.setdefault(week_of(alarm.opened), []).append(alarm)
    known = by_week.keys() | raised.keys()
    for week in range(min(known), max(known) + 1) if known else ():
        watched = by_week.get(week, [])
        yield replace(
            _tally(week_start(week), raised.get(week, ())),
            seconds=max((exposure["seconds"] for exposure in watched), default=0.0),
            samples=sum(exposure["samples"] for exposure in watched),
            allowed=sum(exposure["allowed"] for exposure in watched),
        )


def _tally(start: float, alarms: Sequence[Alarm]) -> Tally:
    alarms = of_drift(alarms)  # the budget speaks of them alone
    inside = Counter(alarm.verdict for alarm in alarms if alarm.regime is Regime.ACTIVE)
    outside = sum(alarm.regime is not Regime.ACTIVE for alarm in alarms)
    return Tally(
        start,
        true=inside[Verdict.TRUE],
        false=inside[Verdict.FALSE],
        seasonal=inside[Verdict.SEASONAL],
        unjudged=inside[None],
        outside=outside,
    )


def _sum(weeks: Sequence[Tally]) -> Tally:
    names = ("seconds", "samples", "allowed", "true", "false", "seasonal", "unjudged", "outside")
    start = weeks[0].start if weeks else 0.0
    return replace(Tally(start), **{name: sum(getattr(week, name) for week in weeks) for name in names})


# --- entries ----------------------------------------------------------------------------------------------------------


def _of_alarms(alarms: Iterable[Alarm]) -> Iterator[Entry]:
    for alarm in alarms:
        fed = alarm.family is Family.FEED
        effect = "" if fed else f", effect {100 * alarm.effect.estimate:.1f} %"
        opened = f"{alarm.kind}{effect} ({alarm.family}, {alarm.severity}, {alarm.regime})"
        over = False
        for number, step in enumerate(alarm.history):
            yield Entry(step.time, alarm.monitor, *_said(step, opened if number == 0 else ""), alarm.segment, alarm.id)
            if step.reason in {Reason.FALSE_ALARM, Reason.SEASONAL} and not over and not fed:
                yield Entry(step.time, alarm.monitor, "held back", _hold_back(alarm), alarm.segment, alarm.id)
            over = over or step.state == AlarmState.RESOLVED


def _said(step: Step, opened: str) -> tuple[str, str]:
    """What a step of an alarm is called in the ledger, and how it reads."""
    by = "" if step.actor == "driftgate" else f" [{step.actor}]"
    if opened:
        return "alarm", opened
    verdicts = {Reason.TRUE_ALARM, Reason.FALSE_ALARM, Reason.SEASONAL}
    named = {Reason.WORSE: "worse", **dict.fromkeys(verdicts, "verdict")}
    return named.get(Reason(step.reason), step.state), f"{step.reason}{by}"


def _hold_back(alarm: Alarm) -> str:
    beyond = 100 * HOLD_BACK_GROWTH * alarm.effect.estimate
    return f"{alarm.family} alarms of the stream, until the effect is surely above {beyond:.1f} % or for {HOLD_BACK_SECONDS / DAY:g} days"


def _of_events(events: Iterable[Event]) -> Iterator[Entry]:
    for event in events:
        if event.kind == ALLOCATION:
            share, lengths = sum(event.body["shares"].values()), event.body["run_lengths"]
            says = f"{event.body['reason']}: {100 * share:.1f} % of the budget over {len(lengths)} streams"
            yield Entry(event.time, event.monitor, "allocated", says)
        elif event.kind == SETTINGS:
            yield Entry(event.time, event.monitor, "settings", ", ".join(_changed(event.body["before"], event.body["after"])))
        elif event.kind == MAINTENANCE:
            until = event.body["until"]
            says = "ended" if until is None else f"no alarms until {_written(until)}"
            note = f" ({event.body['note']})" if event.body.get("note") else ""
            yield Entry(event.time, event.monitor, "maintenance", f"{says}{note} [{event.actor}]")
        elif event.kind == OFFSETS:
            before = "" if event.body["from"] is None else f", instead of {event.body['from']}"
            says = f"{event.body['partition']} is read on at offset {event.body['to']}{before} [{event.actor}]"
            yield Entry(event.time, event.monitor, "offsets", says)
        elif event.kind == LOOKED:
            rows = f"{event.body['rows']:,} rows of golden {event.body['version']}'s {event.body['part']} part"
            yield Entry(event.time, event.monitor, "golden", f"{rows} judged a model, use {event.body['use']} [{event.actor}]")
        elif says := told(event):
            yield Entry(event.time, event.monitor, "labels", says)


def _of_refreshing(store: Store, monitor: str) -> Iterator[Entry]:
    """Steps of cycles, of the batches that go to annotators, and of the label scheme."""
    for cycle in store.find(RefreshCycle, monitor=monitor, limit=MOST_REFRESHES):
        yield from (Entry(step.time, monitor, "refresh", f"cycle {cycle.id} {_step(step)}") for step in cycle.history)
    for batch in store.find(AnnotationBatch, monitor=monitor, limit=MOST_REFRESHES):
        yield from (Entry(step.time, monitor, "annotation", f"batch {batch.id} {_step(step)}") for step in batch.history)
    for scheme in store.find(LabelScheme, monitor=monitor, limit=MOST_REFRESHES):
        by = f" [{scheme.actor}]" if scheme.actor not in {"", "driftgate"} else ""
        yield Entry(scheme.created, monitor, "scheme", f"version {scheme.number}: {scheme.note or f'{len(scheme.classes):,} classes'}{by}")


def _step(step: Step) -> str:
    by = "" if step.actor == "driftgate" else f" [{step.actor}]"
    return f"{step.state}: {step.reason}{f' ({step.note})' if step.note else ''}{by}"


def _changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """Each setting that is another, by its name."""
    for name, value in after.items():
        if isinstance(value, Mapping) and isinstance(before.get(name), Mapping):
            yield from (f"{name}.{said}" for said in _changed(before[name], value))
        elif before.get(name) != value:
            yield f"{name} {before.get(name)} → {value}"
