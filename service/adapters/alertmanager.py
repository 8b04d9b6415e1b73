"""Alarms as alerts of Alertmanager's v2 API: sent again while they stand, so that they expire when nobody sends them any more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import structlog

from service.errors import ConfigurationError, DeliveryError
from service.moments import written
from service.notifying import rules
from service.notifying.rules import TEST, WORSE
from service.notifying.wording import message
from service.outbound import Outgoing
from service.records import OutboxItem
from service.settings import AlertmanagerDestination as Declared
from service.settings import read_token

PATH = "/api/v2/alerts"
_LAST = 4
"""Sendings that an alert outlives: as Prometheus has it."""
_MISSED_SECONDS = 300.0
"""How long an alarm is shown that was over before it could be told."""
_TEST_SECONDS = 60.0
_BATCH = 200
_ALERTS = frozenset({rules.OPENED, WORSE, rules.ACKNOWLEDGED, rules.RESOLVED, TEST})
_ALARM, _MISSED, _TEST = "DriftgateAlarm", "DriftgateAlarmMissed", "DriftgateTest"

log = structlog.get_logger()


class AlertmanagerDestination:
    """Every Alertmanager of a cluster is told; it has arrived once one has it, since each of them may notify."""

    def __init__(self, declared: Declared, outgoing: Outgoing) -> None:
        self.resend_seconds = declared.resend_seconds
        self._declared = declared
        self._outgoing = outgoing
        _authority(declared)

    def deliver(self, item: OutboxItem, *, now: float) -> None:
        """News of an alarm. What is no alarm, and reminders, which Alertmanager sees to itself, count as delivered."""
        if item.kind in _ALERTS:
            self._send(_alerts(item, self._declared, now), now=now)

    def resend(self, items: Sequence[OutboxItem], *, now: float) -> None:
        """What stands, and what was resolved a moment ago."""
        alerts = [alert for item in items for alert in _alerts(item, self._declared, now)]
        for start in range(0, len(alerts), _BATCH):
            self._send(alerts[start : start + _BATCH], now=now)

    def close(self) -> None:
        """Closes the connections that are kept open."""
        self._outgoing.close()

    def _send(self, alerts: Sequence[Mapping[str, Any]], *, now: float) -> None:
        try:
            headers = {"content-type": "application/json", **_authority(self._declared)}
        except ConfigurationError as error:
            raise DeliveryError(str(error), retryable=True) from error
        body, failures = msgspec.json.encode(alerts), []
        for url in self._declared.urls:
            try:
                self._outgoing.post(url.rstrip("/") + PATH, body, headers, now=now)
            except DeliveryError as failure:
                failures.append(failure)
                log.warning("alertmanager not told", destination=self._declared.name, reason=str(failure))
        if len(failures) == len(self._declared.urls):
            again = [failure for failure in failures if failure.retryable]
            raise (again or failures)[0]


def _alerts(item: OutboxItem, declared: Declared, now: float) -> list[dict[str, Any]]:
    """One alert; where the severity has risen, the end of the one before too: it is another by its labels."""
    told = item.payload
    resolved, missed = told.get("state") == "resolved", bool(told.get("missed"))
    stands = now + _LAST * declared.resend_seconds
    if item.kind == TEST:
        return [_alert(item, _TEST, declared, ends=now + _TEST_SECONDS, now=now)]
    if resolved and missed:
        return [_alert(item, _MISSED, declared, ends=now + _MISSED_SECONDS, now=now)]
    alerts = [_alert(item, _ALARM, declared, ends=now if resolved else stands, now=now)]
    if item.kind == WORSE:
        alerts.append({**alerts[0], "labels": {**alerts[0]["labels"], "severity": "warning"}, "endsAt": written(now)})
    return alerts


def _alert(item: OutboxItem, name: str, declared: Declared, *, ends: float, now: float) -> dict[str, Any]:
    told, said = item.payload, message(item)
    links = told.get("links") or {}
    labels = {field: str(told[field]) for field in ("monitor", "segment", "family", "severity", "team") if told.get(field)}
    annotations = {
        "summary": said.subject,
        "description": said.text,
        "alarm": str(told.get("alarm", "")),
        "command": said.todo.strip("`"),
        "console_url": links.get("console", ""),
        "runbook_url": links.get("runbook", ""),
        "silence_url": links.get("silence", ""),
        **{label.lower().replace(" ", "_"): value for label, value in said.facts},
    }
    return {
        "labels": {"alertname": name, **declared.labels, **labels},
        "annotations": {field: value for field, value in annotations.items() if value},
        "startsAt": written(min(float(told.get("opened", now)), now)),
        "endsAt": written(ends),
        **({"generatorURL": links["console"]} if links.get("console") else {}),
    }


def _authority(declared: Declared) -> dict[str, str]:
    token = read_token(declared)
    return {"authorization": f"Bearer {token}"} if token else {}
