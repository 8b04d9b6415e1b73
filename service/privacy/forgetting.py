"""One sample goes from everywhere: an answer says where it was, whom was asked to delete it, and what lies outside."""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import structlog

from service.annotation.shown import items_by_shown
from service.artefacts import LOCAL
from service.errors import ConflictError, NotFoundError
from service.ports import Folders, Store
from service.privacy import requests, showing
from service.privacy.artefacts import Artefacts
from service.privacy.documents import Without
from service.privacy.leaving import left_behind
from service.records import AnnotationBatch, DeadLetter, FailureMark, OutboxItem, Step, stable_id
from service.records.erasure import Doomed, ErasureState, Forgotten, forgotten_id
from service.words import excerpt

FORGET = "annotation.forget"

OUTSIDE = (
    "models that were trained with it, and figures over many samples",
    "Kafka: the topics' own retention, for samples and for dead letters",
    "backups of the store and of the directory, and snapshots of disks",
    "files that were exported or delivered: folders of annotation batches, reports, training archives, what webhooks received",
    "the files and systems that it came from: it is refused when it comes again, but they still hold it",
)
"""What driftgate can't reach."""

_SHORTEST = 12
"""Characters of a text from which on it can be nobody else's."""

_EXEMPLAR, _LOOKED_AT = 200, 1_000

_LEASE, _LEASE_SECONDS = "forgetting", 900.0
_LOOK, _PATIENCE, _ATTEMPTS = 0.05, 60.0, 5

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Erasure:
    """What was done."""

    monitor: str
    sample: str
    erased: Mapping[str, int]
    """Where it was → how often."""
    asked: tuple[str, ...]
    """Destinations that are asked to delete it."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where samples lie besides the store."""

    directory: Path
    folders: Folders = LOCAL
    others: Callable[[str], Iterable[AbstractContextManager[Store]]] = lambda _: ()
    """Stores of a monitor's backfills."""
    blot: Callable[[str, str], int] = lambda _monitor, _sample: 0
    """Takes a monitor's sample out of the embedded log."""
    settle: Callable[[], None] = lambda: None
    """Gives those time who were about to keep what they had taken before."""

    def artefacts(self, monitor: str) -> Artefacts:
        """The monitor's published folders."""
        return Artefacts(self.directory, self.folders, monitor)


