"""What a worker holds of one partition between commits, and how records change it: a state machine without input or output.

Per record: late panes close; requests that its time leaves unanswered become samples; its items are taken; full panes close.
Every step depends on the log alone, so that a batch's boundaries, a crash or another worker change nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from service import losses
from service.describing import Replies, Taken, describe, pool_rows
from service.embedding import Vectors
from service.errors import InputError
from service.folding import Folder, PaneRules
from service.joining import Join, event_key
from service.recent_ids import RecentIds
from service.records import (
    Assignment,
    Commit,
    DeadLetter,
    Original,
    Output,
    Partition,
    Pooled,
    Record,
    Rejected,
    Request,
    Reservation,
    Response,
    Sample,
    Waiting,
)
from service.remembering import Memory
from service.reserve import Admission
from service.watched import WatchedMonitor
from service.withholding import Withholding


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """A commit, and what is counted beside it."""

    commit: Commit
    duplicates: Mapping[str, int]
    unanswered: Mapping[tuple[str, str], int]
    """(monitor, why: `timeout`, `full`, `ended` or `replaced`) → requests that became samples without an answer."""


class Intake:
    """One partition, from its assignment on. `monitors` is the worker's own mapping, which changes between batches only."""

    def __init__(self, assignment: Assignment, monitors: Mapping[str, WatchedMonitor], admission: Admission) -> None:
        self.partition, self.epoch = assignment.partition, assignment.epoch
        self._monitors = monitors
        self._admission = admission
        self._withhold = Withholding(monitors, admission.refuses)
        self._committed = self._next = assignment.offset
        self._shapes = _Shapes(monitors, assignment.shapes)
        self._original: Original | None = None  # of the record in hand
        self._folder = Folder(assignment.partition, time=assignment.time, offset=assignment.offset)
        self._recent = RecentIds(assignment.recent_ids)
        self._join = Join(assignment.waiting)
        self._begin()
        for pane in assignment.open_panes:
            self._folder.restore(pane, self._shapes.rules(pane.key.monitor))
        self._drop_foreign()

    def take(self, records: Iterable[Record], vectors: Vectors) -> None:
        """Takes the partition's next records; those it has taken already are passed over."""
        for record in records:
            if record.offset >= self._next:
                self._take_record(record, vectors)
                self._next = record.offset + 1

    def pass_over(self, offset: int) -> None:
        """The log has let go of everything before `offset`: a loss of every monitor that reads it."""
        gone, self._folder.offset = offset - self._next, self._next
        for name in _readers(self._monitors, self.partition):
            self._lose(name, losses.RETENTION, gone)
        self._folder.settle()
        self._lost += gone
        self._next = offset

    def release(self, monitor: str, *, waiting: bool) -> None:
        """Closes a monitor's open panes, before its reference is replaced; before its embedder is, takes what waits as it is."""
        self._folder.offset = self._next
        if waiting:
            self._give_up(self._join.drain(monitor), "replaced")
        self._folder.close(monitor)

    def finish(self) -> None:
        """The log has ended: nothing will be answered or filled any more."""
        self._folder.offset = self._next
        self._give_up(self._join.drain(), "ended")
        self._folder.close()

    def outcome(self) -> Outcome | None:
        """Everything since the last call as one commit, to be made before anything else is taken; None if nothing moved."""
        described, pooled, reserved, memory = {}, list[Pooled](), list[Reservation](), Memory()
        for name, taken in self._taken.items():
            monitor, replies = self._monitors[name], Replies.of(self._monitors[name], taken)
            self._unanswered += Counter({(name, "other_model"): replies.others})
            embeddings, rows = describe(monitor, taken, replies)
            recent = list(pool_rows(self.partition, monitor, taken, embeddings, rows))
            pooled.extend(recent)
            memory.add(monitor, taken, replies, rows)
            if rows is not None:
                described[name] = rows
                reserved.extend(self._admission.offer(monitor, taken, recent, replies, rows))
        closed, touched = self._folder.collect(described)
        waiting, answered = self._join.changes()
        if self._next == self._committed and not (closed or pooled or answered):
            return None
        commit = Commit(
            partition=self.partition,
            epoch=self.epoch,
            expected_offset=self._committed,
            next_offset=self._next,
            time=self._folder.time,
            closed=closed,
            touched=touched,
            pooled=self._withhold.pooled(pooled),
            reserved=self._withhold.reserved(reserved),
            waiting=self._withhold.waiting(waiting),
            answered=answered,
            recent_ids=self._recent.added(),
            dead_letters=tuple(self._letters),
            counts={name: len(taken) for name, taken in self._taken.items()},
            shapes=self._shapes.news({pane.key.monitor for pane in (*closed, *touched)}.union(self._taken, self._join.monitors)),
            lost=self._lost,
            answers=tuple(memory.answers),
            truths=tuple(memory.truths),
        )
        self._committed, outcome = self._next, Outcome(commit, self._duplicates, self._unanswered)
        self._begin()
        return outcome

    def _begin(self) -> None:
        """What a batch gathers."""
        self._taken: dict[str, list[Taken]] = {}
        self._letters: list[DeadLetter] = []
        self._duplicates: Counter[str] = Counter()
        self._unanswered: Counter[tuple[str, str]] = Counter()
        self._lost = 0

    def _drop_foreign(self) -> None:
        """What waits for a monitor that is gone, or with a vector of another embedder, can't become a sample."""
        for number, waiting in enumerate(list(self._join), start=1):
            monitor = self._monitors.get(waiting.sample.monitor)
            if monitor is None or monitor.embedder.fingerprint != waiting.fingerprint:
                self._join.remove(waiting)
                error = InputError("embedder_changed", "the monitor's embedder was replaced while the sample waited for its response")
                self._refuse(waiting.sample, -number, "JOIN", error)  # below 0: it stands in no record

    def _take_record(self, record: Record, vectors: Vectors) -> None:
        self._original = record.original
        self._folder.advance(record.offset, record.time)
        self._give_up(self._join.expired(self._folder.time), "timeout")
        index = 0
        for item in record.items:
            if isinstance(item, Sample):
                self._take_sample(item, index, vectors)
            elif isinstance(item, Request):
                self._take_request(item, index, vectors)
            elif isinstance(item, Response):
                self._take_response(item, index)
            else:
                self._letter(item)
            index += len(item.samples) if isinstance(item, Request) else 1
        self._folder.settle()
        self._original = None

    def _take_sample(self, sample: Sample, index: int, vectors: Vectors) -> None:
        vector = self._vector(sample, index, vectors)
        if vector is not None and self._is_new("sample", sample.monitor, sample.id):
            self._take(sample, vector, sample.output or vectors.outputs.get(sample))

    def _take_request(self, request: Request, index: int, vectors: Vectors) -> None:
        for number, (place, sample) in enumerate(zip(request.indexes, request.samples, strict=True), start=index):
            vector = self._vector(sample, number, vectors)
            if vector is None or not self._is_new("request", request.monitor, f"{request.event_id}/{place}"):
                continue
            output, monitor = sample.output or vectors.outputs.get(sample), self._monitors[request.monitor]
            if monitor.joins:
                key, expires = event_key(request.monitor, request.event_id), self._folder.time + monitor.response_timeout
                waiting = Waiting(key, place, _with_output(sample, output), vector.copy(), monitor.embedder.fingerprint, expires)
                displaced = self._join.wait(waiting)
                self._give_up([displaced] if displaced else (), "full")
            else:
                self._take(sample, vector, output)

    def _take_response(self, response: Response, index: int) -> None:
        monitor = self._monitors.get(response.monitor)
        if monitor is None:
            self._refuse(response, index, "ROUTE", _unknown(response.monitor))
            return
        if not monitor.joins or not self._is_new("response", response.monitor, response.event_id):
            return
        answered = self._join.answer(event_key(response.monitor, response.event_id))
        if not answered:
            self._refuse(response, index, "JOIN", _unmatched(response.event_id))
            self._lose(response.monitor, losses.UNMATCHED, len(response.outputs) - 1)  # one letter for all that it answers
        for waiting in answered:
            output = response.outputs[waiting.index] if waiting.index < len(response.outputs) else waiting.sample.output
            self._take(waiting.sample, waiting.embedding, output)

    def _give_up(self, unanswered: Iterable[Waiting], why: str) -> None:
        for waiting in unanswered:
            self._unanswered[waiting.sample.monitor, why] += 1
            self._take(waiting.sample, waiting.embedding, waiting.sample.output)
            self._lose(waiting.sample.monitor, losses.unanswered(why))

    def _lose(self, monitor: str | None, reason: str, samples: int = 1) -> None:
        """Counts what can't be used beside the samples of its monitor, where that makes panes."""
        watched = self._monitors.get(monitor or "")
        if samples > 0 and watched is not None and watched.rules is not None:
            self._folder.lose(watched.rules, reason, samples)

    def _take(self, sample: Sample, vector: NDArray[np.float32], output: Output | None) -> None:
        taken, rules = self._taken.setdefault(sample.monitor, []), self._monitors[sample.monitor].rules
        if rules is not None:
            self._folder.add(rules, sample.segments, len(taken))
            if sample.time < self._folder.time - losses.LATE_SECONDS:
                self._folder.lose(rules, losses.LATE)
        taken.append(Taken(sample, vector, output, self._folder.offset, self._folder.time))

    def _is_new(self, kind: str, monitor: str, id: str) -> bool:
        repeated = self._recent.repeated(kind, monitor, id) or self._admission.refuses(monitor, id)
        if repeated:
            self._duplicates[monitor] += 1
        return not repeated

    def _vector(self, sample: Sample, index: int, vectors: Vectors) -> NDArray[np.float32] | None:
        """None if the sample was refused."""
        vector = vectors.rows.get(sample)
        if vector is None:
            error = vectors.failures.get(sample)
            self._refuse(sample, index, "ROUTE" if error is None else "EMBED", error or _unknown(sample.monitor))
        return vector

    def _refuse(self, item: Sample | Response, index: int, stage: str, error: InputError) -> None:
        self._letter(Rejected(error.reason, str(error), self._withhold.content(item), index, item.monitor, stage))

    def _letter(self, rejected: Rejected) -> None:
        """The first of a record brings all of it: ten thousand copies would fill memory, store and topic."""
        original, self._original = self._withhold.record(self._original, rejected.monitor), None
        self._letters.append(DeadLetter(self.partition, self._folder.offset, self._folder.time, rejected, original))
        self._lose(rejected.monitor, losses.of_letter(rejected))


