"""Carries the answers of a cycle through the label checks: once checked, once asked again where they are in doubt, then judged."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, replace

import structlog

from service import refresh
from service.label_checks.checking import HALF, Checked, check
from service.label_checks.events import CHECKED, HELD_BACK
from service.label_checks.holding import Held, weighed
from service.label_checks.judging import judge
from service.label_checks.people import Person
from service.ports import Store
from service.records import AnnotationBatch, Candidate, Event, RefreshCycle, stable_id
from service.selecting.reading import Reading
from service.selecting.spending import Purse, opinions_purse
from service.transitions import as_one_change

DOUBTFUL = 0.25
"""Probability of being wrong from which an answer is worth a second opinion."""

_PEOPLE = 100
"""Annotators of a batch that are told of."""

log = structlog.get_logger()


class LabelChecks:
    """Every step is idempotent: what was found is kept with the batch, and no answer is asked about a third time."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def step(self, cycle: RefreshCycle, read: Reading, *, now: float) -> bool:
        """Whether answers of the cycle's newest batch, which is answered, had to be asked about again first; else they are judged."""
        newest = self._store.get(AnnotationBatch, cycle.batch)
        doubted, second = both(self._store, newest)
        if any(item.outcome is not None for item in doubted.items):
            return False
        checked = check(read, doubted, second)
        again = doubtful(checked.batch, read, cycle, now=now) if second is None and read.settings.selection.label_checks else ()
        if again:
            refresh.second_opinions(self._store, cycle, as_one_change(checked.batch, doubted.version), again, read.settings, now=now)
            log.info("second opinions asked", monitor=cycle.monitor, cycle=cycle.id, doubted=doubted.id, answers=len(again))
            return True
        final = judge(read, checked.batch)
        self._store.record_event(_told(cycle, replace(checked, batch=final), second, now))  # first: outcomes say that all is done
        if final.items != doubted.items:
            self._store.save(as_one_change(final, doubted.version))
        return False

    def held_back(self, cycle: RefreshCycle, read: Reading, names: Collection[str], *, now: float) -> Held | None:
        """Keeps what holding back these candidates of the cycle spares and costs; None where nothing is."""
        batches = [self._store.get(AnnotationBatch, name) for name in cycle.batches]
        found = weighed(read, [batch for batch in batches if not any(item.again for item in batch.items)], names)
        if found is not None:
            name = stable_id(HELD_BACK, cycle.id)
            self._store.record_event(Event(name, cycle.monitor, HELD_BACK, now, "driftgate", cycle.id, asdict(found)))
        return found


def both(store: Store, newest: AnnotationBatch) -> tuple[AnnotationBatch, AnnotationBatch | None]:
    """A batch that was answered, with the one that asked about some of its answers again, where the newest of a cycle does."""
    doubted = next((item.again for item in newest.items if item.again), "")
    return (store.get(AnnotationBatch, doubted), newest) if doubted else (newest, None)


def doubtful(batch: AnnotationBatch, read: Reading, cycle: RefreshCycle, *, now: float) -> tuple[Candidate, ...]:
    """What is asked about once more, the most doubtful first, as far as the budgets reach: to be answered blind, by one annotator. What the
    rounds so far have left of their parts of the budget is this one's too; later ones keep theirs."""
    purse = opinions_purse(read.settings, read.batches, cycle.id)
    due = due_opinions(purse, batch.round, cycle.rounds)
    most = max(0, min(due, *(other.labels for other in (purse, *read.purses(cycle.id, now)))))
    found = sorted((item for item in batch.items if (item.doubt or 0.0) >= DOUBTFUL), key=lambda item: -(item.doubt or 0.0))
    return tuple(replace(item, again=batch.id, answers=1, doubt=None, against=()) for item in found[:most])


def due_opinions(purse: Purse, number: int, rounds: int) -> int:
    """How many may be asked after the round of this number."""
    return math.ceil(purse.limit * min(number / max(rounds, 1), 1.0) - purse.spent - 1e-9)


def oddest(people: Sequence[Person]) -> Sequence[Person]:
    """As many as are kept, those who are wrong most often first."""
    return sorted(people, key=lambda person: (-person.random - person.same, -person.wrong, person.name))[:_PEOPLE]


def _told(cycle: RefreshCycle, checked: Checked, second: AnnotationBatch | None, now: float) -> Event:
    batch = checked.batch
    asked = {item.id for item in second.items} if second is not None else set()
    known = [item for item in batch.items if item.doubt is not None]
    body = {
        "cycle": cycle.id,
        "round": batch.round,
        "answers": len(known),
        "wrong": round(sum(person.wrong * person.answers for person in checked.people), 2),
        "asked_again": len(asked),
        "settled": sum(item.settled is not None for item in known),
        "left_out": sum((item.doubt or 0.0) > HALF for item in known),
        "gold": _gold(checked.people),
        "outcomes": _outcomes(batch),
        "annotators": [asdict(person) for person in oddest(checked.people)],
    }
    return Event(stable_id(CHECKED, batch.id), cycle.monitor, CHECKED, now, "driftgate", batch.id, body)


def _gold(people: Sequence[Person]) -> Mapping[str, int]:
    right, asked = sum(person.gold_right for person in people), sum(person.gold for person in people)
    return {"right": right, "wrong": asked - right}


def _outcomes(batch: AnnotationBatch) -> Mapping[str, Mapping[str, int]]:
    """By what candidates were asked for."""
    found: dict[str, Counter[str]] = {}
    for item in batch.items:
        if item.outcome is not None:
            found.setdefault(item.purpose.value, Counter())[item.outcome.value] += 1
    return found
