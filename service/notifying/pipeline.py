"""The way out of the outbox, assembled in one place: look → silence → de-duplicate → compose → send → record.

A stage is one method. It is given what the stages before it found out, and gives it on with what it found itself; once a reason not to
send is named, the others pass it on as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import structlog

from service.errors import ConflictError, NotFoundError
from service.notifying import rules, wording
from service.notifying.hushing import Hush
from service.notifying.rules import HELD, Quiet, Why, decide
from service.ports import Store
from service.records import Alarm, Family, Notice, NoticeState, OutboxItem, Severity, stable_id
from service.settings import Settings

_KINDS = frozenset({rules.OPENED, rules.WORSE, rules.REMINDER, rules.ACKNOWLEDGED, rules.RESOLVED})
_STATES = {rules.ACKNOWLEDGED: NoticeState.ACKNOWLEDGED, rules.RESOLVED: NoticeState.RESOLVED}
_LOOK_AGAIN = 60.0
"""Seconds after which what is held back is looked at again: a silence may end early."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Passing:
    """An item on its way out."""

    item: OutboxItem
    alarm: Alarm | None = None
    notice: Notice | None = None
    """What the destination was told of the alarm last."""
    quiet: Quiet | None = None
    why: Why | None = None
    """None for what is no news of an alarm: that is sent."""

    @property
    def goes(self) -> bool:
        """Whether there is anything to send."""
        return self.why is None or self.why in rules.SENT

    @property
    def waits(self) -> bool:
        """Whether there will be, perhaps."""
        return self.why in HELD

    def later(self, now: float) -> OutboxItem:
        """The item as it waits; that is no attempt."""
        until = min(self.quiet.until if self.quiet else now, now + _LOOK_AGAIN)
        return replace(self.item, due=max(until, now + 1.0), held=f"{self.why}{f', {self.quiet.by}' if self.quiet else ''}")


class Stage(Protocol):
    """One of them."""

    def __call__(self, passing: Passing, *, now: float) -> Passing: ...


def assembled(store: Store, settings: Callable[[], Settings], send: Stage) -> tuple[Stage, ...]:
    """All of them in order, around the one that sends."""
    return (Look(store), Silenced(store, settings), deduplicate, Compose(settings), send, Record(store))


def passed(stages: Iterable[Stage], item: OutboxItem, *, now: float) -> Passing:
    """What became of an item; DeliveryError where it could not be sent."""
    passing = Passing(item)
    for stage in stages:
        passing = stage(passing, now=now)
    return passing


class Look:
    """The alarm as it stands, and what was told of it."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __call__(self, passing: Passing, *, now: float) -> Passing:  # noqa: ARG002 - a stage's signature
        """Of news of an alarm alone."""
        item = passing.item
        if item.kind not in _KINDS:
            return passing
        alarm, told = str(item.payload.get("alarm")), notice_id(str(item.payload.get("alarm")), item.destination)
        return replace(passing, alarm=_found(self._store, Alarm, alarm), notice=_found(self._store, Notice, told))


class Silenced:
    """Whether a silence or a maintenance pause keeps it back."""

    def __init__(self, store: Store, settings: Callable[[], Settings]) -> None:
        self._store = store
        self._settings = settings

    def __call__(self, passing: Passing, *, now: float) -> Passing:
        """Named by whoever asked for it."""
        if passing.alarm is None:
            return passing
        return replace(passing, quiet=Hush(self._store, self._settings(), now=now).over(passing.alarm))


def deduplicate(passing: Passing, *, now: float) -> Passing:  # noqa: ARG001 - a stage's signature
    """Names the reason to send it, or not to."""
    if passing.item.kind not in _KINDS:
        return passing
    return replace(passing, why=decide(passing.item.kind, passing.alarm, passing.notice, passing.quiet))


class Compose:
    """What is said, as far as only this moment knows it: what was missed, links, and texts where they may leave."""

    def __init__(self, settings: Callable[[], Settings]) -> None:
        self._settings = settings

    def __call__(self, passing: Passing, *, now: float) -> Passing:  # noqa: ARG002 - a stage's signature
        """The same for every attempt, as long as the configuration is."""
        if not passing.goes or not (passing.item.kind in _KINDS or passing.item.kind == rules.TEST):
            return passing
        return replace(passing, item=composed(passing.item, passing.alarm, self._settings(), why=passing.why))


class Record:
    """Remembers what was told, also that nothing was."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __call__(self, passing: Passing, *, now: float) -> Passing:
        """One that is overtaken has been told by another."""
        after = noticed(passing, now)
        if after is not None:
            try:
                self._store.save(after)
            except ConflictError as error:
                log.warning("notice overtaken", alarm=after.alarm, destination=after.destination, reason=str(error))
        return passing


def noticed(passing: Passing, now: float) -> Notice | None:
    """The notice after this; None where nothing is new. What begins withheld is noted once."""
    alarm, before, why = passing.alarm, passing.notice, passing.why
    if alarm is None or why is None or not (passing.goes or (passing.waits and before is None)):
        return None
    state = _STATES.get(passing.item.kind, NoticeState.FIRING) if passing.goes else NoticeState.WITHHELD
    severity = str(passing.item.payload.get("severity", alarm.severity.value))
    if before is None:
        known_by = notice_id(alarm.id, passing.item.destination)
        return Notice(known_by, alarm.id, passing.item.destination, alarm.monitor, state, severity, now, why.value, created=now)
    again = before.told + (before.state is not NoticeState.WITHHELD)
    return replace(before, state=state, severity=severity, at=now, reason=why.value, told=again, version=before.version + 1)


def notice_id(alarm: str, destination: str) -> str:
    """Of what a destination is told of an alarm."""
    return stable_id("notice", alarm, destination)


def composed(item: OutboxItem, alarm: Alarm | None, settings: Settings, *, why: Why | None) -> OutboxItem:
    """The item with what follows from the configuration, and from what has happened since it was written."""
    told: dict[str, Any] = dict(item.payload)
    if why in {Why.MISSED, Why.LATE}:
        told = wording.missed(told, why)
    if alarm is not None and settings.notifications.exemplars == "text":
        told["exemplars"] = [exemplar.text or exemplar.id for exemplar in alarm.exemplars[: len(told["exemplars"])]]
    return replace(item, payload={**told, "links": links(told, settings)})


def links(told: Mapping[str, Any], settings: Settings) -> dict[str, str]:
    """Where to look and what to do; none that does not exist."""
    found, address = {}, settings.server.public_url
    if address and told.get("alarm"):
        page = f"{address.rstrip('/')}/console/alarms/{told['alarm']}"
        found = {"console": page, "silence": f"{page}#silence"}
    if settings.notifications.runbooks and told.get("alarm"):
        found["runbook"] = f"{settings.notifications.runbooks.rstrip('/')}/{runbook(told)}.md"
    return found


def runbook(told: Mapping[str, Any]) -> str:
    """The page of docs/runbooks that the alert of the same name leads to."""
    if told["family"] == Family.FEED:
        return "DriftgateNoTraffic" if str(told.get("kind", "")).startswith("no traffic") else "DriftgateBlind"
    return "DriftgateDriftCritical" if told["severity"] == Severity.CRITICAL else "DriftgateDrift"


def _found(store: Store, kind: type[Any], id: str) -> Any:
    try:
        return store.get(kind, id)
    except NotFoundError:
        return None
