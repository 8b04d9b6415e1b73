"""Silences: what they match, and which keep an alarm's news back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fnmatch import fnmatchcase

from service.errors import ConflictError, InputError
from service.ports import Store
from service.records import Alarm, Silence, SilenceState, stable_id

MATCHED = ("monitor", "segment", "family", "severity", "team")
"""What a silence may name of an alarm."""

LONGEST = 366 * 86_400.0
_MOST = 1_000
_PATTERN = frozenset("*?[")
_LENGTH, _NOTE = 300, 1_000


def made(matchers: Mapping[str, str], *, starts: float, ends: float, actor: str, note: str, now: float) -> Silence:
    """A new silence; InputError says what is wrong with it. The same one asked for twice has one id."""
    wrong = sorted(set(matchers) - set(MATCHED))
    if wrong:
        raise InputError("silence", f"matchers: no {wrong[0]!r:.80}; a silence names {', '.join(MATCHED)}")
    given = {name: value for name, value in matchers.items() if value}
    if not given or all(set(value) <= {"*"} for value in given.values()):
        raise InputError(
            "silence", "matchers: name at least one of monitor, segment, family, severity, team: a silence of everything hides all"
        )
    if any(len(value) > _LENGTH for value in given.values()):
        raise InputError("silence", f"matchers: a value has at most {_LENGTH} characters")
    if not max(starts, now) < ends <= max(starts, now) + LONGEST:
        raise InputError("silence", "ends: a silence ends after it begins, in the future, and within a year")
    if len(note) > _NOTE:
        raise InputError("silence", f"note: at most {_NOTE:,} characters")
    monitor = given.get("monitor", "")
    exact = "" if _PATTERN & set(monitor) else monitor
    known_by = stable_id("silence", sorted(given.items()), starts, ends, actor, note)
    return Silence(known_by, given, starts, ends, actor, note, created=now, monitor=exact)


def ended(silence: Silence, *, actor: str, now: float) -> Silence:
    """It keeps nothing back any more."""
    if silence.state is SilenceState.ENDED:
        raise ConflictError(f"silence {silence.id} has ended already")
    ends = min(silence.ends, max(now, silence.starts))
    return replace(silence, state=SilenceState.ENDED, ends=ends, ended_by=actor, version=silence.version + 1)


def is_active(silence: Silence, now: float) -> bool:
    """Whether it keeps news back at this moment."""
    return silence.state is SilenceState.ACTIVE and silence.starts <= now < silence.ends


def matches(silence: Silence, alarm: Alarm, team: str) -> bool:
    """Whether each of its matchers holds: equal, or by the pattern."""
    return all(_like(value, _named(alarm, team)[name]) for name, value in silence.matchers.items())


def active(store: Store, *, now: float) -> list[Silence]:
    """Those that keep something back now."""
    return [silence for silence in store.find(Silence, states=[SilenceState.ACTIVE], limit=_MOST) if is_active(silence, now)]


def matching(alarm: Alarm) -> Mapping[str, str]:
    """Matchers of just this alarm's stream and family."""
    return {"monitor": alarm.monitor, "segment": alarm.segment, "family": alarm.family.value}


def _named(alarm: Alarm, team: str) -> Mapping[str, str]:
    return {
        "monitor": alarm.monitor,
        "segment": alarm.segment,
        "family": alarm.family.value,
        "severity": alarm.severity.value,
        "team": team,
    }


def _like(pattern: str, value: str) -> bool:
    return pattern == value or fnmatchcase(value, pattern)
