"""Random lives of what a store knows of answers and of truth; the model is a list and two dictionaries."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from service.adapters.sqlite import SqliteStore
from service.errors import ConflictError
from service.ports import Store
from service.records import AnswerBlock, Event, Judgement, Truths
from service.truth import answers
from tests.contract.conftest import redis_store
from tests.contract.stored import PARTITION, step
from tests.servers.redis_server import RedisServer

SAMPLES = [f"s{n}" for n in range(12)]
CLASSES = ("refund", "cancel")
KEEP, REMEMBER = 4, 8
GIVEN = st.lists(st.tuples(st.sampled_from(SAMPLES), st.sampled_from(CLASSES)), min_size=1, max_size=5, unique_by=lambda each: each[0])


class TruthMachine(RuleBasedStateMachine):
    """One monitor, in both hands: who takes samples, and who takes labels. Another adapter overrides `open`."""

    def open(self) -> Store:
        return SqliteStore(":memory:")

    @initialize()
    def start(self) -> None:
        self.store = self.open()
        self.blocks: list[tuple[int, list[tuple[str, str]]]] = []
        """(number of the last row, rows) of each."""
        self.truth: dict[str, tuple[int, str]] = {}
        """Sample → (number, truth)."""
        self.past: dict[str, int] = {}
        """Samples of which only their number is remembered."""
        self.judged = self.told = self.events = 0

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()

    @rule(rows=GIVEN, version=st.sampled_from([1, 1, 1, 2]), brought=st.booleans())
    def work(self, rows: list[tuple[str, str]], version: int, brought: bool) -> None:
        """A batch of answered samples; sometimes they bring their labels."""
        ids, n = [sample for sample, _ in rows], len(rows)
        numbers = {"times": np.zeros(n), "confidence": np.zeros(n), "clusters": np.zeros(n)}
        body = answers.pack(ids, [predicted for _, predicted in rows], [{}] * n, lambda _: (), numbers=numbers, version=version)
        truths = (self._truths(rows, None),) if brought else ()
        self.store.commit(step(self.store.assign(PARTITION), answers=(AnswerBlock("chat", n, body, KEEP),), truths=truths))
        last = (self.blocks[-1][0] if self.blocks else 0) + n
        self.blocks.append((last, rows))
        if brought:
            self._learn(rows)

    @rule(rows=GIVEN, looked=st.lists(st.sampled_from(SAMPLES), unique=True))
    def judge(self, rows: list[tuple[str, str]], looked: list[str]) -> None:
        """What is known of some samples has been looked up, what of others has not, or was not known then."""
        before = {sample: each for sample, each in self.store.known_truth("chat", looked).items() if each}
        overtaken = {sample for sample, _ in rows if sample in self.past or (sample in self.truth and sample not in before)}
        assert set(self.store.judge(self._truths(rows, before))) == overtaken
        self._learn([row for row in rows if row[0] not in overtaken])

    @rule(limit=st.integers(1, 6), twice=st.booleans())
    def tell(self, limit: int, twice: bool) -> None:
        untold = self.store.untold("chat", limit)
        waiting = sorted((number, sample) for sample, (number, _) in self.truth.items() if number > self.told)[:limit]
        assert [each.sample for each in untold.judgements] == [sample for _, sample in waiting]
        assert untold.after == self.told
        if not waiting:
            return
        event = Event(f"told {untold.until}", "chat", "truth", 0.0, "driftgate")
        self.events += 1
        assert self.store.tell(event, after=untold.after, until=untold.until).sequence == self.events
        self.told = untold.until
        if twice:
            with pytest.raises(ConflictError):
                self.store.tell(event, after=untold.after, until=untold.until)

    @rule()
    def tidy(self) -> None:
        """Changes nothing that can be seen."""
        self.store.tidy(now=0.0)

    @invariant()
    def truth_stands_in_order(self) -> None:
        found = [(each.sample, each.truth) for each in self.store.judgements("chat")]
        assert found == [(sample, truth) for sample, (_, truth) in sorted(self.truth.items(), key=lambda item: item[1][0])]
        known = self.store.known_truth("chat", SAMPLES)
        assert {sample for sample, each in known.items() if each is None} == set(self.past)
        assert {sample for sample, each in known.items() if each} == set(self.truth)

    @invariant()
    def the_newest_answers_are_found(self) -> None:
        """What has gone goes by whole blocks, later where blocks were merged."""
        found = {sample: answer.predicted for sample, answer in self.store.answers("chat", SAMPLES).items()}
        last = self.blocks[-1][0] if self.blocks else 0
        ever = {sample: predicted for _, rows in self.blocks for sample, predicted in rows}
        kept = {sample: predicted for end, rows in self.blocks if end > last - KEEP for sample, predicted in rows}
        assert kept.items() <= found.items() <= ever.items()

    def _truths(self, rows: list[tuple[str, str]], before: dict[str, Judgement] | None) -> Truths:
        judgements = tuple(Judgement("chat", sample, "refund", truth, 0.5, {}, 0, 1, 0.0, 1.0) for sample, truth in rows)
        return Truths("chat", judgements, KEEP, REMEMBER, before)

    def _learn(self, rows: list[tuple[str, str]]) -> None:
        for sample, truth in rows:
            if sample in self.past:
                continue
            if sample not in self.truth:
                self.judged += 1
            self.truth[sample] = (self.truth[sample][0] if sample in self.truth else self.judged, truth)
        gone = {sample: number for sample, (number, _) in self.truth.items() if number <= min(self.judged - KEEP, self.told)}
        self.truth = {sample: known for sample, known in self.truth.items() if sample not in gone}
        self.past = {sample: number for sample, number in (self.past | gone).items() if number > self.judged - REMEMBER}


TestTruthMachine = TruthMachine.TestCase
TestTruthMachine.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)


@pytest.mark.server("redis-server")
def test_redis_truth_machine(redis_server: RedisServer, tmp_path: Path) -> None:
    """Each life under a key prefix of its own."""
    lives = itertools.count()

    class RedisTruthMachine(TruthMachine):
        def open(self) -> Store:
            number = next(lives)
            return redis_store(redis_server.url, f"truth{number}", tmp_path / str(number))

    run_state_machine_as_test(RedisTruthMachine, settings=settings(max_examples=20, stateful_step_count=30, deadline=None))
