"""Whether what comes in still means what the reference means: the monitor's own alarms, and how soon it would raise one."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from service.budget import DAY
from service.figures import describe_status
from service.records import WHOLE, Alarm, AlarmState, Family, Measured, Regime, Verdict
from service.report.material import Material
from service.report.parts import Bars, Column, Figure, Missing, Section, Standing, Table, Unit
from service.screens.drawing import interval, percent, span
from service.streams import MonitorStreams

_NAME, _TITLE = "drift", "Drift"
_DAYS = 30
_MOST_ALARMS, _SHOWN, _STREAMS = 1_000, 10, 20
_OPEN = (AlarmState.OPEN, AlarmState.ACKNOWLEDGED)
_UNJUDGED = "not judged"
_BLIND = {"blind": "too much of its input is lost to tell", "silent": "no sample comes", "untimed": "most samples come without a time"}
_UNSEEN = 0.5
"""Urgency of a monitor that can't see what it should watch, at least."""


def drift(material: Material) -> Section:
    """What moved, how far, and how soon the next drift would be seen."""
    if material.reference is None:
        remedy = f"`driftgate reference build --monitor {material.monitor} --input FILE`, or with `--from-stream`"
        lacking = Missing("drift", "there is no reference that traffic could be held against", remedy)
        says, todo = "Not watched yet: there is no reference.", f"Build a reference: {remedy}."
        return Section(_NAME, _TITLE, Standing.UNKNOWN, says, todo=todo, urgency=_UNSEEN, missing=(lacking,))
    status = _status(material)
    store, until = material.store, status["last_time"] or material.now
    still = sorted(store.find(Alarm, monitor=material.monitor, states=_OPEN, limit=_MOST_ALARMS), key=_first)
    recent = [alarm for alarm in store.find(Alarm, monitor=material.monitor, limit=_MOST_ALARMS) if alarm.opened > until - _DAYS * DAY]
    return Section(
        _NAME,
        _TITLE,
        _standing(status, still),
        " ".join(_said(status, still, recent)),
        todo=_todo(material.monitor, status, still),
        urgency=_urgency(status, still),
        figures=tuple(_figures(status, still)),
        tables=tuple(_tables(status, still, recent)),
        plots=tuple(_plots(status)),
        missing=tuple(_lacking(status)),
    )


def _status(material: Material) -> Mapping[str, Any]:
    """Figures of another version would say nothing about the traffic from now on."""
    reference, decided = material.reference, material.store.status(material.monitor)
    if reference is None or decided.get("reference_version") == reference.version:
        return decided
    return describe_status(MonitorStreams(material.settings, reference))


def _first(alarm: Alarm) -> tuple[bool, bool, bool, float]:
    """Those that count first; what the monitor can't see is above what it sees, and the whole stream above its segments, whose alarms
    mostly tell of the same; then by their effect, surely."""
    return alarm.regime is not Regime.ACTIVE, alarm.family is not Family.FEED, alarm.segment != WHOLE, -alarm.effect.low


def _standing(status: Mapping[str, Any], still: Sequence[Alarm]) -> Standing:
    if status["state"] in _BLIND or any(alarm.state is AlarmState.OPEN and alarm.regime is Regime.ACTIVE for alarm in still):
        return Standing.ACT
    if still:
        return Standing.WATCH
    return Standing.UNKNOWN if status["state"] == "warming up" else Standing.FINE


def _urgency(status: Mapping[str, Any], still: Sequence[Alarm]) -> float:
    """The share of the traffic that is about to be answered by a model that never saw its like, surely: the largest of many estimates
    is too large."""
    samples = {stream["segment"]: stream["samples"] for stream in status["streams"]}
    whole = samples.get(WHOLE, 0)
    moved = [_effect(alarm) * (samples.get(alarm.segment, whole) / whole if whole else 1.0) for alarm in still]
    unseen = max(status["feed"]["lost_share"] or 0.0, _UNSEEN) if status["state"] in _BLIND else 0.0
    return float(min(max([*moved, unseen]), 1.0))


def _effect(alarm: Alarm) -> float:
    if alarm.family is Family.FEED:
        return _UNSEEN
    return min(max(alarm.effect.low, 0.0), 1.0) if math.isfinite(alarm.effect.low) else 0.0


# --- in words --------------------------------------------------------------------------------------------------------


def _said(status: Mapping[str, Any], still: Sequence[Alarm], recent: Sequence[Alarm]) -> Iterator[str]:
    if status["state"] in _BLIND:
        yield f"The monitor does not see its traffic: {_BLIND[status['state']]}."
    if status["state"] == "warming up":
        yield f"Warming up: {status['missing_samples']:,} samples are missing before it can decide."
    yield _open(still) if still else "No alarm is open."
    if recent:
        yield f"Alarms in the last {_DAYS} days: {', '.join(f'{count} {verdict}' for verdict, count in _verdicts(recent).items())}."
    soon = next((delay for delay in status["expected_delay"] if delay["share"] == 0.1 and delay["samples"]), None)
    if soon is not None:
        takes = f"{soon['samples']:,.0f} samples" + (f", {span(soon['seconds'])}" if soon["seconds"] else "")
        yield f"New content at a tenth of the traffic would raise an alarm after about {takes}."


