"""The versions of monitors' label schemes, as they are kept: none ever changes, and two people never write the same one."""

from __future__ import annotations

from collections.abc import Sequence

from service.annotation.scheme import Words, first, following
from service.errors import ConflictError, NotFoundError
from service.ports import Store
from service.records import LabelScheme
from service.settings import MonitorSettings

_VERSIONS = 10_000
BY_ITSELF = frozenset({"", "driftgate"})
"""Who made versions that no person wrote."""


def scheme_of(store: Store, monitor: str) -> LabelScheme | None:
    """The newest version; None before the first batch, where nobody wrote one."""
    return max(versions(store, monitor), key=lambda scheme: scheme.number, default=None)


def versions(store: Store, monitor: str) -> Sequence[LabelScheme]:
    """All of them."""
    return store.find(LabelScheme, monitor=monitor, limit=_VERSIONS)


def version(store: Store, monitor: str, number: int) -> LabelScheme:
    """One of them; NotFoundError names what there is."""
    found = {scheme.number: scheme for scheme in versions(store, monitor)}
    if number not in found:
        raise NotFoundError(f"monitor {monitor}: no version {number} of its label scheme; it has {_listed(found)}")
    return found[number]


def in_force(store: Store, settings: MonitorSettings, *, now: float) -> LabelScheme:
    """The version by which a batch is answered that goes out now: the newest, or one that is not kept yet, as it follows from the
    monitor's classes. What a person wrote is never added to: it may leave classes out."""
    kept = versions(store, settings.name)
    if not kept:
        return first(settings.name, settings.labels, now=now)
    newest = max(kept, key=lambda scheme: scheme.number)
    missing = unheard(newest, settings.labels)
    if not missing or any(scheme.actor not in BY_ITSELF for scheme in kept):
        return newest
    return following(newest, missing, now=now)


def unheard(scheme: LabelScheme, classes: Sequence[str]) -> list[str]:
    """Classes that the scheme has no word for."""
    names, words = {each.name for each in scheme.classes}, Words(scheme)
    return [name for name in classes if words.canonical(name) not in names]


def keep(store: Store, scheme: LabelScheme, *, after: int) -> LabelScheme:
    """Saves the version that follows `after`; ConflictError where somebody else was faster."""
    newest = scheme_of(store, scheme.monitor)
    number = newest.number if newest else 0
    if number != after:
        raise ConflictError(
            f"monitor {scheme.monitor}: version {number} of its label scheme is in force, and the change was made to version {after}; "
            "look at it again"
        )
    store.save(scheme)
    return scheme


def _listed(numbers: Sequence[int] | dict[int, LabelScheme]) -> str:
    return ", ".join(map(str, sorted(numbers))) or "none yet"
