"""Changes of a label scheme by people: every one is the next version, made to the one that was read."""

from __future__ import annotations

from collections.abc import Callable

from service.annotation.returning import recount
from service.annotation.schemes import in_force, scheme_of
from service.errors import ConflictError
from service.ports import Store
from service.records import LabelScheme
from service.settings import MonitorSettings


def edited(
    store: Store, settings: MonitorSettings, change: Callable[[LabelScheme], LabelScheme], *, after: int | None = None, now: float
) -> LabelScheme:
    """The scheme after the change; words that mean something by it count as answers from then on. ConflictError where another version
    than `after` is in force."""
    before = in_force(store, settings, now=now)
    if after is not None and after != before.number:
        raise ConflictError(
            f"monitor {settings.name}: version {before.number} of its label scheme is in force, and the change was made to version "
            f"{after}; read it again"
        )
    made = change(before)
    if _says(made) == _says(before):
        return before
    unsaved = () if scheme_of(store, settings.name) == before else (before,)
    store.save(*unsaved, made)
    recount(store, settings.name, quota=settings.annotation.quota, now=now)
    return made


def _says(scheme: LabelScheme) -> tuple[object, ...]:
    return scheme.classes, scheme.guideline, scheme.renamed
