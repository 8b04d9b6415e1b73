"""The worker: from a source's records to committed panes, one transaction per partition and batch."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from queue import Empty, SimpleQueue

import structlog

from service.embedding import embed_records
from service.errors import ConflictError
from service.intake import Intake, Outcome
from service.observe import Observer
from service.ports import Bounds, Progress, Source
from service.records import Assignment, Partition, Record, Rejected
from service.watched import WatchedMonitor

BATCH = 512
"""Records per poll: large enough that numpy's calls cost little, small enough to be committed within a second."""

SAY_WHERE = "say where to read on with `driftgate offsets reset`"

LOOK_AGAIN = 2.0
"""Seconds until a partition that can't be read on is looked at again."""

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
        self._intakes: dict[Partition, Intake] = {}
        self._waiting: dict[Partition, float] = {}
        """Those that can't be read on now, and when to look again."""
        self._look = 0.0
        """When to see whether what is held still is: where nothing comes, no commit is refused."""
        self._replacements: SimpleQueue[tuple[str, WatchedMonitor | None]] = SimpleQueue()
        self.stopped: Mapping[Partition, str] = {}
        """Why a partition waits for a person; replaced as a whole, so that other threads may read it."""
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
        records = self._source.poll(self._batch, timeout)
        by_partition: dict[Partition, list[Record]] = {}
        for record in records:
            by_partition.setdefault(record.partition, []).append(record)
        unknown = _monitors_of(records) - self._monitors.keys()
        if unknown and self.awaits(unknown):
            self._awaited = frozenset(unknown)
            self.forget()  # what was polled is read again
            return 0
        vectors = embed_records(records, self._monitors, self._observer, beat=self._alive)
        for partition, its_records in by_partition.items():
            intake = self._intakes.get(partition)
            if intake is not None:  # one that has just appeared is taken up first, by the next step
                intake.take(its_records, vectors)
                self._commit(intake)
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
    def partitions(self) -> tuple[Partition, ...]:
        """Those that are carried forward; other threads may ask."""
        return tuple(self._intakes.copy())

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
        """Lets go of what the source has given away, all of which is committed, and assigns what the worker does not hold: at the
        start, after a failure, and when the source shows another partition."""
        given = self._source.partitions()
        for gone in (self._intakes.keys() | self._waiting.keys()).difference(given):
            self._intakes.pop(gone, None)
            self._waiting.pop(gone, None)
            self._stop(gone, "")
        now = time.monotonic()
        if self._intakes and now >= self._look:
            self._look = now + LOOK_AGAIN
            for taken in _taken_away(self._intakes, self._store.epochs(tuple(self._intakes))):
                log.warning("worker.partition_taken_away", partition=str(taken))
                del self._intakes[taken]
        for partition in given:
            if partition not in self._intakes and self._waiting.get(partition, now) <= now:
                self._waiting[partition] = now + LOOK_AGAIN
                self._take(partition)

    def _take(self, partition: Partition) -> None:
        bounds = self._source.bounds(partition)
        assignment = self._store.assign(partition, start=bounds.start)
        if assignment.offset > bounds.end:
            bounds = self._source.bounds(partition)  # whoever held it may have read on since the first look
        reason = assignment.stopped or self._unreadable(assignment, bounds)
        if reason:
            if not assignment.stopped:
                self._store.halt(partition, assignment.epoch, reason)
            self._stop(partition, reason)
            return
        ahead = self._ahead(assignment)
        self._stop(partition, f"another worker knows newer settings of {', '.join(ahead)}; this one waits for them" if ahead else "")
        if not ahead:
            self._begin(assignment, bounds)

    def _begin(self, assignment: Assignment, bounds: Bounds) -> None:
        partition, offset = assignment.partition, max(assignment.offset, bounds.first)
        self._source.seek(partition, offset)
        self._source.committed(partition, assignment.offset)
        self._intakes[partition] = intake = Intake(assignment, self._monitors)
        self._waiting.pop(partition, None)
        log.info("worker.assigned", partition=str(partition), offset=offset, epoch=assignment.epoch)
        if offset > assignment.offset:
            log.error("worker.records_lost", partition=str(partition), first=assignment.offset, records=offset - assignment.offset)
            intake.pass_over(offset)
        self._commit(intake)

    def _unreadable(self, assignment: Assignment, bounds: Bounds) -> str:
        """Why nobody can tell where to read on; empty where all is well."""
        partition = assignment.partition
        if assignment.offset > bounds.end:
            return f"offset {assignment.offset} is stored, the log ends at {bounds.end}: it was cut or replaced; {SAY_WHERE}"
        if bounds.succeeds:
            for held in self._store.siblings(partition):
                if held.partition != partition and not held.retired:
                    return f"topic {partition.topic} was deleted and made anew since offset {held.offset} was read; {SAY_WHERE}"
        return ""

    def _ahead(self, assignment: Assignment) -> tuple[str, ...]:
        """Monitors that another worker has taken further in this partition than this one knows them: it will hear of it soon."""
        known = {name: self._monitors[name].shape for name in assignment.shapes if name in self._monitors}
        behind = [name for name, shape in known.items() if shape < assignment.shapes[name]]
        return tuple(sorted(behind + [name for name in assignment.shapes.keys() - known.keys() if self.awaits([name])]))

    def _stop(self, partition: Partition, reason: str) -> None:
        if reason != self.stopped.get(partition, ""):
            others = {other: why for other, why in self.stopped.items() if other != partition}
            self.stopped = {**others, partition: reason} if reason else others
            if reason:
                log.error("worker.partition_stopped", partition=str(partition), reason=reason)

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
                if monitor is None:
                    self._monitors.pop(name, None)
                else:
                    self._monitors[name] = monitor
                self.follow(self._monitors.values())

    def _release(self, name: str, *, waiting: bool) -> None:
        for intake in list(self._intakes.values()):
            intake.release(name, waiting=waiting)
            self._commit(intake)

    def _commit(self, intake: Intake) -> None:
        """A partition that somebody else has taken is dropped, with everything that was believed of it."""
        outcome = intake.outcome()
        if outcome is None:
            return
        started = time.perf_counter()
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


def _taken_away(intakes: Mapping[Partition, Intake], epochs: Mapping[Partition, int]) -> list[Partition]:
    """Those that somebody else has taken up meanwhile, or a person has sent elsewhere."""
    return [partition for partition, intake in intakes.items() if epochs.get(partition, intake.epoch) != intake.epoch]