class _Shapes:
    """By which versions of the monitors the partition's panes are shaped, as the store knows them."""

    def __init__(self, monitors: Mapping[str, WatchedMonitor], known: Mapping[str, int]) -> None:
        self._monitors = monitors
        self._known = dict(known)

    def rules(self, name: str) -> PaneRules | None:
        """By which a pane that was left open is filled on; None closes it as it stands: its monitor is gone or of another shape."""
        monitor = self._monitors.get(name)
        return monitor.rules if monitor is not None and monitor.shape == self._known.get(name, monitor.shape) else None

    def news(self, names: Iterable[str]) -> dict[str, int]:
        """Of these monitors, what the store has yet to learn."""
        shapes = {name: monitor.shape for name in names if (monitor := self._monitors.get(name)) is not None}
        new = {name: shape for name, shape in shapes.items() if shape != self._known.get(name, 0)}
        self._known.update(new)
        return new


def _readers(monitors: Mapping[str, WatchedMonitor], partition: Partition) -> Iterable[str]:
    """Those that name the topic; what ingest fills is of those that name none, or of any."""
    topics = {name: monitor.settings.topic and monitor.settings.topic.name for name, monitor in monitors.items()}
    named = [name for name, topic in topics.items() if topic == partition.topic]
    return named or [name for name, topic in topics.items() if topic is None] or monitors


def _with_output(sample: Sample, output: Output | None) -> Sample:
    return sample if output is sample.output else replace(sample, output=output)


def _unknown(monitor: str) -> InputError:
    return InputError("unknown_monitor", f"no monitor {monitor!r:.80} is configured; declare it, or correct the sender's route")


def _unmatched(event_id: str) -> InputError:
    return InputError(
        losses.UNMATCHED,
        f"no request {event_id!r:.80} waits in this partition: it came too late, twice, or the topic is not keyed by the event's id",
    )
