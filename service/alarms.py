"""The life of an alarm: open → acknowledged → resolved, each step with a named reason. Pure: time is passed in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from detectors import Effect, Evidence
from service.errors import ConflictError
from service.records import Alarm, AlarmState, Event, Family, Severity, Step, Verdict


class Reason(StrEnum):
    """Why an alarm took a step."""

    DRIFT = "evidence above the threshold and effect above the tolerance"
    WORSE = "effect reached the critical level"
    TOLD = "its stream takes part in the budget now, so that it notifies"
    RENAMED = "a window twice as long names the kind anew"
    SEEN = "a person took it"
    CALM = "effect stayed below the tolerance"
    CLOSED = "a person closed it"
    FALSE_ALARM = "a person called it a false alarm"
    TRUE_ALARM = "a person confirmed it"
    SEASONAL = "a person called it seasonal"
    REBASED = "the reference was replaced"
    BLIND = "a window lost more of its input than detection.blind_share"
    SEEING = "the loss stayed below detection.blind_share for a window"
    SILENT = "no sample came for longer than is usual"
    RESUMED = "samples come again"


VERDICT = "verdict"
"""Kind of the event that says what an alarm turned out to be."""

REBASE = "rebase"
"""Kind of the event that says from where on another reference decides: `after` that sequence number, this `version`."""

SAID = {Verdict.TRUE: Reason.TRUE_ALARM, Verdict.FALSE: Reason.FALSE_ALARM, Verdict.SEASONAL: Reason.SEASONAL}
"""The reason of the step that a verdict is."""

HOLD_BACK_GROWTH, HOLD_BACK_SECONDS = 1.5, 7 * 86_400.0
"""How much a closed effect must have grown, or how much log time must pass, before its like may open an episode again."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What counts as drift on a monitor's streams, as equivalent shares of new content; and when it is over."""

    tolerance: float
    critical: float
    calm_samples: int
    calm_seconds: float = 7 * 86_400.0
    least_samples: int = 500


@dataclass(frozen=True, slots=True)
class HeldBack:
    """After a verdict *false* or *seasonal*: no new episode until the effect's lower bound exceeds 1.5 × the closed estimate, or
    until log time passes."""

    beyond: float
    until: float
    withheld: bool = False
    """It has kept an episode from opening."""


@dataclass(frozen=True, slots=True)
class Episode:
    """What a stream's decisions remember besides its detector."""

    alarm: str = ""
    """Id of the open alarm, '' when there is none."""
    crossed: bool = False
    """The evidence crossed, and no episode has opened for it yet."""
    latched: bool = False
    """It has crossed since the detector began: that is one crossing, however long it stays above."""
    calm_since: tuple[int, float] | None = None
    """Samples and log time at which the stream became calm during an alarm."""
    held_back: HeldBack | None = None
    crossings: int = 0
    opened: int = 0
    withheld: int = 0
    """Episodes that a hold-back kept from opening."""


def cross(episode: Episode, evidence: Evidence) -> Episode:
    """Notes, once until the detector starts anew, that the evidence passed its threshold."""
    if episode.latched or not evidence.above:
        return episode
    return replace(episode, crossed=True, latched=True, crossings=episode.crossings + 1)


def should_open(episode: Episode, evidence: Evidence, rules: Rules, now: float) -> bool:
    """Whether an episode opens here: crossed at or before this pane, evidence above, effect surely above the tolerance."""
    if episode.alarm or not (episode.crossed and evidence.above and evidence.effect.low > rules.tolerance):
        return False
    held = episode.held_back
    return held is None or now >= held.until or evidence.effect.low > held.beyond


def withhold(episode: Episode, evidence: Evidence, rules: Rules, now: float) -> Episode:
    """Counts, once, the episode that only the hold-back keeps from opening; the crossing stays, so that it can open later."""
    held = episode.held_back
    if held is None or held.withheld or not should_open(replace(episode, held_back=None), evidence, rules, now):
        return episode
    return replace(episode, held_back=replace(held, withheld=True), withheld=episode.withheld + 1)


def severity(effect: Effect, rules: Rules) -> Severity:
    """Critical once the effect is surely beyond the critical level."""
    return Severity.CRITICAL if effect.low >= rules.critical else Severity.WARNING


