"""What a configuration's alarms are worth: which were right, how soon they came, and what they took of the budget."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from service.alarms import of_drift
from service.backtest import Backtest, closed
from service.ledger import poisson_interval
from service.records import Alarm, Verdict

RECORDED = "recorded"
"""Stands for the alarms that were raised, beside the configurations' names."""

UNJUDGED = "unjudged"
_PERIODS = (7 * 86_400.0, 86_400.0, 3_600.0, 60.0)
_LINES = 40

JUDGEMENTS = (*(verdict.value for verdict in Verdict), UNJUDGED)


@dataclass(frozen=True, slots=True)
class Mark:
    """An episode of drift that somebody knows of, in log time."""

    start: float
    end: float
    name: str = ""


@dataclass(frozen=True, slots=True)
class Score:
    """A configuration's alarms against what is known of the time."""

    name: str
    backtest: Backtest
    alarms: Sequence[Alarm]
    judged: Mapping[str, str]
    """Alarm id → a verdict, or `unjudged`."""
    delays: Sequence[Mapping[str, Any]]
    """One per marked episode: `alarm` (None if it was missed), `seconds`, `samples`; both 0 where an alarm stood before it began."""

    @property
    def counts(self) -> Mapping[str, int]:
        """Alarms by judgement."""
        found = Counter(self.judged.values())
        return {judgement: found[judgement] for judgement in JUDGEMENTS}


def marked_by_verdict(recorded: Sequence[Alarm], until: float) -> Sequence[Mark]:
    """Episodes that people confirmed: from the start of the window that raised the alarm to its end."""
    right = [alarm for alarm in of_drift(recorded) if alarm.verdict is Verdict.TRUE]
    return [Mark(alarm.window_start, min(closed(alarm), until), f"alarm {alarm.id}") for alarm in right]


def assess(name: str, backtest: Backtest, *, recorded: Sequence[Alarm], marks: Sequence[Mark] | None) -> Score:
    """Judges a backtest: by the marks where there are any (an alarm outside all of them is false), else by the recorded verdicts."""
    alarms = of_drift(backtest.alarms)
    if marks is None:
        judged = {alarm.id: _as_people_said(alarm, recorded) for alarm in alarms}
    else:
        judged = {alarm.id: (Verdict.TRUE if _overlapping(alarm, marks) else Verdict.FALSE).value for alarm in alarms}
    episodes = marked_by_verdict(recorded, backtest.last_time) if marks is None else marks
    inside = [mark for mark in episodes if mark.end >= backtest.span.since and mark.start <= backtest.span.until]
    return Score(name, backtest, alarms, judged, [_delay(mark, alarms, backtest) for mark in inside])


def _overlapping(alarm: Alarm, marks: Sequence[Mark]) -> bool:
    return any(alarm.opened >= mark.start and alarm.window_start <= mark.end for mark in marks)


def _as_people_said(alarm: Alarm, recorded: Sequence[Alarm]) -> str:
    """The verdict on the alarm itself, or on a recorded one of its stream that stood at the same time: confirmed beats all others."""
    alike = [
        other.verdict
        for other in recorded
        if other.verdict is not None
        and (other.segment, other.family) == (alarm.segment, alarm.family)
        and (other.id == alarm.id or (other.window_start <= closed(alarm) and alarm.window_start <= closed(other)))
    ]
    return next((verdict.value for verdict in Verdict if verdict in alike), UNJUDGED)


def _delay(mark: Mark, alarms: Sequence[Alarm], backtest: Backtest) -> Mapping[str, Any]:
    """From the episode's start to the first alarm within it; one that stood already counts as no delay."""
    about = {"name": mark.name, "start": mark.start, "end": mark.end}
    for alarm in alarms:
        if mark.start <= alarm.opened <= mark.end:
            samples = backtest.course.between(mark.start, alarm.opened)
            return about | {"alarm": alarm.id, "seconds": alarm.opened - mark.start, "samples": samples}
        if alarm.opened < mark.start <= closed(alarm):
            return about | {"alarm": alarm.id, "seconds": 0.0, "samples": 0}
    return about | {"alarm": None, "seconds": None, "samples": None}


