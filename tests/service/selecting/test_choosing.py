"""Candidates below the limit, audits without regard to it, and everything that each is told with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.selection.assessment import Parts
from detectors.selection.base import Known, Pick, Pool, Turn, Why
from detectors.selection.risk import Risk
from service.label_checks.judging import untrainable
from service.records import Candidate, Output, Purpose
from service.selecting import choosing
from service.selecting.choosing import Choice, Chosen, Limits, audits_due
from service.selecting.gathering import Counts, Gathered
from service.selecting.knowing import Ground, Situation
from service.selecting.names import Names
from service.settings import SelectionSettings
from tests.service.selecting.test_gathering import row

ROWS = 12


@dataclass(frozen=True)
class InOrder:
    """Takes the first rows, every second to expand the mass of class 1."""

    def pick(
        self,
        pool: Pool,
        known: Known,  # noqa: ARG002 - the protocol's
        *,
        budget: int,
        rng: np.random.Generator,  # noqa: ARG002 - the protocol's
        turn: Turn = Turn(),  # noqa: ARG002, B008 - the protocol's
        progress: Callable[[float], None] = lambda _: None,  # noqa: ARG002 - the protocol's
    ) -> tuple[Pick, ...]:
        chosen = range(min(budget, len(pool)))
        return tuple(Pick(i, Why.EXPAND if i % 2 else Why.PROBE, i % 2 or -1, mass=4.0, value=1.0 / (i + 1)) for i in chosen)


@dataclass(frozen=True)
class ByJunk:
    """A risk that is the junk part."""

    def of(self, parts: Parts) -> np.ndarray:
        return parts.junk


def standing(monkeypatch: pytest.MonkeyPatch) -> Ground:
    """Twelve rows, every third risky."""
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(ROWS, 6)).astype(np.float32)
    rows = tuple(row(f"s{i}", vector, output=Output("billing")) for i, vector in enumerate(vectors))
    gathered = Gathered(rows, vectors, (("copy",), *((),) * (ROWS - 1)), np.array([3.0] + [1.0] * (ROWS - 1), np.float32), Counts())
    known = Known(vectors[:3], failures=vectors[1:2] + 0.1, failure_labels=np.array([1]))

    def assess(pool: Pool, _: Known) -> Parts:
        junk = np.where(np.isin(np.arange(len(pool)) % 3, 2), 0.9, 0.1).astype(np.float32)
        return Parts(junk, junk * np.float32(0.5), junk * np.float32(0.3), np.zeros((len(pool), 1), np.int64))

    monkeypatch.setattr(choosing, "assess", assess)
    names = Names(("billing", "refund"), ())
    situation = Situation("text", False, 1)
    return Ground(gathered, Pool(vectors), known, names, (("g0", "hello"), ("g1", ""), ("g2", "")), ("cluster-7",), situation)


@pytest.fixture
def ground(monkeypatch: pytest.MonkeyPatch) -> Ground:
    return standing(monkeypatch)


def choose(ground: Ground, limits: Limits, seed: int = 0) -> Chosen:
    risk: Risk = ByJunk()  # type: ignore[assignment]  # as far as a choice asks
    return Choice(InOrder(), risk, Turn(), "all").choose(ground, limits, np.random.default_rng(seed))


def test_what_is_too_risky_is_not_sent_and_counted(ground: Ground) -> None:
    found = choose(ground, Limits(20, 0.5))
    assert len(found.candidates) == ROWS - found.risky == 8
    assert all(item.risk <= 0.5 for item in found.candidates)


def test_each_candidate_says_why_it_is_asked_about(ground: Ground) -> None:
    probe, expand = choose(ground, Limits(2, 0.5)).candidates
    assert (probe.purpose, probe.weight, probe.copies, probe.nearest) == (Purpose.PROBE, 3, ("copy",), ("g0",))
    assert "unlike what the model is known to be good on" in probe.reason
    assert "stands for 3 samples" in probe.reason
    assert (expand.purpose, expand.failure, expand.predicted) == (Purpose.EXPAND, "cluster-7", "billing")
    assert "like the failures of “refund” (cluster cluster-7)" in expand.reason
    assert (round(expand.junk, 2), round(expand.contested, 2)) == (0.1, 0.05)


@given(st.integers(0, 20), st.integers(0, 5))
def test_the_budget_holds_with_audits_and_no_row_comes_twice(budget: int, audits: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        found = choose(standing(patch), Limits(budget, 0.5, min(audits, budget)), seed=budget)
    ids = [item.id for item in found.candidates]
    assert len(ids) == len(set(ids)) <= budget


def test_audits_are_of_every_risk_and_told_apart(ground: Ground) -> None:
    seen = [item for seed in range(40) for item in choose(ground, Limits(6, 0.5, 2), seed).candidates if item.purpose is Purpose.AUDIT]
    assert len(seen) == 80
    assert {round(item.risk, 1) for item in seen} == {0.1, 0.9}
    assert {item.id for item in seen} == {f"s{i}" for i in range(6)}


def test_a_choice_without_a_risky_row_is_made_once(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    budgets, pick = [], InOrder.pick

    def counted(self: InOrder, pool: Pool, known: Known, *, budget: int, **options: Any) -> tuple[Pick, ...]:
        budgets.append(budget)
        return pick(self, pool, known, budget=budget, **options)

    monkeypatch.setattr(InOrder, "pick", counted)
    found = choose(ground, Limits(6, 0.95, 2))
    assert budgets == [6]
    assert {item.id for item in found.candidates} == {f"s{i}" for i in range(6)}
    assert sum(item.purpose is Purpose.AUDIT for item in found.candidates) == 2
    choose(ground, Limits(6, 0.5, 2))
    assert budgets == [6, 6, 4]


def test_audits_of_small_rounds_add_up_to_the_share_of_all() -> None:
    sent = audited = 0
    for _ in range(5):
        due = audits_due(0.05, 12, before=sent, audited=audited)
        sent, audited = sent + 12, audited + due
    assert audited == 3
    assert audits_due(0.0, 100, before=0, audited=0) == 0


def test_an_audit_is_trained_on_only_where_its_label_shows_no_harm() -> None:
    plain = Candidate("a", "", 0.9, "all")
    audits = [replace(plain, id="b", purpose=Purpose.AUDIT), replace(plain, id="c", purpose=Purpose.AUDIT, risk=0.2)]
    assert untrainable([plain, *audits], SelectionSettings(risk_limit=0.5)) == {"b"}
