"""From a new model to a rebase, whatever is repeated or lost in between."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from service.errors import ConflictError, InputError
from service.promotion import shortfall
from service.records import (
    Alarm,
    AlarmState,
    CycleState,
    Output,
    Pooled,
)
from service.selecting.asking import is_challenge

if TYPE_CHECKING:
    from tests.service.conftest import World

from tests.service.refresh_bench import CLASSES, Bench, dying

pytestmark = pytest.mark.long


def test_a_proven_model_is_promoted_and_its_reference_comes_into_force(bench: Bench, refitted: None) -> None:
    cycle = bench.trained()
    promoted = bench.promotion.verify(cycle.id, bench.model("new.onnx"), CLASSES, now=5_000.0)

    assert promoted.state is CycleState.PROMOTED
    assert (promoted.verification or {})["reference_version"] == 2
    reference = bench.site.references.load("chat")
    assert (reference.version, reference.fingerprint) == (2, "new")
    kept, classes = bench.site.references.model("chat")
    assert Path(kept).read_bytes() == b"a model"
    assert Path(kept).parent == bench.folder / "models" / "chat" / cycle.id
    assert classes == CLASSES

    golden, challenge = (bench.data_sets.load("chat", role) for role in ("golden", "challenge"))
    assert {row.part for row in golden.rows if row.sample.id in {sample.id for sample in challenge.samples}} == {"select"}
    assert golden.manifest["fingerprint"] == "new"

    bench.controller()
    (alarm,) = bench.store.find(Alarm)
    assert alarm.state is AlarmState.RESOLVED
    bench.site.references.activate("chat", 1)
    assert bench.site.embedder("chat").fingerprint == "old"


def test_the_new_reference_is_made_of_the_drifted_traffic(bench: Bench, refitted: None) -> None:
    cycle = bench.trained()
    (alarm,) = bench.store.find(Alarm)
    bench.promotion.verify(cycle.id, bench.model("new.onnx"), CLASSES, now=5_000.0)
    since = {row.id for row in bench.store.pool("chat", since=alarm.window_start)}
    assert set(bench.site.references.load("chat").rows.ids) == since


def test_a_model_that_breaks_what_worked_is_rejected(bench: Bench) -> None:
    cycle = bench.trained()
    rejected = bench.promotion.verify(cycle.id, bench.model("bad.onnx"), CLASSES, now=5_000.0)
    assert rejected.state is CycleState.REJECTED
    assert "golden rows broke" in rejected.history[-1].note
    assert bench.site.references.active("chat") == 1
    with pytest.raises(ConflictError, match="rejected"):
        bench.promotion.verify(cycle.id, bench.model("new.onnx"), CLASSES, now=5_001.0)


def test_too_little_to_judge_by_leaves_the_cycle_waiting(bench: Bench, refitted: None) -> None:
    bench.golden(rows=150)
    bench.drift()
    bench.answer()
    bench.refresher.step(now=4_002.0)
    waiting = bench.promotion.verify(bench.cycle().id, bench.model("new.onnx"), CLASSES, now=5_000.0)
    assert waiting.state is CycleState.VERIFYING
    assert "add labelled rows to the golden set" in waiting.history[-1].note

    bench.golden()
    assert bench.promotion.verify(waiting.id, bench.model("new.onnx"), CLASSES, now=5_001.0).state is CycleState.PROMOTED


def test_challenge_rows_of_a_former_drift_do_not_judge(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(selection={"challenge": 0})
    bench.golden()
    golden = bench.data_sets.load("chat", "golden")
    bench.data_sets.add("chat", "challenge", golden.samples[:50], bench.models["old.onnx"], now=1.0)
    waiting = bench.promotion.verify(bench.trained().id, bench.model("new.onnx"), CLASSES, now=5_000.0)
    assert (waiting.verification or {})["verdict"] == "insufficient"
    assert "challenge rows: none that this refresh drew" in waiting.history[-1].note


def test_a_model_is_verified_after_training_was_asked_for(bench: Bench) -> None:
    bench.drift()
    with pytest.raises(ConflictError, match="annotating; a model is verified after training"):
        bench.promotion.verify(bench.cycle().id, bench.model("new.onnx"), CLASSES, now=5_000.0)


def test_a_model_with_other_classes_is_refused(bench: Bench) -> None:
    cycle = bench.trained()
    with pytest.raises(InputError, match="one logit for each of its 3 classes; found 2"):
        bench.promotion.verify(cycle.id, bench.model("new.onnx"), ("a", "b", "c"), now=5_000.0)
    assert bench.cycle().state is CycleState.TRAINING


def test_a_crash_after_the_verdict_is_mended_by_repeating(bench: Bench, refitted: None, monkeypatch: pytest.MonkeyPatch) -> None:
    cycle, model = bench.trained(), bench.model("new.onnx")

    with dying(monkeypatch, bench.site.references, "activate"):
        bench.promotion.verify(cycle.id, model, CLASSES, now=5_000.0)
    assert bench.site.references.active("chat") == 1

    promoted = bench.promoting().verify(cycle.id, model, CLASSES, now=5_001.0)
    assert promoted.state is CycleState.PROMOTED
    assert bench.site.references.active("chat") == 2
    assert len(bench.site.references.versions("chat")) == 2


def test_repeating_an_old_verdict_does_not_undo_a_newer_rebase(bench: Bench, refitted: None) -> None:
    cycle, model = bench.trained(), bench.model("new.onnx")
    bench.promotion.verify(cycle.id, model, CLASSES, now=5_000.0)
    bench.promotion.rebase("chat", since=0.0, now=5_001.0)
    bench.promotion.verify(cycle.id, model, CLASSES, now=5_002.0)
    assert bench.site.references.active("chat") == 3


def test_a_crash_before_the_verdict_leaves_the_old_model_in_force(bench: Bench, refitted: None, monkeypatch: pytest.MonkeyPatch) -> None:
    cycle, model = bench.trained(), bench.model("new.onnx")

    with dying(monkeypatch, bench.store, "save"):
        bench.promotion.verify(cycle.id, model, CLASSES, now=5_000.0)
    assert (bench.cycle().state, bench.site.references.active("chat")) == (CycleState.TRAINING, 1)

    assert bench.promoting().verify(cycle.id, model, CLASSES, now=5_001.0).state is CycleState.PROMOTED
    reference = bench.site.references.load("chat")
    assert (bench.cycle().verification or {})["reference_version"] == reference.version


def test_a_rebase_by_hand_keeps_the_model(bench: Bench, refitted: None) -> None:
    alarm = bench.drift()
    rebased = bench.promotion.rebase("chat", since=alarm.window_start, now=5_000.0)
    assert (rebased.version, rebased.fingerprint, bench.site.references.active("chat")) == (2, "old", 2)
    assert bench.site.references.model("chat") == ("", ())


def test_a_rebase_takes_over_the_answers_of_its_own_model_alone(bench: Bench, refitted: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the old model answered says nothing of how often the new one will say so; what the new one makes of the samples does."""
    cycle, pool = bench.trained(), bench.store.pool

    def answered(monitor: str, *, since: float = 0.0) -> Sequence[Pooled]:
        return [replace(row, output=Output("said")) for row in pool(monitor, since=since)]

    monkeypatch.setattr(bench.store, "pool", answered)
    assert set(bench.promotion.rebase("chat", since=0.0, now=4_500.0).rows.predicted) == {"said"}
    bench.promotion.verify(cycle.id, bench.model("new.onnx"), CLASSES, now=5_000.0)
    assert set(bench.site.references.load("chat").rows.predicted) == set(CLASSES)


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


def test_challenge_figures_are_weighted_by_the_design(make_bench: Callable[..., Bench], refitted: None) -> None:
    bench = make_bench()
    cycle = bench.trained()
    promoted = bench.promotion.verify(cycle.id, bench.model("new.onnx"), CLASSES, now=5_000.0)
    found = (promoted.verification or {})["challenge"]
    drawn = {item.id: item for item in bench.batch().items if is_challenge(item)}
    assert all(0 < (item.inclusion or 0) <= 1 for item in drawn.values())
    assert (found["weighted"], found["rows"], found["rejected"]) == (True, 8, 0)
    assert found["new_accuracy"] == pytest.approx(1.0)
    assert found["gain"]["low"] <= found["gain"]["estimate"] <= found["gain"]["high"]