# --- as a document --------------------------------------------------------------------------------------------------


def period_of(seconds: float, lines: int = _LINES) -> float:
    """The longest of week, day, hour and minute that cuts a span into ten or more, or several of them where that is too many."""
    unit = next((unit for unit in _PERIODS if seconds >= 10 * unit), _PERIODS[-1])
    return unit * max(1.0, float(-(-seconds // (unit * lines))))


def timeline(assessed: Sequence[Score], *, recorded: Sequence[Alarm], marks: Sequence[Mark]) -> dict[str, Any]:
    """Per period: samples, each configuration's largest evidence ÷ threshold, alarms opened, and the marked episodes it touches."""
    times = np.concatenate([np.asarray(scored.backtest.course.times) for scored in assessed])
    if not len(times):
        return {"seconds": None, "periods": []}
    seconds = period_of(float(np.ptp(times)))
    first, last = np.floor(times.min() / seconds), np.floor(times.max() / seconds)
    edges = np.arange(first, last + 2) * seconds
    binned = {scored.name: scored.backtest.course.binned(edges) for scored in assessed}
    opened = {RECORDED: of_drift(recorded)} | {scored.name: scored.alarms for scored in assessed}
    histograms = {name: np.histogram([alarm.opened for alarm in alarms], edges)[0] for name, alarms in opened.items()}
    periods = [
        {
            "start": float(edges[at]),
            "samples": int(binned[assessed[0].name][0][at]),
            "evidence": {name: float(closeness[at]) for name, (_, closeness) in binned.items()},
            "opened": {name: int(histogram[at]) for name, histogram in histograms.items()},
            "episodes": [mark.name or "marked" for mark in marks if mark.start < edges[at + 1] and mark.end >= edges[at]],
        }
        for at in range(len(edges) - 1)
    ]
    return {"seconds": seconds, "periods": periods}


def document(scored: Score) -> dict[str, Any]:
    """A configuration's part of the JSON that `driftgate backtest --json` prints."""
    backtest, figures = scored.backtest, scored.backtest.figures()
    found = [delay for delay in scored.delays if delay["alarm"]]
    return {
        "name": scored.name,
        "run_length": figures.get("run_length"),
        "tolerance": figures.get("tolerance"),
        "alarms": [_alarm(alarm, scored.judged[alarm.id]) for alarm in scored.alarms],
        "counts": scored.counts,
        "false_alarms": _false_alarms(scored),
        "episodes": scored.delays,
        "missed": len(scored.delays) - len(found),
        "mean_delay_seconds": float(np.mean([delay["seconds"] for delay in found])) if found else None,
        "mean_delay_samples": float(np.mean([delay["samples"] for delay in found])) if found else None,
        "expected_delay": figures.get("expected_delay", []),
        "samples": int(np.sum(backtest.course.samples)),
    }


def _false_alarms(scored: Score) -> dict[str, Any]:
    """Measured by verdicts or marks, against what the configuration accepts: `used` is the share of it that they took."""
    expected, count = scored.backtest.expected, scored.counts[Verdict.FALSE.value]
    low, high = poisson_interval(count)
    used = [share / expected if expected > 0 else None for share in (count, low, high)]
    return {"count": count, "accepted": expected, **dict(zip(("used", "used_low", "used_high"), used, strict=True))}


def _alarm(alarm: Alarm, judged: str) -> dict[str, Any]:
    end = closed(alarm)
    return {
        "id": alarm.id,
        "segment": alarm.segment,
        "family": alarm.family.value,
        "kind": alarm.kind,
        "severity": alarm.severity.value,
        "regime": alarm.regime.value,
        "opened": alarm.opened,
        "closed": end if np.isfinite(end) else None,
        "at_sample": alarm.at_sample,
        "at_sequence": alarm.at_sequence,
        "window_samples": alarm.window_samples,
        "effect": asdict(alarm.effect),
        "judged": judged,
    }