def _open(still: Sequence[Alarm]) -> str:
    first = still[0]
    effect = "" if first.family is Family.FEED else f", {interval(first.effect)}"
    count = "An alarm is open" if len(still) == 1 else f"{len(still)} alarms are open, first of all"
    return f"{count}: {first.kind} on {first.segment}{effect}."


def _verdicts(recent: Sequence[Alarm]) -> Mapping[str, int]:
    counts = Counter(_UNJUDGED if alarm.verdict is None else alarm.verdict.value for alarm in recent)
    return {name: counts[name] for name in (*(verdict.value for verdict in Verdict), _UNJUDGED) if counts[name]}


def _todo(monitor: str, status: Mapping[str, Any], still: Sequence[Alarm]) -> str:
    if status["state"] in _BLIND:
        return f"See what keeps samples from the monitor: `driftgate status --monitor {monitor}`."
    if not still:
        return ""
    return f"Look at alarm {still[0].id} ({still[0].kind} on {still[0].segment}): `driftgate explain {still[0].id}`, then give its verdict."


def _lacking(status: Mapping[str, Any]) -> Iterator[Missing]:
    if status["state"] == "warming up":
        yield Missing("a first decision", f"{status['missing_samples']:,} samples are missing", "wait for more traffic")
    if status["traffic_per_second"] is None:
        yield Missing("expected delay in time", "the pace of the traffic is not known yet", "wait for more traffic")


# --- in figures ------------------------------------------------------------------------------------------------------


def _figures(status: Mapping[str, Any], still: Sequence[Alarm]) -> Iterator[Figure]:
    yield Figure("open alarms", float(len(still)), Unit.COUNT)
    whole = next((stream for stream in status["streams"] if stream["segment"] == WHOLE), None)
    if whole is not None and whole["samples"]:
        yield Figure("effect now, as a share of new content", _measured(whole["effect"]))
        yield Figure("novel samples", _measured(whole["novel_share"]))
    for delay in status["expected_delay"]:
        if delay["share"] == 0.1 and delay["seconds"]:
            yield Figure("expected delay at 10 % new content", delay["seconds"], Unit.SECONDS)


def _tables(status: Mapping[str, Any], still: Sequence[Alarm], recent: Sequence[Alarm]) -> Iterator[Table]:
    if still:
        heads: tuple[Column, ...] = (
            Column("alarm"),
            Column("stream"),
            Column("kind"),
            Column("effect", Unit.SHARE),
            Column("since", Unit.TIME),
        )
        rows = tuple(_alarm_row(alarm) for alarm in still[:_SHOWN])
        yield Table("Open alarms", (*heads, Column("what moved")), rows, left_out=max(len(still) - _SHOWN, 0))
    if recent:
        heads = (Column("verdict"), Column("alarms", Unit.COUNT))
        yield Table(f"Alarms of the last {_DAYS} days", heads, tuple(_verdicts(recent).items()))
    delays = tuple((delay["share"], delay["samples"], delay["seconds"]) for delay in status["expected_delay"])
    heads = (Column("new content", Unit.SHARE), Column("samples", Unit.COUNT), Column("time", Unit.SECONDS))
    yield Table("How soon drift would be seen", heads, delays)


def _alarm_row(alarm: Alarm) -> tuple[str | float | Measured | None, ...]:
    effect = None if alarm.family is Family.FEED else alarm.effect
    since = alarm.opened if alarm.onset is None else alarm.onset.time
    return alarm.id, alarm.segment, alarm.kind, effect, since, "; ".join(_moved(alarm))


def _moved(alarm: Alarm) -> Iterator[str]:
    moved = sorted(alarm.clusters, key=lambda change: -abs(change.window_share - change.reference_share))
    for each in alarm.confusions[:2]:
        yield f"{each.truth} taken for {each.answer}: {percent(each.before_share)} → {percent(each.window_share)}"
    yield from (f"{change.cluster}: {percent(change.reference_share)} → {percent(change.window_share)}" for change in moved[:3])
    if alarm.terms:
        yield "terms: " + ", ".join(term.term for term in alarm.terms[:5])
    yield from (finding.what for finding in alarm.findings[:2])


def _plots(status: Mapping[str, Any]) -> Iterator[Bars]:
    """The largest first; a stream that nothing came to has no effect."""
    effects = {stream["segment"]: _measured(stream["effect"]) for stream in status["streams"] if stream["samples"]}
    known = {segment: effect for segment, effect in effects.items() if math.isfinite(effect.estimate)}
    largest = sorted(known, key=lambda segment: -known[segment].estimate)[:_STREAMS]
    if len(largest) > 1:
        yield Bars("Effect by stream, as a share of new content", {segment: known[segment] for segment in largest})


def _measured(written: Mapping[str, float | None]) -> Measured:
    """What can't be said yet is kept as null."""
    return Measured(**{name: math.nan if value is None else value for name, value in written.items()})
