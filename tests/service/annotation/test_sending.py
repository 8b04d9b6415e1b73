"""What leaves: sealed, priced, approved by whoever may, and shown without anything that colours an answer or gives gold away."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service import annotation
from service.adapters.sqlite.store import SqliteStore
from service.annotation import items_by_shown, labels_asked, price_of, sending, waits_for
from service.annotation.editing import edited
from service.annotation.manifest import canonical_json, is_intact, manifest
from service.annotation.scheme import renamed
from service.errors import ConflictError, InputError, NotFoundError
from service.records import AnnotationBatch, BatchState, LabelScheme, Purpose
from service.risks import judged
from service.settings import AnnotationSettings
from tests.service.annotation.conftest import CYCLE, Send, candidates, gold, monitor


def shown(store: SqliteStore) -> dict[str, Any]:
    """The payload of what leaves first."""
    return dict(store.due(1e12, 10)[0].payload)


# --- manifest -----------------------------------------------------------------------------------------------------------


def test_the_manifest_is_canonical_and_its_checksum_stays_with_the_batch(store: SqliteStore, send: Send) -> None:
    batch = send([*candidates(2), *gold(1)])
    text = canonical_json(manifest(batch))
    assert hashlib.sha256(text.encode()).hexdigest() == batch.manifest == shown(store)["manifest"]
    assert [item["payload"] for item in json.loads(text)["items"]] == ["k0", "d0", "d1"]
    assert is_intact(batch)


def test_what_is_learnt_later_leaves_the_manifest_as_it_was(send: Send) -> None:
    batch = send(candidates(2))
    later = annotation.prioritise(judged(batch, {}), 0.5, item="s0", actor="ana", now=200.0)
    learnt = replace(later, items=tuple(replace(item, known_risk=0.9) for item in later.items), returned=2)
    assert is_intact(learnt)
    assert not is_intact(replace(batch, items=batch.items[:1]))
    assert not is_intact(replace(batch, items=(replace(batch.items[0], digest="another"), batch.items[1])))


# --- price and approval -----------------------------------------------------------------------------------------------


def test_answers_by_several_and_gold_are_paid_for() -> None:
    batch = annotation.propose(CYCLE, [*candidates(3), replace(candidates(4)[3], answers=3), *gold(2)], now=1.0)
    assert (labels_asked(batch), price_of(batch, 0.1), price_of(batch, None)) == (8, 0.8, None)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({}, ""),
        ({"automatic_labels": 4, "automatic_cost": 0.4}, ""),
        ({"automatic_labels": 3}, "asks for 4 answers, and annotation.automatic_labels lets 3"),
        ({"automatic_cost": 0.39}, r"costs 0\.40, and annotation.automatic_cost lets 0\.39"),
        ({"automatic_labels": 0}, "asks for 4 answers"),
        ({"approval": "operator"}, "annotation.approval is operator"),
        ({"destination": None}, "no annotation.destination is set"),
    ],
)
def test_a_batch_leaves_by_itself_within_its_budget_alone(send: Send, options: dict[str, Any], why: str) -> None:
    batch = send(candidates(4), **options)
    assert batch.state is (BatchState.PROPOSED if why else BatchState.SENT)
    assert batch.version == 1
    found = waits_for(batch, monitor(**options).annotation)
    assert re.search(why, found) if why else not found


def test_a_limit_in_money_needs_a_price() -> None:
    with pytest.raises(ValueError, match=r"automatic_cost: a limit in money needs `annotation\.price`"):
        AnnotationSettings(automatic_cost=5.0)


def test_a_person_sends_what_waits_by_the_scheme_of_that_moment(store: SqliteStore, send: Send) -> None:
    batch = send(candidates(2), approval="operator")
    edited(store, monitor(), lambda scheme: renamed(scheme, "other", "rest", actor="ana", now=110.0), now=110.0)
    sent = sending.approve(store, batch.id, monitor().annotation, actor="ana", now=120.0, note="fine")
    assert (sent.state, sent.version, sent.destination, sent.scheme) == (BatchState.SENT, 2, "vendor", 2)
    assert is_intact(sent)
    assert [each["name"] for each in shown(store)["scheme"]["classes"]] == ["refund", "card lost", "rest"]
    assert {item["predicted"] for item in shown(store)["candidates"]} == {"rest"}, "the model says `other`"
    with pytest.raises(ConflictError, match="is sent and can't become approved"):
        sending.approve(store, batch.id, monitor().annotation, actor="ana", now=121.0)


def test_the_first_batch_brings_the_first_version_of_the_scheme(store: SqliteStore, send: Send) -> None:
    assert send(candidates(1)).scheme == 1
    assert send(candidates(1), number=2).scheme == 1
    assert [[each.name for each in scheme.classes] for scheme in store.find(LabelScheme)] == [["refund", "card lost", "other"]]


# --- what is seen -----------------------------------------------------------------------------------------------------


def test_the_payload_has_all_that_an_adapter_needs(store: SqliteStore, send: Send) -> None:
    batch = send(candidates(2), deadline_hours=24)
    payload = shown(store)
    assert payload["deadline"] == "1970-01-02T00:01:41Z"
    assert payload["scheme"] == {
        "number": 1, "guideline": "", "unusable": "unusable", "none": "none of these", "new": "new: ",
        "classes": [{"name": name, "aliases": [], "guideline": ""} for name in ("refund", "card lost", "other")],
    }  # fmt: skip
    assert {item["driftgate_id"]: (item["predicted"], item["risk"], item["reason"], item["answers"]) for item in payload["candidates"]} == {
        item.id: ("other", 0.2, "new content", 1) for item in batch.items
    }
    assert payload["priority"] == 5


@pytest.mark.parametrize("purpose", [Purpose.PROBE, Purpose.CHALLENGE, Purpose.TOP_UP, Purpose.REVIEW])
def test_blind_items_carry_no_opinion(store: SqliteStore, send: Send, purpose: Purpose) -> None:
    send([replace(each, weight=7) for each in candidates(2, purpose, priority=0.9)])
    for item in shown(store)["candidates"]:
        assert (item["predicted"], item["risk"], item["reason"], item["weight"], item["priority"]) == (None, None, None, 1, 0.0)


@pytest.mark.parametrize("more", [{"answers": 2}, {"again": "another batch"}])
def test_second_answers_are_blind(store: SqliteStore, send: Send, more: dict[str, Any]) -> None:
    send(candidates(1, **more))
    assert shown(store)["candidates"][0]["predicted"] is None


@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 30), st.integers(0, 1_000))
def test_nothing_tells_gold_from_candidates(expanding: int, golden: int, probing: int, seed: int) -> None:
    cycle = replace(CYCLE, id=f"cycle {seed}")
    probes = [replace(item, id=f"p{n}") for n, item in enumerate(candidates(probing, Purpose.PROBE))]
    batch = annotation.propose(cycle, [*candidates(expanding, priority=0.4), *probes, *gold(golden)], now=1.0)
    items = annotation.outgoing(batch, destination="vendor", price=None, now=1.0).payload["candidates"]
    origin = items_by_shown(batch)
    assert [item["driftgate_id"] for item in items] == list(origin)
    assert {len(item["driftgate_id"]) for item in items} == {20}
    assert {(*item.keys(), item["predicted"], item["risk"], item["reason"], item["weight"], item["answers"]) for item in items} == {
        ("driftgate_id", "text", "segment", "answers", "predicted", "risk", "reason", "weight", "priority", None, None, None, 1, 1)
    }
    assert {item["priority"] for item in items} == {0.4}
    assert {each.id for each in origin.values()} == {item.id for item in (*batch.items, *batch.gold)}
    assert "truth" not in json.dumps(items)


def test_the_order_says_nothing_of_where_an_item_comes_from() -> None:
    places = []
    for seed in range(200):
        batch = annotation.propose(replace(CYCLE, id=f"cycle {seed}"), [*candidates(9), *gold(1)], now=1.0)
        places.append([item.purpose for item in items_by_shown(batch).values()].index(Purpose.GOLD))
    assert set(places) == set(range(10))
    assert 3.5 < sum(places) / len(places) < 5.5


# --- priority and end -------------------------------------------------------------------------------------------------


def test_the_priority_of_a_batch_follows_from_what_its_failures_cost() -> None:
    about = [replace(item, failure=f"f{n % 2}", priority=0.3) for n, item in enumerate(candidates(4))]
    assert annotation.propose(CYCLE, about, now=1.0).priority == 6
    assert annotation.propose(CYCLE, candidates(4), now=1.0).priority == 5


def test_a_priority_is_changed_and_annotators_who_have_the_batch_are_told(store: SqliteStore, send: Send) -> None:
    waiting = send(candidates(2), approval="operator")
    assert sending.prioritise(store, waiting.id, 9, actor="ana", now=110.0).priority == 9
    assert not store.due(1e12, 10)
    out = send(candidates(2), number=2)
    changed = sending.prioritise(store, out.id, 0.7, item="s1", actor="ana", now=120.0)
    assert (changed.state, changed.history[-1].note, changed.version) == (BatchState.SENT, "s1 0.7", 2)
    item = next(item for item in store.due(1e12, 10) if item.kind == "annotation.priority")
    assert (item.destination, item.payload["items"]) == ("vendor", {"s0": 0.0, "s1": 0.7})


@pytest.mark.parametrize(
    ("priority", "item", "error", "why"),
    [
        (11, "", InputError, "priority is 11; a whole number from 0 to 10"),
        (1.5, "", InputError, "priority is 1.5; a whole number"),
        (float("nan"), "", InputError, "priority is nan"),
        (2, "s0", InputError, "priority is 2; a number from 0 to 1"),
        (1, "nobody", NotFoundError, "no candidate 'nobody'"),
        (1, "s1", ConflictError, "is answered blind"),
    ],
)
def test_priorities_that_can_not_be_are_refused(send: Send, priority: float, item: str, error: type[Exception], why: str) -> None:
    batch = send([candidates(1)[0], *candidates(2, Purpose.PROBE)[1:]])
    with pytest.raises(error, match=why):
        annotation.prioritise(batch, priority, item=item, actor="ana", now=1.0)


def test_nobody_reorders_what_has_ended(send: Send) -> None:
    closed = annotation.close(send(candidates(1)), actor="ana", now=1.0)
    with pytest.raises(ConflictError, match="is closed: nobody works on it any more"):
        annotation.prioritise(closed, 3, actor="ana", now=2.0)


def test_annotators_hear_of_a_cancelled_batch_once_and_only_if_they_had_it(store: SqliteStore, send: Send) -> None:
    out, waiting = send(candidates(1)), send(candidates(1), number=2, approval="operator")
    for batch in (out, waiting):
        assert sending.cancel(store, batch.id, actor="ana", now=200.0, note="a false alarm").state is BatchState.CANCELLED
    left = [item for item in store.due(1e12, 10) if item.kind == "annotation.cancelled"]
    assert [(item.payload["batch"], item.payload["reason"], item.payload["note"]) for item in left] == [
        (out.id, "a person cancelled it", "a false alarm")
    ]
    with pytest.raises(ConflictError):
        sending.cancel(store, out.id, actor="ana", now=201.0)
    assert store.get(AnnotationBatch, out.id).version == 2
