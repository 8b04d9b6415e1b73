"""Where the console's pages stand."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote


@dataclass(frozen=True, slots=True)
class Place:
    """A page that is led to."""

    name: str
    """By which a page says that it is here."""
    title: str
    address: str


NAVIGATION = (
    Place("fleet", "Fleet", "/console/fleet"),
    Place("alarms", "Alarms", "/console/alarms"),
    Place("silences", "Silences", "/console/silences"),
    Place("batches", "Candidates", "/console/batches"),
    Place("cycles", "Cycles", "/console/cycles"),
    Place("reports", "Blind spots", "/console/blind-spots"),
    Place("health", "Health", "/console/health"),
    Place("configuration", "Configuration", "/console/configuration"),
)

_OF_MONITOR = (
    ("monitor", "Overview", ""),
    ("map", "Map", "/map"),
    ("monitor-alarms", "Alarms", None),
    ("candidates", "Candidates", "/candidates"),
    ("monitor-cycles", "Cycles", None),
    ("blind-spots", "Blind spots", "/blind-spots"),
)
_LISTS = {"monitor-alarms": "/console/alarms", "monitor-cycles": "/console/cycles"}


def of_monitor(monitor: str) -> tuple[Place, ...]:
    """The pages of one monitor."""
    below, named = f"/console/monitors/{quote(monitor, safe='')}", f"?monitor={quote(monitor, safe='')}"
    return tuple(
        Place(name, title, f"{_LISTS[name]}{named}" if address is None else below + address) for name, title, address in _OF_MONITOR
    )
