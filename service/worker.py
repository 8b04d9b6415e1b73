"""The worker: from a source's records to committed panes, one transaction per partition and batch."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from queue import Empty, SimpleQueue

import structlog

from service.embedding import embed_records
from service.errors import ConflictError
from service.intake import Intake, Outcome
from service.observe import Observer
from service.ports import Source, Store
from service.records import Partition, Record
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
        store: Store,
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
        self._intakes: dict[Partition, Intake] = {}
        self._replacements: SimpleQueue[tuple[str, WatchedMonitor]] = SimpleQueue()
        self.ended = False
        """True once a finite source has been taken to its end and all panes are closed."""

    def forget(self) -> None:
        """Drops what is believed of the partitions, after a step that failed: the next one reads it again from the store."""
        self._intakes.clear()

    def step(self, timeout: float) -> int:
        """One batch: poll, embed, take, commit. Returns how many records it read; 0 after `timeout` seconds without one."""
        self._take_up()
        records = self._source.poll(self._batch, timeout)
        self._replace_monitors()  # also what was replaced while the source was waited for
        by_partition: dict[Partition, list[Record]] = {}
        for record in records:
            by_partition.setdefault(record.partition, []).append(record)
        vectors = embed_records(records, self._monitors, self._observer, beat=self._beat)
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

    def replace(self, name: str, monitor: WatchedMonitor) -> None:
        """From the next batch on the monitor is this one; the panes of its old reference close where the batch before ended."""
        self._replacements.put((name, monitor))

    def _take_up(self) -> None:
        """Assigns what the worker does not hold: at the start, after a failure, and when the source shows a new partition."""
        for partition in self._source.partitions():
            if partition not in self._intakes:
                assignment = self._store.assign(partition)
                self._source.seek(partition, assignment.offset)
                self._source.committed(partition, assignment.offset)
                self._intakes[partition] = intake = Intake(assignment, self._monitors)
                log.info("worker.assigned", partition=str(partition), offset=assignment.offset, epoch=assignment.epoch)
                self._commit(intake)

    def _replace_monitors(self) -> None:
        while True:
            try:
                name, monitor = self._replacements.get_nowait()
            except Empty:
                return
            try:
                if name in self._monitors:
                    self._release(name, waiting=self._monitors[name].embedder.fingerprint != monitor.embedder.fingerprint)
            finally:  # nobody replaces it a second time; what a failed commit left open closes when it is taken up again
                self._monitors[name] = monitor

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
