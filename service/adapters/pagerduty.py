"""Alarms as PagerDuty incidents, by its Events API v2: one incident per alarm, whose id is the key by which repetitions are known."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from service.errors import ConfigurationError, DeliveryError
from service.moments import written
from service.notifying import rules
from service.notifying.rules import TEST
from service.notifying.wording import Message, message
from service.outbound import Outgoing
from service.records import OutboxItem
from service.settings import PagerDutyDestination as Declared
from service.settings import read_key

_SUMMARY, _KEY, _DETAIL, _LABEL = 1_024, 255, 2_000, 300
"""Characters that PagerDuty takes of each."""
_ACTIONS = {
    rules.OPENED: "trigger",
    rules.WORSE: "trigger",
    rules.ACKNOWLEDGED: "acknowledge",
    rules.RESOLVED: "resolve",
    TEST: "trigger",
}


class PagerDutyDestination:
    """Triggers, acknowledges and resolves. It reminds and escalates itself, so reminders end here, as does what is no alarm."""

    def __init__(self, declared: Declared, outgoing: Outgoing) -> None:
        self._declared = declared
        self._outgoing = outgoing
        read_key(declared)  # one that is missing is said now

    def deliver(self, item: OutboxItem, *, now: float) -> None:
        """Each step is known by the incident's key, so that a repetition changes nothing."""
        if item.kind not in _ACTIONS:
            return
        try:
            key = read_key(self._declared)
        except ConfigurationError as error:
            raise DeliveryError(str(error), retryable=True) from error
        for event in events(item, key):
            self._outgoing.post(self._declared.url, msgspec.json.encode(event), {"content-type": "application/json"}, now=now)

    def close(self) -> None:
        """Closes the connections that are kept open."""
        self._outgoing.close()


def events(item: OutboxItem, key: str) -> Iterator[dict[str, Any]]:
    """The item's, in order. What was missed is triggered first, as information, since PagerDuty forgets the end of what never began; a
    test is resolved at once."""
    action, said = _ACTIONS[item.kind], message(item)
    missed = bool(item.payload.get("missed"))
    if action != "trigger" and missed:
        yield _event(item, said, key, "trigger", "info" if action == "resolve" else said.severity)
    yield _event(item, said, key, action, said.severity)
    if item.kind == TEST:
        yield _event(item, said, key, "resolve", said.severity)


def _event(item: OutboxItem, said: Message, key: str, action: str, severity: str) -> dict[str, Any]:
    told = item.payload
    event: dict[str, Any] = {"routing_key": key, "event_action": action, "dedup_key": str(told.get("alarm") or item.id)[:_KEY]}
    if action != "trigger":
        return event
    links = [{"href": address, "text": label} for label, address in said.links]
    console = dict(said.links).get("Console")
    return {
        **event,
        "client": "driftgate",
        **({"client_url": console} if console else {}),
        "links": links,
        "payload": {
            "summary": (said.text if told.get("missed") else said.subject)[:_SUMMARY],
            "source": f"driftgate/{told.get('monitor', '')}"[:_LABEL],
            "severity": severity,
            "timestamp": written(item.created, "milliseconds"),
            "component": str(told.get("monitor", ""))[:_LABEL],
            "group": str(told.get("team") or told.get("segment") or "")[:_LABEL],
            "class": str(told.get("kind", ""))[:_LABEL],
            "custom_details": {
                name: value[:_DETAIL] for name, value in (("What", said.text), *said.facts, ("Command", said.todo)) if value
            },
        },
    }
