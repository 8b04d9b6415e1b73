"""Everything in a store that shows samples besides the samples themselves: entities, outbox items, dead letters."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from service.annotation.manifest import is_intact, sealed
from service.errors import ConflictError
from service.pages import paged
from service.ports import Store
from service.privacy.documents import changed
from service.records import Alarm, AnnotationBatch, DeadLetter, Delivery, Entity, OutboxItem, RefreshCycle

SHOWING: tuple[type[Entity], ...] = (Alarm, AnnotationBatch, RefreshCycle, Delivery)
"""Kinds of entities that may show samples."""

_ATTEMPTS = 5
_SHORT = 6

K = TypeVar("K", bound=Entity)
R = TypeVar("R", Entity, OutboxItem, DeadLetter)
Change = Callable[[Any], Any]


def change_entities(store: Store, monitor: str, change_of: Callable[[Entity], Change | None]) -> int:
    """Rewrites what shows samples; how many entities changed."""
    found = 0
    for kind in SHOWING:
        for entity in list(entities(store, kind, monitor)):
            change = change_of(entity)
            found += change is not None and _change(store, entity, change)
    return found


def _change(store: Store, entity: Entity, change: Change) -> bool:
    """Again where somebody else changed it meanwhile."""
    for _ in range(_ATTEMPTS):
        after = changed(entity, change)
        if after is None:
            return False
        if isinstance(after, AnnotationBatch) and isinstance(entity, AnnotationBatch) and is_intact(entity):
            after = sealed(after)  # what was sent with it can't be shown any more
        try:
            store.save(replace(after, version=entity.version + 1))
        except ConflictError:
            entity = store.get(type(entity), entity.id)
        else:
            return True
    raise ConflictError(f"{type(entity).__name__} {entity.id}: somebody else keeps changing it; try again")


def change_outbox(store: Store, change_of: Callable[[OutboxItem], Change | None]) -> int:
    """Rewrites items, wherever they stand, as soon as they are read: somebody delivers them meanwhile. How many changed."""
    found = 0
    for item in paged(store.outbox):
        change = change_of(item)
        after = None if change is None else changed(item.payload, change)
        if after is not None:
            store.reword(replace(item, payload=after))
            found += 1
    return found


def drop_letters(store: Store, goes: Callable[[DeadLetter], bool]) -> int:
    """Lets dead letters go."""
    old = [letter.id for letter in paged(store.dead_letters) if goes(letter)]
    return store.drop_dead_letters(old) if old else 0


def tells_of(letter: DeadLetter, names: Collection[str]) -> bool:
    """Whether a letter holds one of the ids."""
    original, rejected = letter.original, letter.rejected
    held = (original.key, original.value, *(value for _, value in original.headers)) if original else ()
    return names_in(names, (rejected.original, rejected.message.encode(), *held))


def names_in(names: Collection[str], contents: Iterable[bytes | None]) -> bool:
    """Whether one of the ids stands there by itself, or in quotes where it is so short that it could be anything."""
    forms = [f'"{re.escape(name)}"' if len(name) < _SHORT else rf"(?<![\w-]){re.escape(name)}(?![\w-])" for name in names]
    pattern = re.compile("|".join(forms).encode())
    return any(pattern.search(content) for content in contents if content)


def entities(store: Store, kind: type[K], monitor: str) -> Iterator[K]:
    """All of a monitor, newest first."""
    return paged(partial(store.find, kind, monitor=monitor))
