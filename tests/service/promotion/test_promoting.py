"""From a new model to a rebase, whatever is repeated or lost in between."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from service.cycles.news import of_cycle
from service.errors import ConflictError, InputError
from service.promotion import Given, shortfall
from service.promotion.steps import Reason
from service.records import Alarm, AlarmState, CycleState, Output, Pooled
from service.selecting.asking import is_challenge

if TYPE_CHECKING:
    from tests.service.conftest import World

from tests.service.refresh_bench import CLASSES, Bench, dying

pytestmark = pytest.mark.long

BY_ITSELF = {"promotion": "automatic", "rebase": "at_once"}


@pytest.fixture
def alone(make_bench: Callable[..., Bench]) -> Bench:
    """Nobody is asked, and the model that serves is driftgate's own embedder."""
    return make_bench(refresh=BY_ITSELF)


def kinds(bench: Bench) -> list[str]:
    return [item.kind for item in bench.store.outbox() if item.kind.startswith("refresh.")]


def reasons(bench: Bench) -> list[str]:
    return [step.reason for step in bench.cycle().history]


def test_a_proven_model_is_promoted_and_its_reference_comes_into_force(alone: Bench, refitted: None) -> None:
    bench, cycle = alone, alone.trained()
    promoted = bench.judged("new.onnx")

    assert promoted.state is CycleState.PROMOTED
    found = promoted.verification or {}
    assert (found["reference_version"], found["replaced_reference"]) == (2, 1)
    reference = bench.site.references.load("chat")
    assert (reference.version, reference.fingerprint, reference.manifest["model_version"]) == (2, "new", "")
    kept, classes = bench.site.references.model("chat")
    assert Path(kept).read_text() == "new.onnx"
    assert promoted.model is not None
    assert Path(kept) == bench.folder / "models" / "chat" / cycle.id / promoted.model.checksum[:12] / "new.onnx"
    assert classes == CLASSES

    golden, challenge = (bench.data_sets.load("chat", role) for role in ("golden", "challenge"))
    assert {row.part for row in golden.rows if row.sample.id in {sample.id for sample in challenge.samples}} == {"select"}
    assert golden.manifest["fingerprint"] == "new"

    bench.controller()
    (alarm,) = bench.store.find(Alarm)
    assert alarm.state is AlarmState.RESOLVED
    bench.site.references.activate("chat", 1)
    assert bench.site.embedder("chat").fingerprint == "old"


def test_every_step_says_why_and_tells_whoever_is_to_know(alone: Bench, refitted: None) -> None:
    alone.trained()
    alone.judged("new.onnx")
    assert reasons(alone)[2:] == [
        Reason.RETURNED, Reason.CHOSEN, Reason.PROVEN, Reason.AUTOMATIC, Reason.AT_ONCE, Reason.REBASED,
    ]  # fmt: skip
    assert sorted(kinds(alone)) == ["refresh.promoted", "refresh.requested", "refresh.verified"]
    told = {item.kind: item.payload for item in alone.store.outbox()}
    verified, promoted = told["refresh.verified"], told["refresh.promoted"]
    assert (verified["type"], promoted["type"]) == ("io.driftgate.refresh.verified", "io.driftgate.refresh.promoted")
    assert verified["data"]["verdict"] == "promote"
    assert verified["data"]["golden"]["new_accuracy"] == 1.0
    model = alone.cycle().model
    assert model is not None
    assert promoted["data"]["url"] == f"https://gate.example/v1/refresh/{alone.cycle().id}/model"
    assert promoted["data"]["model"] == {"path": model.path, "sha256": model.checksum, "version": "m2", "classes": list(CLASSES)}


def test_a_proven_model_waits_for_a_persons_word_and_then_for_production(bench: Bench, refitted: None) -> None:
    bench.trained()
    verified = bench.judged("new.onnx")
    assert verified.state is CycleState.VERIFIED
    assert bench.promotion.step(now=5_001.0) == 0
    deploying = bench.promotion.promote(verified.id, actor="ana", now=5_002.0, note="after lunch")
    assert (deploying.state, deploying.history[-1].actor, deploying.history[-1].note) == (CycleState.DEPLOYING, "ana", "after lunch")
    assert bench.promotion.promote(verified.id, actor="bob", now=5_003.0) == deploying
    assert kinds(bench).count("refresh.promoted") == 1
    assert bench.promotion.step(now=5_100.0) == 0
    assert bench.site.references.active("chat") == 1

    seen = bench.promotion.deployed(verified.id, actor="ana", now=5_200.0)
    assert seen.state is CycleState.DEPLOYING
    assert bench.promotion.deployed(verified.id, actor="bob", now=5_201.0) == seen
    assert bench.promotion.step(now=5_300.0) == 1
    assert (bench.cycle().state, bench.site.references.active("chat")) == (CycleState.PROMOTED, 2)
    assert bench.promotion.deployed(verified.id, actor="ana", now=5_400.0) == bench.cycle()


