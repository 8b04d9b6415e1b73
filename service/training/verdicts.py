"""A verdict once more: a model that was made again, judged as the one before it was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from service.annotation import naming, scheme_of
from service.datasets import DataSets
from service.errors import ArtefactError, NotFoundError
from service.looks import Attempt
from service.ports import Store
from service.records import AnnotationBatch, RefreshCycle
from service.reference import Progress
from service.selecting import challenge
from service.selecting.asking import asked
from service.settings import MonitorSettings
from service.verifying import Model, decisive, judge, next_look


class Rows(Protocol):
    """What judging again asks of the installation."""

    @property
    def store(self) -> Store:
        """Cycles, and looks at golden rows."""

    @property
    def data_sets(self) -> DataSets:
        """Rows."""


@dataclass(frozen=True, slots=True, eq=False)
class Recorded:
    """A cycle with its verdict, the settings and the model of then, the model that was judged, and the one that was made again."""

    cycle: RefreshCycle
    settings: MonitorSettings
    old: Model
    first: Model
    again: Model


def same_verdict(recorded: Recorded, site: Rows, progress: Progress) -> bool | None:
    """Whether the model that was made again gets the verdict on record, on the rows and at the look that it was reached with.

    None where that can't be told: there is no verdict, golden rows had no say in it, what was judged is a switch, or rows, class names or
    what is asked of a model are not what they were. The look is one that was recorded then, so none is spent.
    """
    cycle, found = recorded.cycle, recorded.cycle.verification or {}
    plain = cycle.model is not None and cycle.served is not None and cycle.served.checksum == cycle.model.checksum
    if not plain or "golden_version" not in found:
        return None
    called = naming(scheme_of(site.store, cycle.monitor))
    old, first, again = (Model(each.embedder, tuple(map(called, each.classes))) for each in (recorded.old, recorded.first, recorded.again))
    drawn, settings = challenge.of_cycle(site.store, site.data_sets, cycle), recorded.settings
    try:
        subject = decisive(old, first, drawn, settings)
        look = next_look(site.store, site.data_sets, cycle.monitor, settings.refresh, *subject, version=int(found["golden_version"]))
    except (NotFoundError, ArtefactError):
        return None
    if not _is_of(look, found):
        return None
    design = _design(site.store, cycle)

    def weigh(ids: Sequence[str], right: Any) -> Mapping[str, Any] | None:
        return challenge.weighted(design, ids, right, confidence=settings.refresh.confidence)

    judged = judge(old, again, look, drawn, settings, weigh=weigh, progress=progress)
    return bool(judged.verification["verdict"] == found["verdict"])


def _is_of(look: Attempt, found: Mapping[str, Any]) -> bool:
    """Whether the verdict was reached with this look."""
    return look.known and look.drawn.use == found.get("attempt")


def _design(store: Store, cycle: RefreshCycle) -> challenge.Design:
    history = asked(store, [store.get(AnnotationBatch, name) for name in cycle.batches])
    return challenge.Design.of(history.items.values(), history.answers)
