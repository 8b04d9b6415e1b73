"""News as people read them: a subject, a sentence, facts and links, in whatever form a destination shows them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from service.notifying.rules import ACKNOWLEDGED, OPENED, REMINDER, RESOLVED, TEST, WORSE, Why
from service.records import WHOLE, OutboxItem

_MARKS = {
    OPENED: "",
    WORSE: "now critical: ",
    REMINDER: "still open: ",
    ACKNOWLEDGED: "acknowledged: ",
    RESOLVED: "resolved: ",
    TEST: "",
}
_LINKS = {"console": "Console", "runbook": "Runbook", "silence": "Silence"}


@dataclass(frozen=True, slots=True)
class Message:
    """What is said; all of it may hold words of others, so whoever shows it escapes it."""

    subject: str
    text: str
    severity: str
    """`critical`, `warning`, or `info` for what is no alarm."""
    over: bool = False
    """Nothing is left to do."""
    facts: tuple[tuple[str, str], ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    """(label, address)."""
    todo: str = ""


def message(item: OutboxItem) -> Message:
    """An item's, whatever its kind."""
    told = item.payload
    links = told.get("links") or {}
    shown = tuple((label, str(links[name])) for name, label in _LINKS.items() if links.get(name))
    text, todo = str(told.get("text") or item.kind), str(told.get("todo") or "")
    if item.kind not in _MARKS:
        return Message(text, text, "info", links=shown, todo=todo)
    severity = "info" if item.kind == TEST else str(told.get("severity", "warning"))
    subject = f"[{'TEST' if item.kind == TEST else severity}] {_MARKS[item.kind]}{_place(told)}: {told.get('kind', '')}"
    return Message(subject, text, severity, item.kind == RESOLVED, tuple(_facts(told)), shown, todo)


def text(kind: str, told: Mapping[str, Any]) -> str:
    """One sentence that holds without the rest."""
    where, what, effect = _place(told), told["kind"], told["effect"]
    if kind == RESOLVED:
        return f"{where}: {what} is over ({told['reason']}{_by(told)}); it stood since {_moment(told['opened'])}"
    if kind == ACKNOWLEDGED:
        return f"{where}: {what}: {told['reason']}{_by(told)}"
    size = "" if told["family"] == "feed" else f", effect {_share(effect)}"
    return f"{where}: {_MARKS[kind]}{what}{size}, since {_moment(told['since'])} ({told['severity']})"


def missed(told: Mapping[str, Any], why: Why) -> dict[str, Any]:
    """News of which the beginning could not be told in time."""
    return {**told, "missed": True, "text": f"{told['text']} ({why})"}


def _place(told: Mapping[str, Any]) -> str:
    segment = told.get("segment", WHOLE)
    return f"{told.get('monitor', '')}{'' if segment == WHOLE else f' {segment}'}"


def _by(told: Mapping[str, Any]) -> str:
    by = "" if told["by"] == "driftgate" else f", {told['by']}"
    return f"{by}: {told['note'][:300]}" if told["note"] else by


def _facts(told: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Those that are known, in the order in which one asks for them."""
    if told.get("family") != "feed" and "effect" in told:
        yield "Effect", _share(told["effect"])
        yield "New content", _share(told["novel_share"])
    if "since" in told:
        yield "Since", _moment(told["since"])
    if told.get("team"):
        yield "Team", str(told["team"])
    if budget := told.get("budget"):
        yield "Alarm budget", f"{budget['alarms']} alarms in {budget['days']:g} days, {budget['accepted']:g} accepted as false"
    if clusters := told.get("clusters"):
        yield "Moved most", "; ".join(_cluster(each) for each in clusters)
    if terms := told.get("terms"):
        yield "Words", ", ".join(map(str, terms))
    if exemplars := told.get("exemplars"):
        yield "Samples", "; ".join(map(str, exemplars))


def _cluster(each: Mapping[str, Any]) -> str:
    return f"{each['cluster']} {100 * each['reference_share']:.0f} % → {100 * each['window_share']:.0f} %"


def _share(measured: Mapping[str, float]) -> str:
    return f"{100 * measured['estimate']:.0f} % ({100 * measured['low']:.0f} to {100 * measured['high']:.0f} %)"


def _moment(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d %H:%M UTC")
