"""A maintenance pause: everything goes on being counted, and no alarm opens until it ends.

It is an event in the monitor's log and ends by log time, so decisions stay a function of the log. A crossing that it keeps from opening
an alarm stays: where the evidence still stands when it ends, the alarm opens then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from service.errors import InputError
from service.records import Event, Family, stable_id

MAINTENANCE = "maintenance"
"""Kind of the event from which on no alarm opens `until` that log time; null: they do again."""

LONGEST = 30 * 86_400.0
_NOTE = 1_000


@dataclass(slots=True)
class Pause:
    """The last pause of a monitor; outlives its reference."""

    until: float = 0.0
    since: int = 0
    """The event's number in the log."""
    actor: str = ""
    note: str = ""
    withheld: list[str] = field(default_factory=list)
    """Streams and families of the alarms that it kept from opening, each once."""

    def take(self, event: Event) -> None:
        """Begins, another end, or over."""
        until = event.body.get("until")
        if until is None:
            self.until = 0.0
            return
        kept = self.withheld if self.until else []
        self.until, self.since, self.withheld = float(until), event.sequence, kept
        self.actor, self.note = event.actor, str(event.body.get("note", ""))

    def keeps(self, segment: str, family: Family, time: float) -> bool:
        """Whether an alarm that would open at this log time may not; counts it."""
        if time >= self.until:
            return False
        name = f"{family} {segment}"
        if name not in self.withheld:
            self.withheld.append(name)
        return True

    def shown(self, time: float) -> Mapping[str, Any]:
        """As the status has it; `until` is null once it is over by the log."""
        until = self.until if time < self.until else None
        return {"until": until, "since": self.since, "actor": self.actor, "note": self.note, "withheld": len(self.withheld)}


def paused(monitor: str, until: float | None, *, actor: str, note: str, now: float) -> Event:
    """The event that begins a pause, or (without an end) ends it; InputError where the end is none."""
    if until is not None and not now < until <= now + LONGEST:
        raise InputError("maintenance", f"until: a maintenance pause ends in the future, within {LONGEST / 86_400:g} days")
    if len(note) > _NOTE:
        raise InputError("maintenance", f"note: at most {_NOTE:,} characters")
    known_by = stable_id(MAINTENANCE, monitor, until, actor, note, now)
    return Event(known_by, monitor, MAINTENANCE, now, actor, body={"until": until, "note": note})
