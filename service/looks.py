"""Looks at golden rows, recorded before they are taken: whoever learns how one ended has used the rows.

Where more of how it ended was told than the look is counted for, its rows are not looked at again. Golden that corrects labels tells two
verdicts at once, with the correction and without: later ones count that as two looks.
The same models judged on the same golden set end the same again, which tells nobody anything new, and is no further look.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from service.corrections import CORRECTS
from service.datasets import DataSet, DataSets, Part
from service.errors import ConflictError, InputError
from service.golden import Contents, Drawn, Look, Promise, contents_of, draw
from service.ports import Store
from service.records import Event, stable_id

LOOKED = "golden.looked"
"""The event that says that rows were looked at."""


TOLD = "golden.told"
"""The event that says that more was told of a look than how it ended."""


@dataclass(frozen=True, slots=True, eq=False)
class Attempt:
    """Rows for one look; `number` counts those at the part, `known` says that this one is recorded already."""

    part: Part
    golden: DataSet
    drawn: Drawn
    subject: str
    number: int
    known: bool

    @property
    def checksum(self) -> str:
        """Of the whole part."""
        return self.golden.part(self.part).checksum


def golden_of(data_sets: DataSets, monitor: str) -> DataSet:
    """The newest golden set; without one nothing can be promised."""
    if not data_sets.versions(monitor, "golden"):
        raise InputError(
            "no_golden",
            f"monitor {monitor}: no golden set, so no bound on what a new model breaks; `driftgate plan` says how to start one",
        )
    return data_sets.load(monitor, "golden")


def attempt(store: Store, golden: DataSet, data_sets: DataSets, part: Part, *, judged: Sequence[object], promise: Promise) -> Attempt:
    """The rows of the part for a look at what is `judged` (all that decides how it ends: models, their classes)."""
    monitor = str(golden.manifest["monitor"])
    subject = stable_id(part, promise.rate, promise.delta, golden.checksum, *judged)
    made = _made(store, monitor, part)
    number = next((i for i, event in enumerate(made) if event.subject == subject), len(made))
    before = contents_of(data_sets, monitor, part, map(_look, made[:number]))
    twice = [contents for contents, event in zip(before, made, strict=False) if event.body.get("corrects")]
    drawn = draw(golden, part, [*before, *twice], promise, _together(before[place] for place in _told(store, monitor, part, number)))
    return Attempt(part, golden, drawn, subject, number + 1, known=number < len(made))


def met(store: Store, data_sets: DataSets, monitor: str, part: Part) -> list[Contents]:
    """The rows that each look so far has met."""
    return contents_of(data_sets, monitor, part, map(_look, _made(store, monitor, part)))


def record(store: Store, attempt: Attempt, *, actor: str, now: float) -> None:
    """Before the rows are looked at; ConflictError where somebody else was faster."""
    if attempt.known:
        return
    monitor, drawn = str(attempt.golden.manifest["monitor"]), attempt.drawn
    body = {
        "part": attempt.part,
        "version": attempt.golden.version,
        "fresh": drawn.fresh,
        "use": drawn.use,
        "rows": len(drawn.rows.rows),
        "corrects": attempt.part == "verify" and CORRECTS in attempt.golden.manifest,
    }
    event = Event(stable_id(LOOKED, monitor, attempt.part, attempt.number), monitor, LOOKED, now, actor, attempt.subject, body)
    if store.record_event(event).subject != attempt.subject:
        raise ConflictError(f"monitor {monitor}: somebody else looked at the same golden rows meanwhile, which used them; run it again")


def spend(store: Store, golden: DataSet, part: Part, *, subject: str, actor: str, now: float) -> None:
    """A look at the whole part without a model: somebody decided by hand what its labels are, and may know what models say of its rows."""
    monitor, made = str(golden.manifest["monitor"]), _made(store, str(golden.manifest["monitor"]), part)
    if any(event.subject == subject for event in made):
        return
    body = {"part": part, "version": golden.version, "fresh": False, "use": len(made) + 1, "rows": len(golden.part(part).rows)}
    event = Event(stable_id(LOOKED, monitor, part, len(made) + 1), monitor, LOOKED, now, actor, subject, body)
    if store.record_event(event).subject != subject:
        raise ConflictError(f"monitor {monitor}: somebody else looked at the same golden rows meanwhile, which used them; run it again")


def tell(store: Store, attempt: Attempt, *, actor: str, now: float) -> None:
    """Before more is told of a look that was recorded than how it ended."""
    monitor = str(attempt.golden.manifest["monitor"])
    looks = len(_made(store, monitor, attempt.part))
    body = {"part": attempt.part, "look": attempt.number, "looks": looks}
    store.record_event(Event(stable_id(TOLD, monitor, attempt.part, attempt.number), monitor, TOLD, now, actor, attempt.subject, body))


def _told(store: Store, monitor: str, part: Part, looks: int) -> list[int]:
    """Places of the looks of which more had been told when so many had been taken: a look that is repeated draws what it drew."""
    events = (event for event in store.events(monitor) if event.kind == TOLD and event.body["part"] == part)
    return [int(event.body["look"]) - 1 for event in events if int(event.body["looks"]) <= looks]


def _together(contents: Iterable[Contents]) -> Contents:
    listed = list(contents)
    return None if None in listed else frozenset[str]().union(*(each for each in listed if each))


def _made(store: Store, monitor: str, part: Part) -> list[Event]:
    return [event for event in store.events(monitor) if event.kind == LOOKED and event.body["part"] == part]


def _look(event: Event) -> Look:
    return Look(int(event.body["version"]), bool(event.body["fresh"]))
