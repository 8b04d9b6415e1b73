"""The worker: from a source's records to committed panes, one transaction per partition and batch."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from queue import Empty, SimpleQueue

import structlog

from service.embedding import Vectors, embed_records
from service.errors import ConflictError
from service.holding import Holding
from service.intake import Intake, Outcome
from service.observe import Observer
from service.ports import Progress, Source
from service.records import Partition, Record, Rejected
from service.redaction import passed_records
from service.reserve import Admission
from service.watched import WatchedMonitor

BATCH = 512
"""Records per poll: large enough that numpy's calls cost little, small enough to be committed within a second."""

log = structlog.get_logger()


class Worker:
    """Takes every partition of its source up where the store left it, and carries each forward commit by commit.

    Its memory is what is open, waiting or recent. When a commit is refused (somebody else holds the partition) or a batch fails,
    that memory is dropped and read again from the store, so the store is never ahead of or behind what the worker believes.
    """

    def __init__(
        self,
        source: Source,
        store: Progress,
        monitors: Mapping[str, WatchedMonitor],
        observer: Observer,
        *,
        batch: int = BATCH,
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        self._source = source
        self._store = store
        self._monitors = dict(monitors)
        self._observer = observer
        self._batch = batch
        self._beat = beat
        self.awaits: Callable[[Collection[str]], bool] = lambda _: False
        """Whether one of these monitors, which are not known here, soon will be: until then nothing is taken."""
        self.follow: Callable[[Collection[WatchedMonitor]], None] = lambda _: None
        """Told of the monitors whenever they change: their records are decoded as they are worked on."""
        self._awaited: frozenset[str] = frozenset()
        self._pace: dict[str, int] = {}
        """How many samples of a monitor are embedded between two signs of life."""
        self._admission = Admission()
        self._holding = Holding(source, store, self._monitors, self._is_awaited, self._admission)
        self._intakes = self._holding.intakes
        self._replacements: SimpleQueue[tuple[str, WatchedMonitor | None]] = SimpleQueue()
        self.ended = False
        """True once a finite source has been taken to its end and all panes are closed."""

    def forget(self) -> None:
        """Drops what is believed of the partitions, after a step that failed: the next one reads it again from the store."""
        self._intakes.clear()

    def step(self, timeout: float) -> int:
        """One batch: poll, embed, take, commit. Returns how many records it read; 0 after `timeout` seconds without one."""
        self._replace_monitors()
        if self._waits():
            return 0
        self._take_up()
        rules = {name: monitor.redaction for name, monitor in self._monitors.items()}
        records = passed_records(self._source.poll(self._batch, timeout), rules)
        by_partition: dict[Partition, list[Record]] = {}
        for partition, run in groupby(records, key=attrgetter("partition")):  # else each would be hashed
            by_partition.setdefault(partition, []).extend(run)
        named = _monitors_of(records)
        unknown = named - self._monitors.keys()
        if unknown and self.awaits(unknown):
            self._awaited = frozenset(unknown)
            self.forget()  # what was polled is read again
            return 0
        self._admission.look(self._store, [self._monitors[name] for name in sorted(named - unknown)])
        vectors = self._embedded(records)
        self._admission.remember(self._store.forgotten())  # embedding takes its time
        for partition, its_records in by_partition.items():
            intake = self._intakes.get(partition)
            if intake is not None:  # one that has just appeared is taken up first, by the next step
                began = time.perf_counter()
                intake.take(its_records, vectors)
                self._commit(intake, since=began)
        if self._source.ended:
            self.flush()
        return len(records)

    def flush(self) -> None:
        """Closes what a finite source leaves open. Once is as good as twice."""
        for intake in list(self._intakes.values()):
            intake.finish()
            self._commit(intake)
        self.ended = self._intakes.keys() >= set(self._source.partitions())

    def replace(self, name: str, monitor: WatchedMonitor | None) -> None:
        """From the next batch on the monitor is this one (None: there is none of that name). If its panes take another shape, the open
        ones close where the batch before ended."""
        self._replacements.put((name, monitor))

    @property
    def stopped(self) -> Mapping[Partition, str]:
        """Partitions of this worker that can't be read on, and why; other threads may ask."""
        return self._holding.stopped

    @property
    def partitions(self) -> tuple[Partition, ...]:
        """Those that are carried forward; other threads may ask."""
        return tuple(self._intakes.copy())

    def _is_awaited(self, names: Collection[str]) -> bool:
        return self.awaits(names)

    def _waits(self) -> bool:
        """Whether a sample that has come already is of a monitor that is still on its way."""
        self._awaited -= self._monitors.keys()
        if self._awaited and not self.awaits(self._awaited):
            self._awaited = frozenset()
        if self._awaited:
            self._source.alive()
        return bool(self._awaited)

    def _alive(self) -> None:
        self._beat()
        self._source.alive()

    def _take_up(self) -> None:
        for intake in self._holding.renew():
            self._commit(intake)

    def _replace_monitors(self) -> None:
        while True:
            try:
                name, monitor = self._replacements.get_nowait()
            except Empty:
                return
            try:
                known = self._monitors.get(name)
                if known is not None and not _folds_alike(known, monitor):
                    self._release(name, waiting=monitor is None or monitor.embedder.fingerprint != known.embedder.fingerprint)
            finally:  # nobody replaces it a second time; what a failed commit left open closes when it is taken up again
                self._pace.pop(name, None)
                if monitor is None:
                    self._monitors.pop(name, None)
                else:
                    self._monitors[name] = monitor
                self.follow(self._monitors.values())

    def _release(self, name: str, *, waiting: bool) -> None:
        for intake in list(self._intakes.values()):
            intake.release(name, waiting=waiting)
            self._commit(intake)

    def _embedded(self, records: Sequence[Record]) -> Vectors:
        if not records:
            return Vectors()
        self._observer.batch(records)
        began = time.perf_counter()
        vectors = embed_records(records, self._monitors, self._observer, beat=self._alive, pace=self._pace)
        self._observer.stage("embed", time.perf_counter() - began)
        return vectors

    def _commit(self, intake: Intake, since: float | None = None) -> None:
        """A partition that somebody else has taken is dropped, with everything that was believed of it. since: when folding began."""
        outcome = intake.outcome()
        if outcome is None:
            return
        started = time.perf_counter()
        if since is not None:
            self._observer.stage("fold", started - since)
        try:
            closed = self._store.commit(outcome.commit)
        except ConflictError as error:
            log.warning("worker.commit_refused", partition=str(intake.partition), reason=str(error))
            del self._intakes[intake.partition]
            return
        self._source.committed(intake.partition, outcome.commit.next_offset)
        self._observer.committed(closed, time.perf_counter() - started)
        self._report(outcome)

    def _report(self, outcome: Outcome) -> None:
        counts = outcome.commit.counts
        for monitor in counts.keys() | outcome.duplicates.keys():
            self._observer.samples(monitor, counts.get(monitor, 0), outcome.duplicates.get(monitor, 0))
        for letter in outcome.commit.dead_letters:
            self._observer.dead_letter(letter.rejected.monitor, letter.rejected.reason)
        for (monitor, why), samples in outcome.unanswered.items():
            self._observer.unanswered(monitor, why, samples)


def _folds_alike(known: WatchedMonitor, other: WatchedMonitor | None) -> bool:
    """Whether open panes can be filled on."""
    if other is None or known.shape != other.shape or known.embedder.fingerprint != other.embedder.fingerprint:
        return False
    return (known.rules and known.rules.reference_version) == (other.rules and other.rules.reference_version)


def _monitors_of(records: Iterable[Record]) -> set[str]:
    return {item.monitor for record in records for item in record.items if not isinstance(item, Rejected)}
