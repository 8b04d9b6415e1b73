"""What figures mean, in a sentence, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from service.records import WHOLE, Alarm, AlarmState, Family, Measured, Regime, Severity
from service.screens.drawing import count, moment, percent, span


@dataclass(frozen=True, slots=True)
class Told:
    """A state in words."""

    says: str
    todo: str = ""
    kind: str = "fine"
    """Of the colours."""


def of_state(document: Mapping[str, Any]) -> Told:
    """A monitor's, from its document."""
    state = str(document.get("state"))
    if state in _PLAIN:
        return _PLAIN[state]
    return _FIGURED[state](document) if state in _FIGURED else Told(f"It is {state}.", kind="unknown")


def _warming_up(document: Mapping[str, Any]) -> Told:
    missing, rate = document.get("missing_samples") or 0, document.get("traffic_per_second")
    when = f", at the present traffic in about {span(missing / rate)}" if missing and rate else ""
    waits = f"{count(missing)} more samples are needed{when}." if missing else "It is ready for its first decision."
    return Told(f"It has taken {count(document.get('samples', 0))} samples and decides nothing yet. {waits}", _remedy(document), "watch")


def _remedy(document: Mapping[str, Any]) -> str:
    return str(document.get("remedy", ""))


def _blind(document: Mapping[str, Any]) -> Told:
    lost = percent((document.get("feed") or {}).get("lost_share"))
    reasons = (document.get("feed") or {}).get("window", {}).get("reasons", {})
    worst = f", most of it for: {max(reasons, key=reasons.get)}" if reasons else ""
    return Told(
        f"It does not see its input: {lost} of the samples are lost{worst}. Drift can't be told from what is missing.",
        "Mend what the senders send; the dead letters on the health page show what was refused and why.",
        "act",
    )


def _silent(document: Mapping[str, Any]) -> Told:
    last = document.get("last_time")
    since = f" since {moment(last)}" if last else ""
    return Told(
        f"No sample has come{since}, longer than is usual.",
        "See whether the model is served, and whether its log still comes here.",
        "watch",
    )


def _untimed(document: Mapping[str, Any]) -> Told:
    share = percent(document.get("untimed_share"))
    return Told(
        f"The reference goes by the hour, but {share} of the samples came long after their time: they can't be compared.",
        "Send samples when they arise, or with their own `time`.",
        "act",
    )


_PLAIN = {
    "watching": Told("Its traffic looks like the reference: no alarm is open."),
    "drifting": Told(
        "Its traffic has moved away from the reference: an alarm is open.",
        "Look at the alarm, say what it is (true, false, seasonal), and start a refresh where the model has to learn it.",
        "act",
    ),
}
_FIGURED = {
    "warming up": _warming_up,
    "blind": _blind,
    "silent": _silent,
    "untimed": _untimed,
}


def of_alarm(alarm: Alarm) -> str:
    """What happened, in one sentence."""
    where = alarm.monitor if alarm.segment == WHOLE else f"{alarm.monitor}, {alarm.segment}"
    if alarm.family is Family.FEED:
        return f"Of {where} nothing reliable was seen: {alarm.kind}."
    since = f" since about {moment(alarm.onset.time)}" if alarm.onset else f", noticed at {moment(alarm.opened)}"
    if alarm.family is Family.CONCEPT:
        grown = percent(alarm.effect.estimate)
        return f"In {where} answers that were right became wrong{since}: {grown} more of the labelled samples than before."
    return f"In {where} there is {alarm.kind}{since}: {_size(alarm.effect)}."


def _size(effect: Measured) -> str:
    if effect.low > 1:
        return "the traffic moved farther than if all of it were new content"
    between = f"{percent(effect.low)} to {percent(min(effect.high, 1.0))}"
    return f"the traffic moved as far as if {percent(min(effect.estimate, 1.0))} of it were new content ({between})"


def next_step(alarm: Alarm) -> Told:
    """What is asked of the reader."""
    if alarm.state is AlarmState.RESOLVED:
        said = "" if alarm.verdict else "Say what it was, so that the ledger knows how often alarms are right."
        return Told(f"It is over: {alarm.history[-1].reason}.", said, "fine")
    if alarm.findings:
        first = alarm.findings[0]
        return Told(f"It may come from how the samples arrive: {first.what}.", first.advice, "watch")
    if alarm.regime is not Regime.ACTIVE or alarm.quiet:
        return Told(
            "Nobody was notified: the stream does not take part in the budget of false alarms.",
            "Look whether it tells you something.",
            "watch",
        )
    kind = "act" if alarm.severity is Severity.CRITICAL else "watch"
    return Told(
        "It does not look like a fault of the feed.",
        "Compare the samples of both sides. True: the model meets something new; a refresh teaches it. False: nothing is wrong. "
        "Seasonal: it comes and goes by itself.",
        kind,
    )
