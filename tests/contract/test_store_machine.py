"""Random lives of a store: whatever workers and controllers try in whatever order, the state is what the successful steps made of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from detectors import Summary
from service.adapters.sqlite import SqliteStore
from service.errors import ConflictError
from service.ports import Store
from service.records import Assignment, Commit, Decision, Event, Fence, Pane, PaneKey, Partition, Position

MONITORS = ("chat", "search")
HOLDERS = ("one", "other")
PARTITIONS = (Partition("http", "t", 0), Partition("http", "t", 1), Partition("http", "u", 0))
"""The last one is the successor of the first, whose topic was deleted and made anew."""
PER_PANE = 4
LONG = 1_000.0

Batch: TypeAlias = tuple[int, int, int, str, int | None]
BATCHES = st.tuples(
    st.integers(0, 9),
    st.sampled_from([0, 0, 0, 0, 0, 0, 1, -1]),
    st.sampled_from([0, 0, 0, 2]),
    st.sampled_from(MONITORS),
    st.sampled_from([None, 1, 1, 2, 2, 3]),
)
"""Records, how far the expected offset is off, offsets lost, monitor, and the version of what shapes its panes."""


@dataclass
class Reading:
    """What the model knows of a partition."""

    epoch: int = 0
    offset: int = 0
    start: int = 0
    lost: int = 0
    stopped: str = ""
    retired: bool = False
    shapes: dict[str, tuple[int, int]] = field(default_factory=dict)
    counted: list[int] = field(default_factory=list)
    """Offsets, as often as they were counted: a reset that goes back counts them again."""
    recent: list[int] = field(default_factory=list)
    open_count: int = 0

    def takes(self, commit: Commit) -> bool:
        """Whether the store must take it."""
        stands = commit.epoch == self.epoch and commit.expected_offset == self.offset and not self.stopped and not self.retired
        return stands and all(version >= self.shapes.get(monitor, (0, 0))[0] for monitor, version in commit.shapes.items())

    def take(self, commit: Commit) -> None:
        raised = {name: (version, self.offset) for name, version in commit.shapes.items() if version > self.shapes.get(name, (0, 0))[0]}
        self.shapes |= raised
        self.counted += range(self.offset + commit.lost, commit.next_offset)
        self.recent += commit.recent_ids.tolist()
        self.offset, self.lost = commit.next_offset, self.lost + commit.lost

    def begin_anew(self, offset: int) -> None:
        self.start = offset if not self.epoch else min(self.start, offset)
        self.offset, self.stopped, self.retired = offset, "", False
        self.shapes = {name: (version, min(since, offset)) for name, (version, since) in self.shapes.items()}
        self.leave()

    def leave(self) -> None:
        self.epoch, self.recent, self.open_count = self.epoch + 1, [], 0


class StoreMachine(RuleBasedStateMachine):
    """Three partitions, two monitors, two controllers; the model is a handful of numbers. Another adapter overrides `open`."""

    def open(self) -> Store:
        return SqliteStore(":memory:")

    @initialize()
    def start(self) -> None:
        self.store = self.open()
        self.readings = {partition: Reading() for partition in PARTITIONS}
        self.held: dict[Partition, list[Assignment]] = {partition: [] for partition in PARTITIONS}
        self.log: dict[str, list[str]] = {monitor: [] for monitor in MONITORS}
        self.losses = {monitor: Counter[str]() for monitor in MONITORS}
        self.decided = dict.fromkeys(MONITORS, 0)
        self.covered = dict.fromkeys(MONITORS, 0)
        self.holder, self.last, self.token = "", "", 0
        self.resets = 0
        self.lease(HOLDERS[0], leaves=False)

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()

    # --- workers

    @rule(partition=st.sampled_from(PARTITIONS), start=st.integers(0, 3))
    def assign(self, partition: Partition, start: int) -> None:
        held, known = self.store.assign(partition, start=start), self.readings[partition]
        if not known.epoch:
            known.start = known.offset = start
        known.epoch += 1
        assert (held.epoch, held.offset) == (known.epoch, known.offset)
        assert held.shapes == {name: version for name, (version, _) in known.shapes.items()}
        assert bool(held.stopped) is (known.retired or bool(known.stopped))
        assert held.recent_ids.tolist() == known.recent
        assert sum(pane.summary.count for pane in held.open_panes) == known.open_count
        self.held[partition].append(held)

    @rule(
        partition=st.sampled_from(PARTITIONS),
        batches=st.lists(BATCHES, min_size=1, max_size=4),
        zombie=st.sampled_from([False, False, False, True]),
        halts=st.sampled_from([False, False, False, False, True]),
    )
    def work(self, partition: Partition, batches: list[Batch], zombie: bool, halts: bool) -> None:
        """A worker takes the partition up unless it holds it; a zombie goes on under the first epoch that there was. Where it stops,
        somebody sends it back a little."""
        known, held = self.readings[partition], self.held[partition]
        if not held or not (zombie or held[-1].epoch == known.epoch):
            self.assign(partition, 0)
        holder = held[0 if zombie else -1]
        for batch in batches:
            self._commit(holder, *batch)
        if known.stopped or known.retired:
            self.reset(partition, max(0, known.offset - 2), batches[0][3])
        elif halts:
            self._halt(holder)

    def _commit(self, held: Assignment, take: int, slip: int, lost: int, monitor: str, shape: int | None) -> None:
        known = self.readings[held.partition]
        commit = replace(
            self._batch(held, known.offset, lost, take, monitor),
            expected_offset=known.offset + slip,
            shapes={} if shape is None else {monitor: shape},
        )
        if not known.takes(commit):
            with pytest.raises(ConflictError):
                self.store.commit(commit)
            return
        closed = self.store.commit(commit)
        first = len(self.log[monitor]) + 1
        assert [pane.sequence for pane in closed] == list(range(first, first + len(closed)))
        self.log[monitor] += [self._name(pane) for pane in closed]
        self.losses[monitor].update({"text": lost})
        if take:
            known.open_count = sum(pane.summary.count for pane in commit.touched)
        known.take(commit)
        with pytest.raises(ConflictError):
            self.store.commit(replace(commit, expected_offset=known.offset - 1))

    def _batch(self, held: Assignment, start: int, lost: int, take: int, monitor: str) -> Commit:
        """Full panes of the new records, an open one for the rest; what the monitor had open is closed, the others' stays."""
        partition, first = held.partition, start + lost
        commit = Commit(partition, held.epoch, start, first + take, 0.0, lost=lost)
        if not take:
            return replace(commit, closed=(self._pane(partition, monitor, start, 0, lost),) if lost else ())
        mine, others = ([pane for pane in self._open(partition) if (pane.key.monitor == monitor) is own] for own in (True, False))
        rest = take % PER_PANE
        full = [self._pane(partition, monitor, first + n, PER_PANE) for n in range(0, take - rest, PER_PANE)]
        left = [self._pane(partition, monitor, first + take - rest, rest)] if rest else []
        new = [*full, *left]
        new[0] = replace(new[0], losses={"text": lost} if lost else {})
        closed, touched = (*mine, *new[: len(full)]), (*new[len(full) :], *others)
        ids = np.arange(first, first + take, dtype=np.uint64)
        return replace(commit, closed=closed, touched=touched, recent_ids=ids, counts={monitor: take})

    def _open(self, partition: Partition) -> list[Pane]:
        return [pane for name in MONITORS for pane in self.store.open_panes(name) if pane.key.partition == partition]

    def _pane(self, partition: Partition, monitor: str, first: int, count: int, lost: int = 0) -> Pane:
        summary = replace(Summary.empty(2, 1, 1), count=count)
        key = PaneKey(monitor, "all", 1, partition, first)
        return Pane(key, first + count - 1, 0.0, 0.0, summary, losses={"text": lost} if lost else {})

    def _halt(self, held: Assignment) -> None:
        known = self.readings[held.partition]
        if held.epoch != known.epoch:
            with pytest.raises(ConflictError):
                self.store.halt(held.partition, held.epoch, "beyond the end")
            return
        self.store.halt(held.partition, held.epoch, "beyond the end")
        known.stopped = "beyond the end"

    @rule(partition=st.sampled_from(PARTITIONS), offset=st.integers(0, 30), monitor=st.sampled_from(MONITORS))
    def reset(self, partition: Partition, offset: int, monitor: str) -> None:
        self.resets += 1
        name, ends = f"reset {self.resets}", [partition]
        for other, known in self.readings.items():
            if other.number == partition.number and other != partition and known.epoch and not known.retired:
                known.retired = True
                known.leave()
                ends.append(other)
        closing = {name: [pane for pane in self.store.open_panes(name) if pane.key.partition in ends] for name in MONITORS}
        self.store.reset(partition, offset, [Event(name, monitor, "offsets", 1.0, "ana")])
        self.readings[partition].begin_anew(offset)
        for each, panes in closing.items():
            new = [self._name(entry) for entry in self.store.entries(each, len(self.log[each]), 10_000)]
            assert sorted(new[: len(panes)]) == sorted(self._name(pane) for pane in panes)
            assert new[len(panes) :] == ([name] if each == monitor else [])
            self.log[each] += new

    # --- controllers

    @rule(monitor=st.sampled_from(MONITORS), number=st.integers(0, 4))
    def record(self, monitor: str, number: int) -> None:
        name = f"event {monitor} {number}"
        stored = self.store.record_event(Event(name, monitor, "verdict", 1.0, "ana"))
        if name not in self.log[monitor]:
            self.log[monitor].append(name)
        assert stored.sequence == self.log[monitor].index(name) + 1

    @rule(holder=st.sampled_from(HOLDERS), leaves=st.booleans())
    def lease(self, holder: str, leaves: bool) -> None:
        token = self.store.lease("decide", holder, LONG)
        if self.holder in ("", holder):
            assert token is not None
            assert token > self.token if holder != self.last else token >= self.token
            assert token == self.token or not self.holder
            self.holder = self.last = holder
            self.token = token
        else:
            assert token is None
        if leaves:
            self.store.release("decide", holder)
            self.holder = "" if holder == self.holder else self.holder

    @rule(
        monitor=st.sampled_from(MONITORS),
        ahead=st.integers(0, 5),
        beyond=st.sampled_from([0, 0, 0, 0, 1]),
        slip=st.sampled_from([0, 0, 0, 0, 1, -1]),
        checkpoint=st.booleans(),
        behind=st.sampled_from([None, 0, 0, 0, 0, 1]),
    )
    def decide(self, monitor: str, ahead: int, beyond: int, slip: int, checkpoint: bool, behind: int | None) -> None:
        """`beyond` the log's end; `behind`: how far its fencing token is from the one that stands, None without a fence."""
        to = len(self.log[monitor]) + 1 if beyond else min(self.decided[monitor] + ahead, len(self.log[monitor]))
        fence = None if behind is None else Fence("decide", self.token - behind)
        decision = Decision(monitor, self.decided[monitor] + slip, to, checkpoint=b"c%d" % to if checkpoint else None, fence=fence)
        if slip or behind or beyond:
            with pytest.raises(ConflictError):
                self.store.decide(decision)
            return
        self.store.decide(decision)
        self.decided[monitor] = to
        self.covered[monitor] = to if checkpoint else self.covered[monitor]

    # --- what must hold

    @invariant()
    def the_log_is_whole(self) -> None:
        for monitor in MONITORS:
            entries = self.store.entries(monitor, 0, 10_000)
            assert [entry.sequence for entry in entries] == list(range(1, len(entries) + 1))
            assert [self._name(entry) for entry in entries] == self.log[monitor]

    @invariant()
    def every_sample_is_in_exactly_one_pane(self) -> None:
        panes = [pane for monitor in MONITORS for pane in self._panes(monitor)]
        for partition, known in self.readings.items():
            covered = [np.arange(p.key.first_offset, p.last_offset + 1) for p in panes if p.key.partition == partition]
            assert sorted(np.concatenate([np.empty(0, int), *covered]).tolist()) == sorted(known.counted)
        taken = sum(self.store.samples_taken(monitor) for monitor in MONITORS)
        assert taken == sum(len(known.counted) for known in self.readings.values())

    @invariant()
    def every_loss_is_in_exactly_one_pane(self) -> None:
        for monitor in MONITORS:
            assert sum(pane.losses.get("text", 0) for pane in self._panes(monitor)) == self.losses[monitor]["text"]

    @invariant()
    def partitions_stand_where_they_were_taken(self) -> None:
        assert self.store.positions() == [
            Position(partition, known.start, known.offset, known.epoch, 0.0, known.lost, known.stopped, known.retired, known.shapes)
            for partition, known in self.readings.items()
            if known.epoch
        ]

    @invariant()
    def decisions_stand_where_they_were_made(self) -> None:
        for monitor in MONITORS:
            decided, covered, checkpoint = self.store.decided(monitor)
            assert (decided, covered) == (self.decided[monitor], self.covered[monitor])
            assert checkpoint in (None, b"c%d" % covered)
        assert self.store.undecided() == [monitor for monitor in MONITORS if len(self.log[monitor]) > self.decided[monitor]]

    def _panes(self, monitor: str) -> list[Pane]:
        closed = [entry for entry in self.store.entries(monitor, 0, 10_000) if isinstance(entry, Pane)]
        return [*closed, *self.store.open_panes(monitor)]

    @staticmethod
    def _name(entry: Pane | Event) -> str:
        return entry.id if isinstance(entry, Event) else f"pane {entry.key.partition} {entry.key.first_offset}"


class FileStoreMachine(StoreMachine):
    """The same on a file."""

    def open(self) -> Store:
        self.directory = TemporaryDirectory()
        return SqliteStore(Path(self.directory.name) / "state.db")

    def teardown(self) -> None:
        super().teardown()
        if hasattr(self, "directory"):
            self.directory.cleanup()


TestStoreMachine = StoreMachine.TestCase
TestStoreMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)

TestFileStoreMachine = FileStoreMachine.TestCase
TestFileStoreMachine.settings = settings(max_examples=15, stateful_step_count=40, deadline=None)