def test_a_declined_model_leaves_everything_as_it_is(bench: Bench) -> None:
    bench.trained()
    verified = bench.judged("new.onnx")
    declined = bench.promotion.decline(verified.id, actor="ana", now=5_001.0, note="not this week")
    assert (declined.state, declined.history[-1].reason) == (CycleState.REJECTED, Reason.DECLINED)
    assert bench.site.references.active("chat") == 1
    with pytest.raises(ConflictError, match="rejected; only a verified model can be promoted"):
        bench.promotion.promote(verified.id, actor="ana", now=5_002.0)
    with pytest.raises(ConflictError, match="only a verified model can be declined"):
        bench.promotion.decline(verified.id, actor="ana", now=5_002.0)
    with pytest.raises(ConflictError, match="a model is deployed after its promotion"):
        bench.promotion.deployed(verified.id, actor="ana", now=5_002.0)


def test_the_new_reference_is_made_of_the_drifted_traffic(alone: Bench, refitted: None) -> None:
    alone.trained()
    (alarm,) = alone.store.find(Alarm)
    alone.judged("new.onnx")
    since = {row.id for row in alone.store.pool("chat", since=alarm.window_start)}
    assert set(alone.site.references.load("chat").rows.ids) == since


def test_a_model_that_breaks_what_worked_is_rejected(alone: Bench) -> None:
    alone.trained()
    rejected = alone.judged("bad.onnx")
    assert rejected.state is CycleState.REJECTED
    assert "golden rows broke" in rejected.history[-1].note
    assert alone.site.references.active("chat") == 1
    with pytest.raises(ConflictError, match="rejected, its verdict is in"):
        alone.registered("new.onnx")


def test_too_little_to_judge_by_leaves_the_cycle_waiting_until_rows_come(alone: Bench, refitted: None) -> None:
    alone.golden(rows=150)
    alone.drift()
    alone.answer()
    alone.refresher.step(now=4_002.0)
    waiting = alone.judged("new.onnx")
    assert waiting.state is CycleState.VERIFYING
    assert "add labelled rows to the golden set" in waiting.history[-1].note
    assert alone.promotion.step(now=5_100.0) == 0  # nothing has come: the rows are not looked at again
    assert alone.cycle().version == waiting.version

    alone.golden()
    assert alone.promotion.step(now=5_200.0) == 1
    assert alone.promotion.go_on(waiting.id, now=5_201.0).state is CycleState.PROMOTED


def test_without_a_golden_set_the_cycle_waits_and_says_so(alone: Bench) -> None:
    alone.drift()
    alone.answer()
    alone.refresher.step(now=4_002.0)
    waiting = alone.judged("new.onnx")
    assert (waiting.state, (waiting.verification or {})["verdict"]) == (CycleState.VERIFYING, "insufficient")
    assert "no golden set" in waiting.history[-1].note


