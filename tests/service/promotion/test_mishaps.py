"""What goes wrong while a model is judged, or while one that was promoted is taken back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest

from service.errors import EmbedderError, InputError
from service.ports import Embedded
from service.promotion.carrying import Carrying
from service.promotion.steps import Reason
from service.records import CycleState, Payload, RefreshCycle
from service.reference import Progress
from service.settings import EmbedderSettings
from service.verifying.writing import html, json_text, markdown
from tests.service.refresh_bench import Bench, Nearest

pytestmark = pytest.mark.long

BY_ITSELF = {"promotion": "automatic", "rebase": "at_once"}
TRIED = 32


@dataclass(frozen=True)
class Failing(Nearest):
    """Answers the rows that are tried first, and fails on those that judge."""

    error: Exception | None = None

    def embed(self, payloads: Sequence[Payload]) -> Embedded:
        found = super().embed(payloads)
        if len(payloads) > TRIED and self.error is not None:
            raise self.error
        if len(payloads) > TRIED and found.logits is not None:
            found.logits[-1] = np.nan
        return found


def failing(bench: Bench, error: Exception | None) -> Failing:
    new = bench.models["new.onnx"]
    return Failing("failing", new.topics, new.late, error=error)


@pytest.fixture
def alone(make_bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch) -> Bench:
    bench = make_bench(refresh=BY_ITSELF)
    bench.model("old.onnx")
    monkeypatch.chdir(bench.folder)  # where the configured model lies
    return bench


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (None, "not finite numbers on 1 of"),
        (EmbedderError("Gather out of bounds"), "Gather out of bounds"),
        (InputError("model", "fails on this payload"), "fails on this payload"),
        (ValueError("cannot reshape array"), "it fails with ValueError: cannot reshape array"),
    ],
)
def test_a_model_that_fails_on_rows_that_judge_it_is_unusable(alone: Bench, error: Exception | None, says: str) -> None:
    alone.trained()
    alone.site.models = {**alone.models, "failing.onnx": failing(alone, error)}
    refused = alone.judged("failing.onnx")
    assert (refused.state, refused.history[-1].reason) == (CycleState.TRAINING, Reason.UNUSABLE)
    assert says in refused.history[-1].note
    assert (refused.verification or {})["verdict"] == "unusable"
    found = alone.promotion.report(refused.id, now=1.0)
    assert (found.new["name"], found.shown) == ("failing.onnx", ())
    assert all(says in form(found) for form in (html, markdown, json_text))
    assert alone.judged("new.onnx").history[-1].reason != Reason.UNUSABLE


def test_the_model_in_force_that_fails_is_no_fault_of_the_new_one(alone: Bench, refitted: None) -> None:
    alone.trained()
    registered = alone.registered("new.onnx")
    alone.site.models = {**alone.models, "old.onnx": failing(alone, EmbedderError("the disk is gone"))}
    alone.promotion.step(now=5_000.0)
    alone.promotion.step(now=5_001.0)
    assert (alone.cycle().state, alone.cycle().verification) == (CycleState.VERIFYING, None)
    alone.site.models = alone.models
    assert alone.promotion.go_on(registered.id, now=5_100.0).state is CycleState.PROMOTED


def test_a_step_that_fails_as_nobody_foresaw_holds_up_no_other_cycle(alone: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    alone.trained()
    waiting = alone.registered("new.onnx")
    stuck = replace(alone.cycle(), id="stuck", monitor="gone", version=1)
    alone.store.save(stuck)
    carrying, tried = Carrying._next, []

    def step(self: Carrying, cycle: RefreshCycle, now: float, progress: Progress) -> RefreshCycle | None:
        tried.append(cycle.id)
        if cycle.id == "stuck":
            raise RuntimeError("nobody foresaw it")
        return carrying(self, cycle, now, progress)

    monkeypatch.setattr(Carrying, "_next", step)
    assert alone.promotion.step(now=5_000.0) == 1
    assert alone.promotion.step(now=5_001.0) == 1
    assert alone.store.get(RefreshCycle, waiting.id).state in {CycleState.VERIFIED, CycleState.DEPLOYING}
    assert tried.count("stuck") == 1  # left alone for a while
    alone.promotion.step(now=5_100.0)
    assert tried.count("stuck") == 2


def test_a_file_that_can_not_be_read_just_now_is_tried_again(alone: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    alone.trained()
    alone.registered("new.onnx")
    assert alone.promotion.step(now=5_000.0) == 1
    assert alone.cycle().served is not None

    def load(settings: EmbedderSettings) -> Nearest:
        raise EmbedderError(f"{settings.model}: can't be read") from OSError("too many open files")

    with monkeypatch.context() as patched:
        patched.setattr(alone.site, "load", load)
        patched.setattr(alone.site, "embedder", lambda _: alone.models["old.onnx"])
        alone.promotion.step(now=5_001.0)
        assert (alone.cycle().state, alone.cycle().verification) == (CycleState.VERIFYING, None)
    assert alone.promotion.step(now=5_100.0) == 1
    assert alone.cycle().state is CycleState.VERIFIED


def test_classes_that_are_declared_are_reason_to_judge_again(alone: Bench) -> None:
    alone.trained()
    settings = alone.site.settings
    alone.site.settings = settings.model_copy(update={"classes": ()})
    waiting = alone.judged("new.onnx")
    assert "declare `classes`" in waiting.history[-1].note
    assert "declare" in markdown(alone.promotion.report(waiting.id, now=1.0)).replace("\\", "")
    alone.site.settings = settings
    assert alone.promotion.step(now=6_000.0) == 1
    assert alone.cycle().state is CycleState.VERIFIED


def test_a_rebase_that_was_cut_short_while_its_model_was_reverted_is_gone_back_on(
    make_bench: Callable[..., Bench], refitted: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = make_bench(refresh={"rebase": "at_once"})
    bench.trained()
    verified = bench.judged("new.onnx")
    bench.promotion.promote(verified.id, actor="ana", now=5_002.0)
    bench.promotion.step(now=5_003.0)
    activate = bench.site.references.activate

    def meanwhile(monitor: str, version: int) -> None:
        monkeypatch.setattr(bench.site.references, "activate", activate)
        bench.promoting().revert(verified.id, actor="ana", now=5_004.0)
        activate(monitor, version)
        raise KeyboardInterrupt

    monkeypatch.setattr(bench.site.references, "activate", meanwhile)
    with pytest.raises(KeyboardInterrupt):
        bench.promotion.step(now=5_005.0)
    assert (bench.cycle().state, bench.site.references.active("chat")) == (CycleState.REVERTED, 2)
    again = bench.promoting()
    assert again.step(now=6_000.0) == 1
    assert (bench.cycle().state, bench.site.references.active("chat")) == (CycleState.REVERTED, 1)


def test_a_reference_that_a_person_chose_after_a_revert_stays(make_bench: Callable[..., Bench], refitted: None) -> None:
    bench = make_bench(refresh=BY_ITSELF)
    bench.trained()
    promoted = bench.judged("new.onnx")
    bench.promotion.revert(promoted.id, actor="ana", now=6_000.0)
    bench.site.references.activate("chat", 2)
    assert bench.promoting().step(now=7_000.0) == 0
    assert bench.site.references.active("chat") == 2


def test_a_monitor_that_is_gone_holds_up_nothing(alone: Bench, refitted: None, monkeypatch: pytest.MonkeyPatch) -> None:
    alone.trained()
    alone.judged("new.onnx")
    monkeypatch.setattr("service.promotion.carrying.shortfall", lambda *_: "accuracy fell")
    alone.site.removed = True
    assert alone.promoting().step(now=9_000.0) == 0
    alone.site.removed = False
    assert alone.promoting().step(now=9_400.0) == 1
