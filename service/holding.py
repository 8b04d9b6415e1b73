"""Which partitions a worker carries forward, and why it leaves the others alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping

import structlog

from service.intake import Intake
from service.ports import Bounds, Progress, Source
from service.records import Assignment, Partition
from service.reserve import Admission
from service.watched import WatchedMonitor

LOOK_AGAIN = 2.0
"""Seconds until a partition that can't be read on is looked at again."""

log = structlog.get_logger()


class Holding:
    """The partitions that the source gives to this worker, each taken up where the store says. `monitors` is the worker's own mapping."""

    def __init__(
        self,
        source: Source,
        store: Progress,
        monitors: Mapping[str, WatchedMonitor],
        awaits: Callable[[Collection[str]], bool],
        admission: Admission,
    ) -> None:
        self._source = source
        self._store = store
        self._monitors = monitors
        self._awaits = awaits
        self._admission = admission
        self.intakes: dict[Partition, Intake] = {}
        self._waiting: dict[Partition, float] = {}
        """Those that can't be read on now, and when to look again."""
        self._look = 0.0
        """When to see whether what is held still is: where nothing comes, no commit is refused."""
        self.stopped: Mapping[Partition, str] = {}
        """Why one is not read on; replaced as a whole, so that other threads may read it."""

    def renew(self) -> Iterator[Intake]:
        """Lets go of what the source has given away, all of which is committed, and takes up what is not held: at the start, after a
        failure, and when the source shows another partition. Each that is new may have something to commit before anything else."""
        given = self._source.partitions()
        for gone in (self.intakes.keys() | self._waiting.keys()).difference(given):
            self.intakes.pop(gone, None)
            self._waiting.pop(gone, None)
            self._stop(gone, "")
        now = time.monotonic()
        if self.intakes and now >= self._look:
            self._look = now + LOOK_AGAIN
            for taken in _taken_away(self.intakes, self._store.epochs(tuple(self.intakes))):
                log.warning("worker.partition_taken_away", partition=str(taken))
                del self.intakes[taken]
        for partition in given:
            if partition not in self.intakes and self._waiting.get(partition, now) <= now:
                self._waiting[partition] = now + LOOK_AGAIN
                yield from self._take(partition)

    def _take(self, partition: Partition) -> Iterator[Intake]:
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
            yield self._begin(assignment, bounds)

    def _begin(self, assignment: Assignment, bounds: Bounds) -> Intake:
        partition, offset = assignment.partition, max(assignment.offset, bounds.first)
        self._source.seek(partition, offset)
        self._source.committed(partition, assignment.offset)
        self.intakes[partition] = intake = Intake(assignment, self._monitors, self._admission)
        self._waiting.pop(partition, None)
        log.info("worker.assigned", partition=str(partition), offset=offset, epoch=assignment.epoch)
        if offset > assignment.offset:
            log.error("worker.records_lost", partition=str(partition), first=assignment.offset, records=offset - assignment.offset)
            intake.pass_over(offset)
        return intake

    def _unreadable(self, assignment: Assignment, bounds: Bounds) -> str:
        """Why nobody can tell where to read on; empty where all is well."""
        partition = assignment.partition
        if assignment.offset > bounds.end:
            return f"offset {assignment.offset} is stored, the log ends at {bounds.end}: it was cut or replaced; {_say_where(partition)}"
        if bounds.succeeds:
            for held in self._store.siblings(partition):
                if held.partition != partition and not held.retired:
                    return f"topic {partition.topic} was deleted and made anew since offset {held.offset} was read; {_say_where(partition)}"
        return ""

    def _ahead(self, assignment: Assignment) -> tuple[str, ...]:
        """Monitors that another worker has taken further in this partition than this one knows them: it will hear of it soon."""
        known = {name: self._monitors[name].shape for name in assignment.shapes if name in self._monitors}
        behind = [name for name, shape in known.items() if shape < assignment.shapes[name]]
        return tuple(sorted(behind + [name for name in assignment.shapes.keys() - known.keys() if self._awaits([name])]))

    def _stop(self, partition: Partition, reason: str) -> None:
        if reason != self.stopped.get(partition, ""):
            others = {other: why for other, why in self.stopped.items() if other != partition}
            self.stopped = {**others, partition: reason} if reason else others
            if reason:
                log.error("worker.partition_stopped", partition=str(partition), reason=reason)


def _say_where(partition: Partition) -> str:
    reset = f"driftgate offsets reset --topic {partition.topic} --partition {partition.number} --to earliest|latest|OFFSET"
    return f"say where to read on: `{reset}`"


def _taken_away(intakes: Mapping[Partition, Intake], epochs: Mapping[Partition, int]) -> list[Partition]:
    """Those that somebody else has taken up meanwhile, or a person has sent elsewhere."""
    return [partition for partition, intake in intakes.items() if epochs.get(partition, intake.epoch) != intake.epoch]