def calm(episode: Episode, upper: float, *, samples: int, now: float, rules: Rules) -> tuple[Episode, bool]:
    """Follows how long the effect's upper bound has stayed below the tolerance; true once that is long enough to resolve."""
    if upper >= rules.tolerance:
        return replace(episode, calm_since=None), False
    since = episode.calm_since or (samples, now)
    stayed, elapsed = samples - since[0], now - since[1]
    enough = stayed >= rules.calm_samples or (elapsed >= rules.calm_seconds and stayed >= rules.least_samples)
    return replace(episode, calm_since=since), enough


def step(alarm: Alarm, state: AlarmState, reason: Reason, *, time: float, actor: str = "driftgate", note: str = "") -> Alarm:
    """The alarm one step on; a resolved alarm takes no more."""
    if alarm.state is AlarmState.RESOLVED:
        raise ConflictError(f"alarm {alarm.id} is resolved already ({alarm.history[-1].reason})")
    taken = Step(state.value, reason.value, time, actor, note)
    return replace(alarm, state=state, history=(*alarm.history, taken), version=alarm.version + 1)


def spoken(alarm: Alarm, *, time: float, quiet: bool) -> Alarm | None:
    """An alarm that opened in silence, once its stream may be heard: nobody has been told of it yet."""
    if not alarm.quiet or quiet:
        return None
    return replace(step(alarm, alarm.state, Reason.TOLD, time=time), quiet=False)


def worse(alarm: Alarm, effect: Effect, rules: Rules, *, time: float) -> Alarm | None:
    """A warning whose effect has become critical."""
    if alarm.severity is not Severity.WARNING or severity(effect, rules) is not Severity.CRITICAL:
        return None
    return replace(step(alarm, alarm.state, Reason.WORSE, time=time), severity=Severity.CRITICAL)


def apply_event(alarm: Alarm, event: Event) -> Alarm:
    """What a person's event makes of an alarm."""
    note, about = str(event.body.get("note", "")), {"time": event.time, "actor": event.actor}
    if event.kind == "acknowledge":
        if alarm.state is AlarmState.ACKNOWLEDGED:
            return alarm
        return step(alarm, AlarmState.ACKNOWLEDGED, Reason.SEEN, note=note, **about)  # type: ignore[arg-type]  # a mapping of keywords
    if event.kind == "resolve":
        return step(alarm, AlarmState.RESOLVED, Reason.CLOSED, note=note, **about)  # type: ignore[arg-type]  # a mapping of keywords
    verdict = Verdict(str(event.body["verdict"]))
    state = AlarmState.ACKNOWLEDGED if verdict is Verdict.TRUE else AlarmState.RESOLVED
    return replace(step(alarm, state, SAID[verdict], note=note, **about), verdict=verdict)  # type: ignore[arg-type]  # a mapping of keywords


def judge_late(alarm: Alarm, event: Event) -> Alarm:
    """What an event makes of an alarm that is over: only a verdict counts, also one that mends another, and no detector notices."""
    if alarm.state is not AlarmState.RESOLVED or event.kind != VERDICT:
        return alarm
    verdict = Verdict(str(event.body["verdict"]))
    said = Step(alarm.state.value, SAID[verdict].value, event.time, event.actor, str(event.body.get("note", "")))
    if said in alarm.history:
        return alarm
    return replace(alarm, verdict=verdict, history=(*alarm.history, said), version=alarm.version + 1)


def bare(alarm: Alarm) -> Alarm:
    """Without samples and their words: what is kept beside the store's own alarm shows none, so that none has to be found in it."""
    return replace(alarm, exemplars=(), missed=(), clusters=(), terms=())


def shown_as(alarm: Alarm, stored: Alarm) -> Alarm:
    """The alarm with what the store's shows, and its version: somebody may have taken samples out of it meanwhile."""
    shown = {name: getattr(stored, name) for name in ("exemplars", "missed", "clusters", "terms")}
    return replace(alarm, **shown, version=stored.version)


def of_drift(alarms: Iterable[Alarm]) -> list[Alarm]:
    """Without the feed's own, which say that nothing was seen."""
    return [alarm for alarm in alarms if alarm.family is not Family.FEED]


def closed_at(alarm: Alarm) -> float | None:
    """When the episode ended, None while it is open; what is said about it later changes nothing in that."""
    return next((taken.time for taken in alarm.history if taken.state == AlarmState.RESOLVED), None)
