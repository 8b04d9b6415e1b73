"""The log of changes: an entry for whatever somebody changes, written with the change or not at all."""

from __future__ import annotations

import dataclasses
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from enum import Enum
from functools import partial
from typing import Any, cast

from service.access.acting import Acting, who_acts
from service.errors import NotFoundError
from service.pages import paged
from service.ports import Store
from service.records import KINDS, Alarm, AuditEntry, Entity, Errand, Event, KeyedAnswer, OutboxItem, Partition, RefreshSlot

_OWN: tuple[type, ...] = (AuditEntry, Errand, KeyedAnswer, RefreshSlot)
"""What only the program itself goes by."""

_UNSHOWN = frozenset({"history", "digest", "former", "id", "monitor", "created"})
_WORDS = frozenset({"name", "origin", "batch", "cycle", "teams", "monitors", "created_by", "source", "team"})
"""Fields whose text is a name; of all other text only that it changed is kept, as people or samples may have written it."""
_OF_ALARMS = frozenset({"state", "version", "verdict", "quiet"})
"""Of an alarm, what people change; the rest goes on moving with what is measured."""
_SETTINGS = frozenset({"settings", "given"})
_LONGEST, _MOST = 200, 100

_PAGE, _DAY = 1_000, 86_400.0


class Audited:
    """A store that writes down who changes what, while somebody is acting; in all else the store itself."""

    def __init__(self, store: Store, *, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def save(self, *entities: Entity, outbox: Sequence[OutboxItem] = ()) -> None:
        """In one transaction with the entries."""
        by = who_acts()
        if by is None:
            self._store.save(*entities, outbox=outbox)
            return
        entries = [self._changed(by, entity) for entity in entities if not isinstance(entity, _OWN)]
        self._store.save(*entities, *entries, outbox=outbox)
        by.recorded += len(entries)

    def settle(self, item: OutboxItem) -> None:
        """An item that somebody makes due again."""
        self._store.settle(item)
        self._note("outbox item", item.id, after={"state": item.state, "destination": item.destination})

    def record_event(self, event: Event) -> Event:
        """Somebody's act on an alarm, or another change that is decided with the monitor's log."""
        by = who_acts()
        if by is None:
            return self._store.record_event(event)
        try:
            by.owed.append((self._store.get(Alarm, event.subject), event))
        except NotFoundError:
            recorded = self._store.record_event(event)
            self._note(f"{event.kind} of a monitor", event.subject, {"actor": event.actor, **_plain(event.body)}, event.monitor)
            return recorded
        return self._store.record_event(event)

    def reset(self, partition: Partition, offset: int, events: Sequence[Event] = ()) -> None:
        """Where somebody has a log read on."""
        self._store.reset(partition, offset, events)
        self._note("partition", str(partition), after={"offset": offset})

    def _note(self, kind: str, subject: str, after: Mapping[str, Any], monitor: str = "") -> None:
        by = who_acts()
        if by is not None:
            note(self._store, by, now=self._clock(), kind=kind, subject=subject, monitor=monitor, after=after)

    def _changed(self, by: Acting, entity: Entity) -> AuditEntry:
        before = None
        if entity.version > 1:
            with suppress(NotFoundError):  # saving it says what is wrong
                before = self._store.get(type(entity), entity.id)
        was, became = difference(before, entity)
        subject = KINDS[type(entity)], entity.id
        return _entry(by, subject, monitor=entity.monitor, before=was, after=became, now=self._clock())


def audited(store: Store, *, clock: Callable[[], float] = time.time) -> Store:
    """The store with its log of changes."""
    return cast("Store", Audited(store, clock=clock))


def note(store: Store, by: Acting, *, now: float, kind: str = "", subject: str = "", monitor: str = "", after: Any = None) -> None:  # noqa: PLR0913 - what an entry says
    """An entry of a change that is none of an entity."""
    store.save(_entry(by, (kind, subject), monitor=monitor, before=None, after=after, now=now))
    by.recorded += 1


def settle_up(store: Store, by: Acting, *, now: float) -> None:
    """Writes down what acts on alarms have led to by now; of one that changed nothing, nothing."""
    for before, event in by.owed:
        after = store.get(Alarm, before.id)
        if after.version == before.version:
            continue
        was, became = difference(before, after)
        became = {name: became[name] for name in became if name in _OF_ALARMS} | {"actor": event.actor}
        was = {name: value for name, value in (was or {}).items() if name in _OF_ALARMS}
        store.save(_entry(by, (KINDS[Alarm], before.id), monitor=before.monitor, before=was, after=became, now=now))
        by.recorded += 1
    by.owed.clear()


def expired(store: Store, *, days: float, now: float) -> int:
    """Lets entries go that are older; returns how many went."""
    old = [entry.id for entry in entries(store) if entry.created < now - days * _DAY]
    for first in range(0, len(old), _PAGE):
        store.drop(AuditEntry, old[first : first + _PAGE])
    return len(old)


def entries(store: Store, *, monitor: str | None = None) -> Iterator[AuditEntry]:
    """All of them, newest first, a page at a time."""
    return paged(partial(store.find, AuditEntry, monitor=monitor), _PAGE)


def difference(before: Entity | None, after: Entity) -> tuple[Mapping[str, Any] | None, Mapping[str, Any]]:
    """What the change was: state, version and the fields that differ, without any text that people or samples brought."""
    names = [field.name for field in dataclasses.fields(after) if field.name not in _UNSHOWN]
    changed = [name for name in names if before is None or getattr(before, name) != getattr(after, name)]
    told = dict.fromkeys(["state", "version", *(name for name in changed if name not in _SETTINGS)])
    became = {name: _shown(name, getattr(after, name)) for name in told}
    was = None if before is None else {name: _shown(name, getattr(before, name)) for name in told}
    for name in sorted(_SETTINGS & set(changed)):
        old = {} if before is None else dict(_flat(getattr(before, name)))
        new = dict(_flat(getattr(after, name)))
        paths = [path for path in sorted(old.keys() | new.keys()) if old.get(path) != new.get(path)][:_MOST]
        became[name] = {path: new.get(path) for path in paths}
        if was is not None:
            was[name] = {path: old.get(path) for path in paths}
    return was, became | _by(after)


def _plain(body: Mapping[str, Any]) -> dict[str, Any]:
    """What of an event's body is no text."""
    return {name: value for name, value in body.items() if value is None or isinstance(value, bool | int | float)}


def _by(entity: Entity) -> dict[str, Any]:
    """Whom the history names."""
    history = getattr(entity, "history", ())
    return {"actor": history[-1].actor[:_LONGEST]} if history and history[-1].actor else {}


def _shown(name: str, value: Any) -> Any:
    match value:
        case None | bool() | int() | float():
            return value
        case Enum():
            return value.value
        case str():
            return value[:_LONGEST] if name in _WORDS or not value else "(text)"
        case tuple() if name in _WORDS:
            return [str(each)[:_LONGEST] for each in value[:_MOST]]
        case tuple() | list() | Mapping():
            return f"({len(value)})"
        case _:
            return "(changed)"


def _flat(settings: Mapping[str, Any], before: str = "") -> Iterable[tuple[str, Any]]:
    """Settings by their dotted names."""
    for name, value in settings.items():
        path = f"{before}{name}"
        if isinstance(value, Mapping):
            yield from _flat(value, f"{path}.")
        elif isinstance(value, str):
            yield path, value[:_LONGEST]
        elif isinstance(value, list | tuple):
            yield path, [str(each)[:_LONGEST] for each in value[:_MOST]]
        else:
            yield path, value


def _entry(by: Acting, subject: tuple[str, str], *, monitor: str, before: Any, after: Any, now: float) -> AuditEntry:
    return AuditEntry(
        id=secrets.token_hex(10),
        monitor=monitor,
        created=now,
        who=by.who,
        way=by.way,
        token=by.token,
        address=by.address,
        operation=by.operation(),
        kind=subject[0],
        subject=subject[1],
        before=before,
        after=after,
        version=1,
    )
