"""The refresh cycle over a real store: from an alarm to labels and data sets, whatever is repeated or lost in between."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from detectors.selection.assessment import Verdict
from service import annotation, refresh
from service.adapters.sqlite import SqliteStore
from service.errors import ConflictError, InputError
from service.label_checks import judging
from service.records import (
    WHOLE,
    AnnotationBatch,
    BatchState,
    Candidate,
    CycleState,
    Label,
    Outcome,
    Purpose,
    RefreshCycle,
    Sample,
    Trigger,
)
from service.risks import curve
from service.selecting.asking import is_challenge
from service.selecting.selection import Round

if TYPE_CHECKING:
    from tests.service.conftest import World

from service.selecting.slices import Slice
from tests.service.refresh_bench import CLASSES, Bench, dying

pytestmark = pytest.mark.long


# --- opening ---------------------------------------------------------------------------------------------------------


def test_an_alarm_opens_one_cycle_with_a_batch_that_leaves(bench: Bench) -> None:
    alarm = bench.drift()
    cycle, batch = bench.cycle(), bench.batch()
    assert (cycle.opened_by, cycle.state, cycle.reference_version) == (alarm.id, CycleState.ANNOTATING, 1)
    assert batch.state is BatchState.SENT
    assert 8 < len(batch.items) <= 40
    assert [(item.kind, item.destination) for item in bench.store.outbox()] == [("annotation.batch", "vendor")]

    for refresher in (bench.refresher, bench.restarted()):
        refresher.follow(alarm, samples=900, now=3_100.0)
        refresher.follow(alarm, samples=5_000, now=3_200.0)
    assert bench.cycle() == cycle


def test_a_young_drift_is_given_time(bench: Bench) -> None:
    alarm = bench.drift(rows=160)
    bench.refresher.follow(alarm, samples=199, now=3_000.0)
    assert bench.store.find(RefreshCycle) == []
    bench.refresher.follow(alarm, samples=200, now=3_000.0)
    assert bench.store.find(RefreshCycle) != []


def test_a_drift_without_candidates_is_tried_again_later(bench: Bench) -> None:
    alarm = bench.drift(rows=160)
    bench.write("DELETE FROM pool")
    bench.refresher.follow(alarm, samples=200, now=3_000.0)
    assert bench.store.find(RefreshCycle) == []

    bench.log.add(bench.world.new(320, 9))
    bench.refresher.follow(alarm, samples=327, now=3_000.0)
    assert bench.store.find(RefreshCycle) == []
    bench.refresher.follow(alarm, samples=328, now=3_000.0)
    assert bench.cycle().opened_by == alarm.id


def test_a_cancelled_cycle_is_not_opened_again_by_itself(bench: Bench) -> None:
    alarm = bench.drift()
    refresh.cancel(bench.store, bench.cycle().id, actor="ana", now=3_100.0)
    bench.restarted().follow(alarm, samples=5_000, now=3_200.0)
    assert bench.cycle().state is CycleState.CANCELLED

    again = bench.refresher.open("chat", alarm.id, now=3_300.0)
    assert (again.attempt, again.state) == (2, CycleState.ANNOTATING)
    assert bench.refresher.open("chat", alarm.id, now=3_400.0) == again


def test_a_request_is_for_the_strongest_alarm_else_for_the_traffic_as_a_whole(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(refresh={"automatic": False})
    assert bench.refresher.about("chat", "request") == Slice("chat", 1)
    with pytest.raises(InputError, match="nothing to label"):
        bench.refresher.open("chat", "request", now=1.0)
    alarm = bench.drift()
    opened = bench.refresher.open("chat", "request", now=3_000.0)
    assert (opened.opened_by, opened.trigger) == ("request", Trigger.PERSON)
    assert {item.segment for item in bench.store.get(AnnotationBatch, opened.batch).items} == {alarm.segment}
    with pytest.raises(ConflictError, match="only one is open at a time"):
        bench.refresher.open("chat", "another", now=3_001.0)


def test_a_cycle_that_no_drift_opened_is_about_the_traffic_as_a_whole(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(refresh={"automatic": False})
    bench.drift()
    opened = bench.refresher.open("chat", "cadence-1", opener=refresh.Opener(Trigger.CADENCE), now=3_000.0)
    assert (opened.trigger, opened.segment, opened.since) == (Trigger.CADENCE, WHOLE, 0.0)
    bench.answer()
    bench.refresher.step(now=4_002.0)
    assert bench.cycle().state is CycleState.TRAINING


def test_without_payloads_nothing_is_opened_and_the_reason_is_said(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(refresh={"automatic": False})
    bench.drift()
    bench.write("UPDATE pool SET payload = NULL, shape = NULL")
    with pytest.raises(InputError, match="keep_payloads: true"):
        bench.refresher.open("chat", "request", now=3_000.0)
    assert bench.store.find(RefreshCycle) == []


def test_the_challenge_set_is_drawn_at_random_from_the_alarms_new_traffic(bench: Bench) -> None:
    alarm = bench.drift()
    rows = {row.id: row for row in bench.store.pool("chat", since=alarm.window_start)}
    drawn = [item for item in bench.batch().items if is_challenge(item)]
    assert len(drawn) == 8
    assert all(item.predicted is None for item in drawn)
    assert np.mean([rows[item.id].novelty for item in drawn]) > np.mean([row.novelty for row in rows.values()])
    ids = [item.id for item in bench.batch().items]
    assert len(set(ids)) == len(ids)

    about = bench.refresher.about("chat", alarm.id)
    drawings = [bench.refresher.selection.propose(about, Round(seed), now=1.0).challenge for seed in "aabcd"]
    assert drawings[0] == drawings[1]
    assert len({frozenset(item.id for item in each) for each in drawings}) == 4


def test_candidates_of_a_segments_alarm_are_of_that_segment(bench: Bench) -> None:
    about = bench.refresher.about("chat", bench.drift().id)
    assert bench.refresher.selection.propose(replace(about, segment="locale=en"), now=1.0).candidates
    assert bench.refresher.selection.propose(replace(about, segment="locale=de"), now=1.0).items == ()


# --- labels ----------------------------------------------------------------------------------------------------------


def test_labels_become_disjoint_train_and_challenge_sets(bench: Bench) -> None:
    cycle = bench.trained()
    assert cycle.state is CycleState.TRAINING
    batch = bench.batch()
    drawn = {item.id for item in batch.items if is_challenge(item)}
    train, challenge = (bench.data_sets.load("chat", role) for role in ("train", "challenge"))
    assert {sample.id for sample in challenge.samples} == drawn
    assert {sample.id for sample in train.samples} == {item.id for item in batch.items} - drawn
    assert [sample.label for sample in train.samples] == bench.truth(np.stack([np.asarray(s.payload) for s in train.samples]))

    (request,) = [item for item in bench.store.outbox() if item.kind == "refresh.requested"]
    assert request.destination == "jobs"
    assert {each["role"] for each in request.payload["data"]["data_sets"]} == {"train", "challenge", "golden"}
    assert bench.refresher.step(now=5_000.0) == 0


def test_labels_that_come_when_the_pool_has_moved_on_still_count(world: World, tmp_path: Path) -> None:
    with closing(SqliteStore(":memory:", pool_rows={"chat": 1_300})) as store:
        bench = Bench(world, store, tmp_path)
        bench.drift()
        ids = {item.id for item in bench.batch().items}
        bench.log.add(world.ordinary(1_600, 50))
        assert not ids & {row.id for row in store.pool("chat")}
        bench.answer()
        bench.refresher.step(now=4_002.0)
        sets = [bench.data_sets.load("chat", "train"), bench.data_sets.load("chat", "challenge")]
        assert {sample.id for each in sets for sample in each.samples} == ids


def test_unusable_answers_train_nothing(bench: Bench) -> None:
    bench.drift()
    batch = bench.batch()
    junk = [item.id for item in batch.items][-1]
    labels = [Label("chat", batch.id, item.id, None if item.id == junk else "late", 1.0, "ana", item.id == junk) for item in batch.items]
    annotation.take_back(bench.store, labels, quota=1.0, now=4_001.0)
    bench.refresher.step(now=4_002.0)
    assert junk not in {sample.id for sample in bench.data_sets.load("chat", "train").samples}


def test_a_cycle_of_which_nothing_could_be_labelled_ends_with_that_reason(bench: Bench) -> None:
    bench.drift()
    batch = bench.batch()
    labels = [Label("chat", batch.id, item.id, None, 4_000.0, "ana", unusable=True) for item in batch.items]
    annotation.take_back(bench.store, labels, quota=1.0, now=4_001.0)
    assert bench.refresher.step(now=4_002.0) == 1
    cycle = bench.cycle()
    assert (cycle.state, cycle.history[-1].reason) == (CycleState.CANCELLED, refresh.Reason.UNLABELLED)
    assert all(item.kind != "refresh.requested" for item in bench.store.outbox())


def test_a_crash_between_sets_and_request_publishes_nothing_twice(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.drift()
    bench.answer()

    with dying(monkeypatch, bench.store, "save"):
        bench.refresher.step(now=4_002.0)
    assert bench.cycle().state is CycleState.ANNOTATING

    assert bench.restarted().step(now=4_003.0) == 1
    assert [len(bench.data_sets.versions("chat", role)) for role in ("train", "challenge", "pool")] == [1, 1, 1]
    assert sum(item.kind == "refresh.requested" for item in bench.store.outbox()) == 1


def test_a_cycle_that_cannot_go_on_does_not_hold_up_others(bench: Bench) -> None:
    bench.drift()
    bench.answer()
    bench.site.removed = True
    assert bench.refresher.step(now=4_002.0) == 0
    bench.site.removed = False
    assert bench.refresher.step(now=4_003.0) == 0  # not looked at again at once: a choice takes seconds
    assert bench.refresher.step(now=4_100.0) == 1


def test_rows_of_an_imported_pool_are_asked_about_without_an_alarm_and_their_labels_are_not_believed(
    make_bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = make_bench(refresh={"automatic": False}, annotation={"budget": 20, "destination": "vendor"})
    bench.drift()
    monkeypatch.setattr(bench.refresher, "about", lambda *_: Slice("chat", 1))
    bench.write("DELETE FROM pool WHERE novelty > 0.8")
    rows = bench.world.new(200, 31)
    wrong = [Sample("chat", f"f{i}", 0.0, row, label="early") for i, row in enumerate(rows)]
    embedder = replace(bench.models["old.onnx"], fingerprint=bench.site.references.load("chat").fingerprint)
    bench.data_sets.add("chat", "pool", wrong, embedder, now=1.0, classes=CLASSES)
    bench.refresher.open("chat", "request", now=4_000.0)
    items = bench.batch().items
    asked = {item.id for item in items if item.id.startswith("f")}
    assert len(asked) >= 5
    assert not any(is_challenge(item) for item in items if item.id in asked)

    bench.answer()
    bench.refresher.step(now=4_002.0)
    trained = {sample.id: sample.label for sample in bench.data_sets.load("chat", "train").samples}
    assert {trained[name] for name in asked} == {"late"}


def test_candidates_that_a_person_chose_make_a_cycle_of_one_batch(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(refresh={"automatic": False}, selection={"label_checks": False})
    bench.drift()
    rows = bench.store.pool("chat")[-5:]
    candidates = [Candidate(row.id, "found by hand", 0.1, "all") for row in rows]
    cycle = bench.refresher.send("chat", "similar-1", candidates, rows, now=4_000.0)
    assert bench.refresher.send("chat", "similar-1", candidates, rows, now=4_001.0) == cycle
    bench.answer()
    assert bench.refresher.step(now=4_002.0) == 1
    assert {sample.id for sample in bench.data_sets.load("chat", "train").samples} == {row.id for row in rows}


def test_what_a_person_chose_is_paid_from_the_same_budgets(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(selection={"period_labels": 6, "rounds": 1}, refresh={"automatic": False})
    bench.drift()
    rows = bench.store.pool("chat")[-7:]
    candidates = [Candidate(row.id, "found by hand", 0.1, "all") for row in rows]
    with pytest.raises(InputError, match=r"7 labels are asked for, and labels per 30 days leave 6 \(0 of 6 are spent\); ask for fewer, or"):
        bench.refresher.send("chat", "similar-1", candidates, rows, now=4_000.0)
    cycle = bench.refresher.send("chat", "similar-2", candidates[:6], rows[:6], now=4_000.0)
    assert bench.refresher.send("chat", "similar-2", candidates[:6], rows[:6], now=4_001.0) == cycle  # sent, so paid, once
    with pytest.raises(InputError, match=r"leave 0 \(6 of 6 are spent\)"):
        bench.refresher.send("chat", "similar-3", candidates[6:], rows[6:], now=4_001.0)


def test_outcomes_are_kept_and_an_audit_is_trained_on_only_if_its_label_shows_no_harm(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(selection={"audit_share": 0.5, "challenge": 4})
    bench.drift()
    audits = [item for item in bench.batch().items if item.purpose is Purpose.AUDIT]
    assert len(audits) == 16
    junk = audits[0].id
    bench.answer(junk)
    bench.refresher.step(now=4_002.0)

    items = {item.id: item for item in bench.batch().items}
    assert items[junk].outcome is Outcome.REJECTED
    assert all((item.outcome is None) == is_challenge(item) for item in items.values())
    trained = {sample.id for sample in bench.data_sets.load("chat", "train").samples}
    kept = {item.id for item in items.values() if item.outcome is Outcome.USABLE and (item.known_risk or 0) <= 0.8}
    assert {item.id for item in audits} & trained == {item.id for item in audits} & kept
    assert curve(bench.store.find(AnnotationBatch)).count == 32


@pytest.mark.parametrize(("checked", "trained"), [(True, 0), (False, 32)])
def test_labels_that_the_checks_refuse_are_left_out_and_counted(
    make_bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch, checked: bool, trained: int
) -> None:
    monkeypatch.setattr(judging, "verdicts", lambda *given, **_: np.full(len(given[1]), Verdict.REFUSED))
    bench = make_bench(selection={"label_checks": checked})
    bench.drift()
    bench.answer()
    bench.refresher.step(now=4_002.0)
    assert bool(bench.data_sets.versions("chat", "train")) == bool(trained)
    assert not trained or len(bench.data_sets.load("chat", "train").rows) == trained
    assert len(bench.data_sets.load("chat", "challenge").rows) == 8
    (request,) = [item for item in bench.store.outbox() if item.kind == "refresh.requested"]
    assert request.payload["data"]["left_out"] == 32 - trained


def test_what_golden_rows_say_by_now_is_not_trained_on(bench: Bench) -> None:
    bench.drift()
    batch = bench.batch()
    bench.answer()
    asked = [item.id for item in batch.items if not is_challenge(item)]
    vectors = bench.vectors(asked[:5]) * np.float32(1.0001)
    golden = [
        Sample("chat", f"g{i}", 1.0, row, label=label) for i, (row, label) in enumerate(zip(vectors, bench.truth(vectors), strict=True))
    ]
    bench.data_sets.add("chat", "golden", golden, bench.world.embedder, now=1.0)
    bench.refresher.step(now=4_002.0)
    assert not {sample.id for sample in bench.data_sets.load("chat", "train").samples} & set(asked[:5])
    (request,) = [item for item in bench.store.outbox() if item.kind == "refresh.requested"]
    assert request.payload["data"]["left_out"] >= 5
