"""What a cycle waits for in each state, for how long it may, and what is told of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service import refresh
from service.cycles.due import Due
from service.cycles.news import News, of_batch, of_cycle, of_due, of_standing
from service.cycles.standing import Awaited, Standing, standing
from service.records import AnnotationBatch, BatchState, Candidate, CycleState, RefreshCycle, Step, Trigger
from service.settings import MonitorSettings
from service.transitions import WAYS, advance

HOUR = 3_600.0
ITEMS = tuple(Candidate(f"s{i}", "new", 0.1, "all", text="secret words") for i in range(4))


def settings(**options: Any) -> MonitorSettings:
    document = {"name": "chat", "embedder": {"model": "m.onnx"}, "notify": ["pager"], "refresh": options}
    return MonitorSettings.model_validate(document | {"annotation": {}})


SETTINGS = settings()


def cycle(*states: CycleState, verdict: str = "") -> RefreshCycle:
    """In each of these states for an hour."""
    made = replace(refresh.opened(refresh.Opening("chat", 1, "a1", opener=refresh.Opener(Trigger.ALARM)), now=0.0), batch="b1")
    for hours, state in enumerate(states, 1):
        verification = {"verdict": verdict, "reasons": ["fewer errors"]} if verdict else None
        made = advance(made, Step(state, "as it goes", hours * HOUR), verification=verification)
    return made


def batch(*states: BatchState, **changes: Any) -> AnnotationBatch:
    history = tuple(Step(state, "as it goes", 100.0 * n) for n, state in enumerate(states))
    return replace(AnnotationBatch("b1", "chat", "c1", 1, states[-1], ITEMS, 0.0, history=history, version=1), **changes)


OUT = batch(BatchState.PROPOSED, BatchState.APPROVED, BatchState.SENT)
DONE = batch(BatchState.PROPOSED, BatchState.APPROVED, BatchState.SENT, BatchState.CLOSED)
TRAINED = (CycleState.TRAINING, CycleState.VERIFYING)


@pytest.mark.parametrize(
    ("at", "asked", "awaited", "since", "hours"),
    [
        (cycle(), batch(BatchState.PROPOSED), Awaited.WORD, 0.0, 72.0),
        (cycle(), OUT, Awaited.LABELS, 200.0, 336.0),
        (cycle(), DONE, Awaited.CHOICE, 300.0, 6.0),
        (cycle(CycleState.TRAINING), DONE, Awaited.MODEL, HOUR, 24.0),
        (cycle(*TRAINED), DONE, Awaited.VERDICT, 2 * HOUR, 6.0),
        (cycle(*TRAINED, CycleState.VERIFYING, verdict="insufficient"), DONE, Awaited.GOLDEN, 3 * HOUR, 72.0),
        (cycle(*TRAINED, CycleState.VERIFIED, verdict="promote"), DONE, Awaited.PROMOTION, 3 * HOUR, 72.0),
        (cycle(*TRAINED, CycleState.VERIFIED, CycleState.DEPLOYING, verdict="promote"), DONE, Awaited.PRODUCTION, 4 * HOUR, 72.0),
    ],
)
def test_each_state_waits_for_one_thing_and_not_for_ever(
    at: RefreshCycle, asked: AnnotationBatch, awaited: Awaited, since: float, hours: float
) -> None:
    found = standing(at, asked, SETTINGS)
    assert (found.awaited, found.since, found.limit) == (awaited, since, since + hours * HOUR)
    assert not found.stuck(found.limit)
    assert found.stuck(found.limit + 1)
    assert found.said
    assert found.todo


def test_a_batch_with_a_deadline_has_a_day_more_than_that() -> None:
    assert standing(cycle(), replace(OUT, deadline=9_000.0), SETTINGS).limit == 9_000.0 + 24 * HOUR
    assert standing(cycle(), OUT, settings(limits={"annotating": 2})).limit == 200.0 + 2 * HOUR


def test_what_a_model_that_can_not_be_used_is_waited_for_again_with() -> None:
    refused = cycle(*TRAINED, CycleState.TRAINING, verdict="unusable")
    assert standing(refused, DONE, SETTINGS).said == "another model (fewer errors)"
    first = standing(cycle(CycleState.TRAINING), DONE, SETTINGS)
    assert first.said == "a trained model"
    assert "`driftgate train --cycle" in first.todo


def test_every_open_state_stands_somewhere() -> None:
    ways: dict[CycleState, tuple[CycleState, ...]] = {CycleState.ANNOTATING: ()}
    while missing := refresh.OPEN - ways.keys():
        for before, way in list(ways.items()):
            ways |= {CycleState(after): (*way, CycleState(after)) for after in WAYS[before] if after in missing}
    for way in ways.values():
        assert isinstance(standing(cycle(*way), DONE, SETTINGS), Standing)


# --- news ------------------------------------------------------------------------------------------------------------


def kinds(news: Sequence[News]) -> list[tuple[str, float]]:
    return [(each.kind, each.time) for each in news]


def test_a_history_tells_each_of_its_steps_once() -> None:
    whole = cycle(*TRAINED, CycleState.VERIFIED, CycleState.DEPLOYING, CycleState.PROMOTED, CycleState.REVERTED, verdict="promote")
    told = list(of_cycle(whole))
    assert kinds(told) == [("refresh.opened", 0.0), ("refresh.verdict", 3 * HOUR), ("refresh.ended", 5 * HOUR), ("refresh.ended", 6 * HOUR)]
    assert told[1].text == "chat: the new model is proven better: fewer errors"
    assert "reverted" in told[3].text
    items = [item for news in told for item in news.items(["pager", "mail"])]
    assert len({item.id for item in items}) == len(items) == 8
    assert [item for news in of_cycle(whole) for item in news.items(["pager", "mail"])] == items


def test_a_rejected_an_undecided_and_a_cancelled_cycle_are_told() -> None:
    rejected = list(of_cycle(cycle(*TRAINED, CycleState.REJECTED, verdict="reject")))
    assert rejected[-1].text == "chat: the new model is rejected: fewer errors"
    declined = list(of_cycle(cycle(*TRAINED, CycleState.VERIFIED, CycleState.REJECTED, verdict="promote")))
    assert [each.kind for each in declined] == ["refresh.opened", "refresh.verdict", "refresh.ended"]
    assert "declined" in declined[-1].text
    undecided = list(of_cycle(cycle(*TRAINED, CycleState.VERIFYING, verdict="insufficient")))
    assert kinds(undecided)[-1] == ("refresh.verdict", 3 * HOUR)
    assert kinds(list(of_cycle(cycle(CycleState.CANCELLED))))[-1] == ("refresh.ended", HOUR)


@given(st.floats(0, 1e6), st.floats(0, 1e6))
def test_what_a_wait_tells_is_the_same_whenever_it_is_looked_at(first: float, second: float) -> None:
    waiting = standing(cycle(CycleState.TRAINING), DONE, SETTINGS)
    told = [[item for news in of_standing(waiting, SETTINGS, now) for item in news.items(["pager"])] for now in sorted((first, second))]
    assert told[0] in (told[1], [])
    assert bool(told[1]) == (max(first, second) > 25 * HOUR)


def test_a_proven_model_waits_for_approval_only_where_somebody_has_to_approve() -> None:
    proven = standing(cycle(*TRAINED, CycleState.VERIFIED, verdict="promote"), DONE, SETTINGS)
    assert kinds(list(of_standing(proven, SETTINGS, proven.since))) == [("refresh.approval", 3 * HOUR)]
    assert list(of_standing(proven, settings(promotion="automatic"), proven.since)) == []


def test_batches_tell_that_they_wait_and_that_their_labels_are_late() -> None:
    (waits,) = of_batch(batch(BatchState.PROPOSED), SETTINGS, 50.0)
    assert (waits.kind, waits.todo) == ("refresh.approval", "`driftgate annotation approve b1`")
    due = replace(OUT, deadline=1_200.0, returned=1)
    assert list(of_batch(due, SETTINGS, 1_000.0)) == []
    (late,) = of_batch(due, SETTINGS, 1_001.0)
    assert (late.kind, late.time) == ("refresh.late", 1_000.0)
    assert "1 of 4" in late.text
    assert list(of_batch(DONE, SETTINGS, 1e9)) == []
    assert "secret" not in str(list(late.items(["pager"])))


def test_what_is_due_is_told_by_its_opener() -> None:
    told = of_due("chat", Due(Trigger.AGE, "opener", "the model is old", 7.0))
    (item,) = told.items(["pager"])
    assert (item.kind, item.created, item.payload["trigger"]) == ("refresh.due", 7.0, Trigger.AGE)
    assert item.payload["todo"] == "`driftgate refresh start --monitor chat`"