class Forgetting:
    """Carries erasures out; each step may be repeated, so that one that was cut short goes on from its record."""

    def __init__(self, store: Store, places: Places) -> None:
        self._store = store
        self._places = places

    def forget(self, sample: str, monitors: Sequence[str], *, actor: str, now: float) -> Sequence[Erasure]:
        """Of each monitor, also of one that was withdrawn; once is as good as twice."""
        for monitor in monitors:
            self._note(monitor, sample, actor, now)
        with self._alone() as is_alone:
            if not is_alone:
                raise ConflictError("other samples are being forgotten; this one is next, and `GET /v1/forgotten` says when it is done")
            return [self._settled(monitor, sample, now) for monitor in monitors]

    def all_of(self, declared: Iterable[str]) -> Sequence[str]:
        """Those monitors, and all that were withdrawn."""
        return list(dict.fromkeys([*declared, *left_behind(self._store)]))

    def step(self, monitors: Iterable[str], *, now: float) -> int:
        """Goes on with what was cut short; returns how many that were."""
        carried = 0
        if self._pending(monitors):
            with self._alone(seconds=0.0) as is_alone:
                for each in self._pending(monitors) if is_alone else ():
                    self._carry_out(each, now=now)
                    carried += 1
        return carried + self._tidy()

    def _pending(self, monitors: Iterable[str]) -> Sequence[Forgotten]:
        waiting = (self._store.find(Forgotten, monitor=name, states=[ErasureState.PENDING]) for name in self.all_of(monitors))
        return [each for found in waiting for each in found]

    @contextmanager
    def _alone(self, *, seconds: float = _PATIENCE) -> Iterator[bool]:
        """Erasures rewrite the same folders: one after the other, whichever process carries them out. False where others take longer."""
        holder, until = secrets.token_hex(8), time.monotonic() + seconds
        while not (is_alone := self._store.lease(_LEASE, holder, _LEASE_SECONDS) is not None) and time.monotonic() < until:
            time.sleep(_LOOK)
        try:
            yield is_alone
        finally:
            self._store.release(_LEASE, holder)

    def _settled(self, monitor: str, sample: str, now: float) -> Erasure:
        """Whoever had the turn before may have done it."""
        known = self._store.get(Forgotten, forgotten_id(monitor, sample))
        if known.state is ErasureState.DONE:
            return Erasure(monitor, sample, known.erased, ())
        return self._carry_out(known, now=now)

    def _tidy(self) -> int:
        """Who has been told what to delete need not be told again."""
        told = [item for item in self._store.outbox(states=["delivered"], limit=_LOOKED_AT) if item.kind == FORGET and item.payload["ids"]]
        for item in told:
            self._store.reword(replace(item, payload={**item.payload, "ids": []}))
        return len(told)

    def _note(self, monitor: str, sample: str, actor: str, now: float) -> None:
        """From here on nobody takes it."""
        step = Step(ErasureState.PENDING, "asked", now, actor)
        new = Forgotten(forgotten_id(monitor, sample), monitor, ErasureState.PENDING, now)
        self._record(new, lambda known: replace(known, state=ErasureState.PENDING, sample=sample, history=(*known.history, step)))

    def _carry_out(self, forgotten: Forgotten, *, now: float) -> Erasure:
        """What shows it first: the sample itself is what tells by which texts it is known."""
        monitor, sample, store = forgotten.monitor, forgotten.sample, self._store
        names = frozenset({sample, *self._shown(monitor, sample)})
        without = Without(names, self._texts(monitor, sample))
        asked = self._ask(monitor, sample, now)
        found = Counter[str]()
        found.update(_out_of(store, monitor, without))
        found.update(self._out_of_files(monitor, sample, without))
        found["log"] += self._places.blot(monitor, sample)
        self._places.settle()
        for opened in self._places.others(monitor):
            with opened as other:
                found.update(_out_of(other, monitor, without))
                found.update(other.erase(Doomed(monitor, frozenset({sample}))))
                other.scrub()
        found.update(store.erase(Doomed(monitor, frozenset({sample}))))
        found.update(_out_of(store, monitor, without))  # of a decision that looked at it before it went
        store.scrub()
        erased = {where: count for where, count in sorted(found.items()) if count}
        self._done(forgotten, erased, now)
        store.scrub()  # of the id that stood in the record
        log.info("sample forgotten", monitor=monitor, erasure=forgotten.id, **erased)
        return Erasure(monitor, sample, erased, asked)

    def _done(self, forgotten: Forgotten, erased: Mapping[str, int], now: float) -> None:
        step = Step(ErasureState.DONE, "erased", now)
        kept = {where: erased.get(where, 0) + forgotten.erased.get(where, 0) for where in {*erased, *forgotten.erased}}
        done = ErasureState.DONE
        self._record(forgotten, lambda known: replace(known, state=done, sample="", erased=kept, history=(*known.history, step)))

    def _record(self, new: Forgotten, change: Callable[[Forgotten], Forgotten]) -> None:
        """Again where somebody else has asked for it meanwhile."""
        for _ in range(_ATTEMPTS):
            try:
                known = self._store.get(Forgotten, new.id)
            except NotFoundError:
                known = new
            try:
                return self._store.save(replace(change(known), version=known.version + 1))
            except ConflictError:
                continue
        raise ConflictError(f"the record of {new.id} is being changed by others without end; try again")

    def _shown(self, monitor: str, sample: str) -> Iterator[str]:
        """Under which ids annotators see it."""
        for batch in showing.entities(self._store, AnnotationBatch, monitor):
            yield from (shown for shown, item in items_by_shown(batch).items() if item.id == sample)

    def _texts(self, monitor: str, sample: str) -> frozenset[str]:
        """By which it is shown where no id stands beside it."""
        wanted = {sample}
        kept = [row.payload for row in self._store.pool(monitor, ids=wanted)]
        kept += [each.row.payload for each in self._store.reserve(monitor) if each.row.id == sample]
        whole = {text for text in kept if isinstance(text, str)} | self._places.artefacts(monitor).texts_of(wanted)
        forms = (form for text in whole for form in (text, text[:_EXEMPLAR], f"“{excerpt(text)}”"))
        return frozenset(form for form in forms if len(form) >= _SHORTEST)

    def _ask(self, monitor: str, sample: str, now: float) -> tuple[str, ...]:
        """Has those delete it who were sent it: one item per batch, whoever writes it again."""
        items, told = list[OutboxItem](), list[str]()
        for batch in showing.entities(self._store, AnnotationBatch, monitor):
            ids = [shown for shown, item in items_by_shown(batch).items() if item.id == sample]
            if ids and batch.destination:
                payload = {"monitor": monitor, "batch": batch.id, "ids": ids}
                items.append(OutboxItem(stable_id(FORGET, batch.id, *ids), FORGET, batch.destination, payload, created=now, due=now))
                told.append(batch.destination)
        self._store.save(outbox=items)
        return tuple(dict.fromkeys(told))

    def _out_of_files(self, monitor: str, sample: str, without: Without) -> Mapping[str, int]:
        artefacts = self._places.artefacts(monitor)
        artefacts.mend()
        told = {*without.names, *without.texts}
        return {
            "references": artefacts.erase_from_references({sample}),
            "data sets": artefacts.erase_from_data_sets({sample}),
            "reports": artefacts.drop_reports(artefacts.showing(told)),
        }


def _out_of(store: Store, monitor: str, without: Without) -> Mapping[str, int]:
    """Of one store, all that shows it."""
    marks = [mark.id for mark in showing.entities(store, FailureMark, monitor) if mark.sample in without.names]
    return {
        "documents": showing.change_entities(store, monitor, lambda _: without),
        "outbox": showing.change_outbox(store, lambda item: without if _may_show(item, monitor) else None),
        "dead letters": showing.drop_letters(store, lambda letter: _tells(letter, monitor, without.names)),
        "requests": requests.blank(store, without),
        "failure marks": store.drop(FailureMark, marks) if marks else 0,
    }


def _may_show(item: OutboxItem, monitor: str) -> bool:
    return item.kind != FORGET and item.payload.get("monitor") in (monitor, None)


def _tells(letter: DeadLetter, monitor: str, names: Collection[str]) -> bool:
    """One of the monitor's, or of nobody's."""
    return letter.rejected.monitor in (monitor, None) and showing.tells_of(letter, names)
