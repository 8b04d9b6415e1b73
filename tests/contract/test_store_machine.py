"""Random lives of a store: whatever workers and controllers try in whatever order, the state is what the successful steps made of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from detectors import Summary
from service.adapters.sqlite import SqliteStore
from service.errors import ConflictError
from service.ports import Store
from service.records import Assignment, Commit, Decision, Event, Pane, PaneKey, Partition

MONITORS = ("chat", "search")
PARTITIONS = tuple(Partition("http", "t", number) for number in range(2))
PER_PANE = 4


class StoreMachine(RuleBasedStateMachine):
    """Two partitions, two monitors; the model is a handful of numbers. Another adapter overrides `open`."""

    assignments = Bundle("assignments")

    def open(self) -> Store:
        return SqliteStore(":memory:")

    @initialize()
    def start(self) -> None:
        self.store = self.open()
        self.epoch = dict.fromkeys(PARTITIONS, 0)
        self.offset = dict.fromkeys(PARTITIONS, 0)
        self.open_count = dict.fromkeys(PARTITIONS, 0)
        self.log: dict[str, list[str]] = {monitor: [] for monitor in MONITORS}
        self.decided = dict.fromkeys(MONITORS, 0)
        self.covered = dict.fromkeys(MONITORS, 0)

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()

    @rule(target=assignments, partition=st.sampled_from(PARTITIONS))
    def assign(self, partition: Partition) -> Assignment:
        held = self.store.assign(partition)
        self.epoch[partition] += 1
        assert (held.epoch, held.offset) == (self.epoch[partition], self.offset[partition])
        assert sum(pane.summary.count for pane in held.open_panes) == self.open_count[partition]
        return held

    @rule(held=assignments, take=st.integers(0, 9), slip=st.sampled_from([0, 0, 0, 0, 1, -1]), monitor=st.sampled_from(MONITORS))
    def commit(self, held: Assignment, take: int, slip: int, monitor: str) -> None:
        partition, start = held.partition, self.offset[held.partition]
        commit = replace(self._commit(held, start, take, monitor), expected_offset=start + slip)
        if slip or held.epoch != self.epoch[partition]:
            with pytest.raises(ConflictError):
                self.store.commit(commit)
            return
        closed = self.store.commit(commit)
        first = len(self.log[monitor]) + 1
        assert [pane.sequence for pane in closed] == list(range(first, first + len(closed)))
        self.log[monitor] += [f"pane {partition.number} {pane.key.first_offset}" for pane in closed]
        self.offset[partition] += take
        self.open_count[partition] = sum(pane.summary.count for pane in commit.touched) if take else self.open_count[partition]
        with pytest.raises(ConflictError):
            self.store.commit(replace(commit, expected_offset=start - 1))

    def _commit(self, held: Assignment, start: int, take: int, monitor: str) -> Commit:
        """Full panes of the new records, an open one for the rest; what the monitor had open is closed, the others' stays."""
        partition = held.partition
        if not take:
            return Commit(partition, held.epoch, start, start, 0.0)
        mine, others = ([pane for pane in self._open(partition) if (pane.key.monitor == monitor) is own] for own in (True, False))
        rest = take % PER_PANE
        full = [self._pane(partition, monitor, start + n, PER_PANE) for n in range(0, take - rest, PER_PANE)]
        left = [self._pane(partition, monitor, start + take - rest, rest)] if rest else []
        return Commit(partition, held.epoch, start, start + take, 0.0, (*mine, *full), (*others, *left), counts={monitor: take})

    def _open(self, partition: Partition) -> list[Pane]:
        return [pane for name in MONITORS for pane in self.store.open_panes(name) if pane.key.partition == partition]

    def _pane(self, partition: Partition, monitor: str, first: int, count: int) -> Pane:
        summary = replace(Summary.empty(2, 1, 1), count=count)
        return Pane(PaneKey(monitor, "all", 1, partition, first), first + count - 1, 0.0, 0.0, summary)

    @rule(monitor=st.sampled_from(MONITORS), number=st.integers(0, 4))
    def record(self, monitor: str, number: int) -> None:
        name = f"event {monitor} {number}"
        stored = self.store.record_event(Event(name, monitor, "verdict", 1.0, "ana"))
        if name not in self.log[monitor]:
            self.log[monitor].append(name)
        assert stored.sequence == self.log[monitor].index(name) + 1

    @rule(monitor=st.sampled_from(MONITORS), ahead=st.integers(0, 5), slip=st.sampled_from([0, 0, 1, -1]), checkpoint=st.booleans())
    def decide(self, monitor: str, ahead: int, slip: int, checkpoint: bool) -> None:
        to = self.decided[monitor] + ahead
        decision = Decision(monitor, self.decided[monitor] + slip, to, checkpoint=b"c%d" % to if checkpoint else None)
        if slip or to > len(self.log[monitor]):
            with pytest.raises(ConflictError):
                self.store.decide(decision)
            return
        self.store.decide(decision)
        self.decided[monitor] = to
        self.covered[monitor] = to if checkpoint else self.covered[monitor]

    @invariant()
    def the_log_is_whole(self) -> None:
        for monitor in MONITORS if hasattr(self, "store") else ():
            entries = self.store.entries(monitor, 0, 10_000)
            assert [entry.sequence for entry in entries] == list(range(1, len(entries) + 1))
            assert [self._name(entry) for entry in entries] == self.log[monitor]

    @invariant()
    def every_sample_is_in_exactly_one_pane(self) -> None:
        if not hasattr(self, "store"):
            return
        closed = [entry for monitor in MONITORS for entry in self.store.entries(monitor, 0, 10_000) if isinstance(entry, Pane)]
        panes = [*closed, *(pane for monitor in MONITORS for pane in self.store.open_panes(monitor))]
        for partition in PARTITIONS:
            covered = [np.arange(p.key.first_offset, p.last_offset + 1) for p in panes if p.key.partition == partition]
            assert sorted(np.concatenate([np.empty(0, int), *covered]).tolist()) == list(range(self.offset[partition]))
        assert sum(self.store.samples_taken(monitor) for monitor in MONITORS) == sum(self.offset.values())

    @invariant()
    def decisions_stand_where_they_were_made(self) -> None:
        for monitor in MONITORS if hasattr(self, "store") else ():
            decided, covered, checkpoint = self.store.decided(monitor)
            assert (decided, covered) == (self.decided[monitor], self.covered[monitor])
            assert checkpoint in (None, b"c%d" % covered)

    @staticmethod
    def _name(entry: Pane | Event) -> str:
        return entry.id if isinstance(entry, Event) else f"pane {entry.key.partition.number} {entry.key.first_offset}"


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
TestStoreMachine.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)

TestFileStoreMachine = FileStoreMachine.TestCase
TestFileStoreMachine.settings = settings(max_examples=10, stateful_step_count=30, deadline=None)