def test_challenge_rows_of_a_former_drift_do_not_judge(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(selection={"challenge": 0})
    bench.golden()
    golden = bench.data_sets.load("chat", "golden")
    bench.data_sets.add("chat", "challenge", golden.samples[:50], bench.models["old.onnx"], now=1.0)
    bench.trained()
    waiting = bench.judged("new.onnx")
    assert (waiting.verification or {})["verdict"] == "insufficient"
    assert "challenge rows: none that this refresh drew" in waiting.history[-1].note


def test_a_model_is_registered_after_training_was_asked_for(bench: Bench) -> None:
    bench.drift()
    with pytest.raises(ConflictError, match="annotating; a model is registered after training"):
        bench.registered("new.onnx")


def test_the_same_model_registered_again_changes_nothing_and_another_takes_its_place(bench: Bench) -> None:
    bench.trained()
    first = bench.registered("bad.onnx")
    assert (first.state, first.history[-1].actor) == (CycleState.VERIFYING, "trainer")
    assert bench.registered("bad.onnx") == first
    second = bench.registered("new.onnx")
    assert (second.state, second.history[-1].reason) == (CycleState.VERIFYING, Reason.REPLACED)
    assert bench.promotion.go_on(second.id, now=5_000.0).state is CycleState.VERIFIED
    assert bench.registered("new.onnx") == bench.cycle()
    with pytest.raises(ConflictError, match="verified, its verdict is in"):
        bench.registered("bad.onnx")


def test_a_model_that_cannot_be_used_leaves_the_cycle_in_training(bench: Bench) -> None:
    bench.trained()
    refused = bench.judged("neither.onnx")
    assert (refused.state, refused.model, refused.served) == (CycleState.TRAINING, None, None)
    assert refused.history[-1].reason == Reason.UNUSABLE
    assert (refused.verification or {})["reasons"][0].startswith("the model can't be used: ")
    assert (refused.verification or {})["reasons"][0].endswith("not an ONNX model")
    assert [news.kind for news in of_cycle(refused) if "can't be used" in news.text] == ["refresh.verdict"]
    told = next(item.payload["data"] for item in bench.store.outbox() if item.kind == "refresh.verified")
    assert (told["verdict"], told["model"]["version"]) == ("unusable", "m2")
    other = bench.judged("new.onnx", classes=("a", "b", "c"))
    assert "one logit for each of its 3 classes; found 2" in other.history[-1].note
    assert bench.site.references.active("chat") == 1
    assert bench.judged("new.onnx").state is CycleState.VERIFIED


def test_a_version_that_serves_already_can_not_be_told_from_the_new_one(alone: Bench, refitted: None) -> None:
    alone.trained()
    promoted = alone.judged("new.onnx")
    again = replace(promoted, id="later", created=promoted.created + 1, state=CycleState.TRAINING, model=None, served=None, version=1)
    alone.store.save(again)
    with pytest.raises(InputError, match="version m2 is the model's in force"):
        alone.promotion.register("later", Given(alone.model("old.onnx"), "m2", CLASSES), actor="trainer", now=6_000.0)


@pytest.mark.parametrize("saves", range(6))
def test_a_crash_at_any_save_ends_as_if_there_had_been_none(
    make_bench: Callable[..., Bench], refitted: None, monkeypatch: pytest.MonkeyPatch, saves: int
) -> None:
    """Chosen, verified, announced, deployed, rebased: whichever is not written is taken again, and tells nobody twice."""
    bench = make_bench(refresh=BY_ITSELF)
    bench.trained()
    cycle, save, left = bench.registered("new.onnx"), bench.store.save, [saves]

    def sometimes(*entities: Any, **options: Any) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        save(*entities, **options)

    with monkeypatch.context() as patched:
        patched.setattr(bench.store, "save", sometimes)
        if saves < 5:
            with pytest.raises(KeyboardInterrupt):
                bench.promotion.go_on(cycle.id, now=5_000.0)
    ended = bench.promoting().go_on(cycle.id, now=5_001.0)
    assert (ended.state, bench.site.references.active("chat")) == (CycleState.PROMOTED, 2)
    assert reasons(bench)[2:] == [
        Reason.RETURNED, Reason.CHOSEN, Reason.PROVEN, Reason.AUTOMATIC, Reason.AT_ONCE, Reason.REBASED,
    ]  # fmt: skip
    assert len(bench.site.references.versions("chat")) == 2
    assert sorted(kinds(bench)) == ["refresh.promoted", "refresh.requested", "refresh.verified"]
    looks = [event for event in bench.store.events("chat") if event.kind == "golden.looked"]
    assert len(looks) == 1


def test_a_crash_before_the_reference_comes_into_force_is_mended(alone: Bench, refitted: None, monkeypatch: pytest.MonkeyPatch) -> None:
    alone.trained()
    cycle = alone.registered("new.onnx")
    with dying(monkeypatch, alone.site.references, "activate"):
        alone.promotion.go_on(cycle.id, now=5_000.0)
    assert (alone.cycle().state, alone.site.references.active("chat")) == (CycleState.DEPLOYING, 1)
    assert alone.promoting().go_on(cycle.id, now=5_001.0).state is CycleState.PROMOTED
    assert alone.site.references.active("chat") == 2
    assert len(alone.site.references.versions("chat")) == 2


def test_what_is_promoted_is_left_alone(alone: Bench, refitted: None) -> None:
    alone.trained()
    promoted = alone.judged("new.onnx")
    alone.promotion.rebase("chat", since=0.0, now=5_001.0)
    assert alone.promotion.go_on(promoted.id, now=5_002.0) == promoted
    assert alone.promotion.step(now=5_003.0) == 0
    assert alone.site.references.active("chat") == 3


def test_a_rebase_by_hand_keeps_the_model(bench: Bench, refitted: None) -> None:
    alarm = bench.drift()
    rebased = bench.promotion.rebase("chat", since=alarm.window_start, now=5_000.0)
    assert (rebased.version, rebased.fingerprint, bench.site.references.active("chat")) == (2, "old", 2)
    assert bench.site.references.model("chat") == ("", ())


def test_a_rebase_takes_over_the_answers_of_its_own_model_alone(bench: Bench, refitted: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the old model answered says nothing of how often the new one will say so; what the new one makes of the samples does."""
    bench.trained()
    pool = bench.store.pool

    def answered(monitor: str, *, since: float = 0.0) -> Sequence[Pooled]:
        rows = pool(monitor, since=since if since < 3_000 else 0.0)
        return [replace(row, output=Output("late", model_version="m2" if n % 4 == 3 else "m1")) for n, row in enumerate(rows)]

    monkeypatch.setattr(bench.store, "pool", answered)
    assert set(bench.promotion.rebase("chat", since=0.0, now=4_500.0).rows.predicted) == {"late"}
    verified = bench.judged("new.onnx")
    bench.promotion.promote(verified.id, actor="ana", now=5_001.0)
    promoted = bench.promotion.go_on(verified.id, now=5_002.0)
    assert Reason.SEEN in reasons(bench)
    reference = bench.site.references.load("chat")
    assert reference.manifest["model_version"] == "m2"
    predicted = reference.rows.predicted
    assert set(predicted[3::4]) == {"late"}
    assert "early" in predicted
    assert (promoted.verification or {})["answered_by_others"] == len(predicted) - len(predicted[3::4])
    assert "count without their answers" in promoted.history[-1].note


def test_vectors_are_their_own_payload(make_bench: Callable[..., Bench], refitted: None) -> None:
    """Monitors whose samples bring their embedding keep nothing else of them."""
    bench = make_bench(tensors=False)
    bench.drift()
    bench.answer()
    assert bench.refresher.step(now=4_002.0) == 1
    kept = bench.data_sets.load("chat", "train").samples[0]
    assert np.asarray(kept.payload).shape == (6,)
    assert bench.promotion.rebase("chat", since=0.0, now=5_000.0).rows.embeddings.shape == (1_280, 6)


@pytest.mark.parametrize(
    ("run_length", "share", "says"),
    [
        (2_000, None, None),
        (None, 1e6, "not the 1,000,000 asked for: it takes "),
        (50_000, 1e6, "not the 50,000 asked for"),
    ],
)
def test_a_reference_too_small_for_what_is_asked_says_how_many_rows_it_takes(
    world: World, run_length: int | None, share: float | None, says: str | None
) -> None:
    detection = world.settings.detection.model_copy(update={"run_length": run_length})
    status = {"streams": [{"segment": "all", "asked_run_length": share}]} if share else {}
    found = shortfall(world.reference, world.settings.model_copy(update={"detection": detection}), status)
    assert (found is None) == (says is None)
    assert says is None or says in str(found)


def test_challenge_figures_are_weighted_by_the_design(bench: Bench) -> None:
    bench.trained()
    found = (bench.judged("new.onnx").verification or {})["challenge"]
    drawn = {item.id: item for item in bench.batch().items if is_challenge(item)}
    assert all(0 < (item.inclusion or 0) <= 1 for item in drawn.values())
    assert (found["weighted"], found["rows"], found["rejected"]) == (True, 8, 0)
    assert found["new_accuracy"] == pytest.approx(1.0)
    assert found["gain"]["low"] <= found["gain"]["estimate"] <= found["gain"]["high"]
    for side in ("old_accuracy", "new_accuracy"):
        low, high = found[f"{side}_interval"]
        assert low <= found[side] <= high
