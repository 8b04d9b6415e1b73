"""Whatever people, annotators and the clock do to a batch, in whatever order: it keeps to its life, and nothing is lost or told twice."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from itertools import pairwise

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from service import annotation
from service.adapters.sqlite.store import SqliteStore
from service.annotation import sending, take_back, tend
from service.annotation.editing import edited
from service.annotation.manifest import is_intact
from service.annotation.scheme import Words, added, merged, renamed
from service.errors import ConflictError, InputError
from service.records import AnnotationBatch, BatchState, Label, SchemeClass
from service.transitions import WAYS
from tests.service.annotation.conftest import CYCLE, candidates, gold, monitor

WORDS = st.sampled_from(["refund", "CARD  lost", "other", "unusable", "none of these", "new: top up", "refnud", "money back", "", None])
WHO = st.sampled_from(["ana", "bo", "cy"])
SCHEMES = st.sampled_from(["rename", "merge", "add", "alias"])


class Life(RuleBasedStateMachine):
    """One batch of four candidates, one of them for two annotators, with a row of gold."""

    def __init__(self) -> None:
        super().__init__()
        self.store, self.now = SqliteStore(":memory:"), 101.0
        self.given: dict[tuple[str, str], tuple[str | None, bool]] = {}
        self.seen: list[AnnotationBatch] = []

    def teardown(self) -> None:
        with closing(self.store):
            super().teardown()

    @initialize(automatic=st.booleans(), deadline=st.sampled_from([None, 1.0]), with_gold=st.booleans())
    def propose(self, automatic: bool, deadline: float | None, with_gold: bool) -> None:
        self.settings = monitor(approval="automatic" if automatic else "operator", deadline_hours=deadline)
        asked = [*candidates(3), *candidates(4, answers=2)[3:], *(gold(1) if with_gold else [])]
        leaving = annotation.leaving(self.store, annotation.propose(CYCLE, asked, now=self.now), self.settings, now=self.now)
        self.store.save(leaving.batch, *leaving.schemes, outbox=leaving.outbox)
        self.id, self.shown = leaving.batch.id, annotation.items_by_shown(leaving.batch)

    @property
    def batch(self) -> AnnotationBatch:
        return self.store.get(AnnotationBatch, self.id)

    @rule(at=st.integers(0, 4), word=WORDS, who=WHO, twice=st.booleans())
    def answer(self, at: int, word: str | None, who: str, twice: bool) -> None:
        self.now += 1
        key = list(self.shown)[at % len(self.shown)]
        label = Label("chat", self.id, key, word, self.now, who, unusable=word is None)
        for _ in range(1 + twice):
            try:
                found = take_back(self.store, [label], quota=1.0, now=self.now)
            except ConflictError:
                assert self.batch.state in {BatchState.PROPOSED, BatchState.APPROVED}
                return
        assert not (twice and found.changed)
        self.given[key, who] = (None, True) if word == "unusable" else (word, word is None)

    @rule(what=st.sampled_from(["approve", "close", "cancel", "priority"]))
    def act(self, what: str) -> None:
        self.now += 1
        try:
            if what == "approve":
                sending.approve(self.store, self.id, self.settings.annotation, actor="ana", now=self.now)
            elif what == "cancel":
                sending.cancel(self.store, self.id, actor="ana", now=self.now)
            elif what == "priority":
                sending.prioritise(self.store, self.id, 7, actor="ana", now=self.now)
            else:
                self.store.save(annotation.close(self.batch, actor="ana", now=self.now))
        except ConflictError:
            return

    @rule(what=SCHEMES)
    def change_scheme(self, what: str) -> None:
        self.now += 1
        changes = {
            "rename": lambda scheme: renamed(scheme, "refund", "money back", actor="ana", now=self.now),
            "merge": lambda scheme: merged(scheme, ["card lost"], "other", actor="ana", now=self.now),
            "add": lambda scheme: added(scheme, SchemeClass("top up"), actor="ana", now=self.now),
            "alias": lambda scheme: added(scheme, SchemeClass("typing errors", ("refnud",)), actor="ana", now=self.now),
        }
        try:
            edited(self.store, self.settings, changes[what], now=self.now)
        except InputError:
            return

    @rule(hours=st.sampled_from([0.1, 2.0]))
    def wait(self, hours: float) -> None:
        self.now += 3_600 * hours
        tend(self.store, now=self.now)
        batch = self.batch
        assert not (batch.state in {BatchState.SENT, BatchState.PARTLY_RETURNED} and 0 < batch.deadline <= self.now)

    @invariant()
    def it_keeps_to_its_life(self) -> None:
        if not hasattr(self, "id"):
            return
        batch = self.batch
        before = self.seen[-1] if self.seen else batch
        self.seen.append(batch)
        states = [before.state, *(step.state for step in batch.history[len(before.history) :])]
        assert all(one == other or other in WAYS[BatchState(one)] for one, other in pairwise(states))
        assert batch.history[: len(before.history)] == before.history
        if before.state in {BatchState.CLOSED, BatchState.CANCELLED}:
            assert batch == before
        assert is_intact(batch)

    @invariant()
    def nothing_that_was_said_is_lost(self) -> None:
        if not hasattr(self, "id"):
            return
        batch, scheme = self.batch, annotation.scheme_of(self.store, "chat")
        assert scheme is not None
        kept = {(label.sample, label.annotator): (label.label, label.unusable) for label in self.store.labels("chat")}
        real = {key: key if item.truth else item.id for key, item in self.shown.items()}
        assert kept == {(real[key], who): said for (key, who), said in self.given.items() if said[0] != ""}
        words = Words(scheme)
        understood = Counter(
            sample for (sample, _), (word, _) in kept.items() if word is None or words.resolve(word).meaning.value != "unknown"
        )
        if batch.state in {BatchState.SENT, BatchState.PARTLY_RETURNED}:
            assert batch.returned == sum(understood[item.id] >= item.answers for item in batch.items)
        assert set(annotation.answers(self.store, [batch])) <= {item.id for item in batch.items}

    @invariant()
    def everybody_hears_of_it_once(self) -> None:
        if not hasattr(self, "id"):
            return
        kinds = Counter(item.kind for item in self.store.outbox())
        was_sent = any(step.state == BatchState.SENT for step in self.batch.history)
        assert kinds["annotation.batch"] == was_sent
        assert kinds["annotation.cancelled"] == (was_sent and self.batch.state is BatchState.CANCELLED)


@pytest.mark.long
def test_any_order_of_events_keeps_to_the_life_of_a_batch() -> None:
    run_state_machine_as_test(Life, settings=settings(max_examples=40, stateful_step_count=20, deadline=None))
