"""A model that was made again, held against the verdict on record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from service.records import RefreshCycle
from service.training.verdicts import Recorded, same_verdict
from service.verifying import Model
from tests.service.refresh_bench import CLASSES, Bench

pytestmark = pytest.mark.long


def again(bench: Bench, cycle: RefreshCycle, name: str) -> bool | None:
    """As a run on other hardware might have made it."""
    old, first, made = (Model(bench.models[file], CLASSES) for file in ("old.onnx", "new.onnx", name))
    recorded = Recorded(cycle, bench.site.effective("chat"), old, first, made)
    return same_verdict(recorded, bench, lambda *_: None)


def test_another_model_gets_the_verdict_on_record_or_not(bench: Bench, refitted: None) -> None:
    bench.trained()
    verified = bench.judged("new.onnx")
    assert again(bench, verified, "new.onnx") is True
    assert again(bench, verified, "bad.onnx") is False
    bench.golden(1_200)  # a later version is not what it was judged by
    assert again(bench, verified, "bad.onnx") is False
    looks = [event for event in bench.store.events("chat") if event.kind == "golden.looked"]
    assert len(looks) == 1


def test_what_golden_had_no_say_in_can_not_be_told(make_bench: Callable[..., Bench], refitted: None) -> None:
    bench = make_bench()
    bench.golden(150)
    bench.drift()
    bench.answer()
    bench.refresher.step(now=4_002.0)
    undecided = bench.judged("new.onnx")
    assert (undecided.verification or {})["verdict"] == "insufficient"
    assert again(bench, undecided, "new.onnx") is None
    assert again(bench, replace(undecided, verification=None), "new.onnx") is None


def test_other_rows_or_another_question_can_not_be_told(bench: Bench, refitted: None) -> None:
    bench.trained()
    verified = bench.judged("new.onnx")
    asked = bench.site.settings
    bench.site.settings = asked.model_copy(update={"refresh": asked.refresh.model_copy(update={"margin": 0.05})})
    assert again(bench, verified, "new.onnx") is None
    bench.site.settings = asked
    found = {**(verified.verification or {}), "golden_version": 9}
    assert again(bench, replace(verified, verification=found), "new.onnx") is None
