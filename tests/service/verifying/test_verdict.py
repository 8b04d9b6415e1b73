"""The gate: proven, refuted or undecidable, with the rows that would decide it."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from service.adapters.onnx_embedder.vectors import VectorEmbedder
from service.adapters.sqlite.store import SqliteStore
from service.datasets import DataSets
from service.errors import InputError
from service.looks import Attempt, record
from service.ports import Embedded
from service.records import Payload, Sample
from service.settings import MonitorSettings, RefreshSettings
from service.verifying import Answers, Gate, Model, judge, look_at, next_look, verify
from service.verifying.answers import answers_of, said

GATE = Gate("rows-1")
NEEDED = GATE.rows_needed


def answers(rows: int, *, broken: int = 0, mended: int = 0, tags: Sequence[str] = ()) -> Answers:
    """The old model is wrong on the last `mended` rows only, the new one on the first `broken` only."""
    truth = ["a"] * rows
    segments = [{"locale": tag} for tag in tags]
    return Answers(truth, ["a"] * (rows - mended) + ["b"] * mended, ["b"] * broken + ["a"] * (rows - broken), segments)


def test_a_model_that_breaks_nothing_and_gains_is_promoted() -> None:
    found = verify(answers(1_500), answers(50, mended=20), GATE)
    assert (found["verdict"], found["passed"], found["format"]) == ("promote", True, 2)
    assert found["challenge"]["gain"]["estimate"] == pytest.approx(0.4)
    assert found["golden"]["negative_flip_bound"] <= 0.01
    assert 0.8 <= found["joint_power"] < 0.9
    assert json.loads(json.dumps(found)) == found


@pytest.mark.parametrize(
    ("rows", "broken", "mended", "verdict"),
    [
        (NEEDED, 0, 0, "promote"),
        (NEEDED - 1, 0, 0, "insufficient"),
        (NEEDED, 14, 14, "promote"),
        (NEEDED, 15, 13, "promote"),
        (NEEDED, 18, 8, "reject"),
        (NEEDED, 14, 0, "reject"),
        (NEEDED, 5, 60, "promote"),
        (NEEDED, 60, 60, "insufficient"),
        (NEEDED, 100, 60, "reject"),
        (7_000, 350, 350, "promote"),
    ],
)
def test_accuracy_decides(rows: int, broken: int, mended: int, verdict: str) -> None:
    old, new = np.ones(rows, bool), np.ones(rows, bool)
    new[:broken] = False
    old[broken : broken + mended] = False
    golden = Answers(["a"] * rows, np.where(old, "a", "b").tolist(), np.where(new, "a", "b").tolist())
    assert verify(golden, answers(20, mended=5), GATE)["verdict"] == verdict


def test_more_rows_are_asked_for_where_more_change_sides_than_planned() -> None:
    found = verify(answers(1_500, broken=60, mended=55), answers(20, mended=5), GATE)
    check = found["checks"][0]
    assert (found["verdict"], check["outcome"]) == ("insufficient", "not decided")
    assert found["rows_missing"] == check["missing"] > 1_500
    assert "more than planned (refresh.expected_flips)" in found["reasons"][0]


def test_negative_flips_are_held_against_it_where_that_is_asked() -> None:
    strict = replace(GATE, max_negative_flips=0.01)
    assert verify(answers(1_500, broken=9, mended=9), answers(20, mended=5), GATE)["passed"]
    found = verify(answers(1_500, broken=12, mended=12), answers(20, mended=5), strict)
    assert found["verdict"] == "reject"
    assert found["reasons"][0].startswith("negative flips: 12 of 1,500 golden rows broke, so up to 1.2")
    assert replace(GATE, margin=0.05, max_negative_flips=0.01).rows_needed == 299


def test_every_reason_against_is_named() -> None:
    found = verify(answers(1_500, broken=60), answers(40, broken=10), GATE)
    assert found["verdict"] == "reject"
    assert len(found["reasons"]) == 2
    assert "60 of 1,500 golden rows broke, 0 were mended" in found["reasons"][0]
    assert "challenge accuracy fell from 100.0% to 75.0%" in found["reasons"][1]


def test_what_gains_nothing_is_not_promoted() -> None:
    found = verify(answers(1_500), answers(40), GATE)
    assert (found["verdict"], found["reasons"]) == ("reject", ["challenge accuracy did not rise from 100.0% to 100.0%"])


def test_too_few_rows_say_how_many_are_needed() -> None:
    found = verify(answers(120), answers(0), GATE)
    assert (found["verdict"], found["rows_needed"], found["rows_missing"]) == ("insufficient", NEEDED, NEEDED - 120)
    assert f"120, needed are {NEEDED:,}" in found["reasons"][0]
    assert found["reasons"][1].startswith("challenge rows: none")
    assert "challenge" not in found
    assert verify(answers(0), answers(0), GATE)["verdict"] == "insufficient"


def test_segments_of_too_few_rows_are_not_tested_either() -> None:
    tags = ["de"] * 600 + ["en"] * 600
    found = verify(answers(1_200, broken=100, tags=tags), answers(20, mended=5), replace(GATE, max_negative_flips=0.01), tags=["locale"])
    assert found["verdict"] == "insufficient"
    assert [check["outcome"] for check in found["checks"]] == ["too few rows", "not gated", "not gated", "passed"]
    assert found["checks"][1]["says"] == "locale=de: 600 rows, not tested while golden has too few"


@pytest.mark.parametrize("counted", [True, False])
def test_of_rows_that_are_too_few_nothing_is_told_but_how_many_there_are(counted: bool) -> None:
    """Whoever learned more could make the next model by it, and no look would be counted."""
    tags = ["de"] * 600 + ["en"] * 600
    gate = replace(GATE, max_negative_flips=0.01, counted=counted)
    good, bad = (
        verify(answers(1_200, broken=broken, mended=mended, tags=tags), answers(20, mended=5), gate, tags=["locale"])
        for broken, mended in ((0, 24), (24, 0))
    )
    assert good == bad
    assert "golden" not in good
    assert good["challenge"]["gain"]["estimate"] == pytest.approx(0.25)


@pytest.mark.parametrize(("counted", "more"), [(True, False), (False, True)])
def test_rows_are_planned_with_the_flips_that_are_found_only_where_looks_are_not_counted(counted: bool, more: bool) -> None:
    found = verify(answers(1_200, broken=60, mended=60), answers(20, mended=5), replace(GATE, counted=counted))
    assert (found["rows_needed"] > NEEDED) == more


def test_each_look_at_the_same_rows_costs_more_of_them() -> None:
    needed = [replace(GATE, look=look).rows_needed for look in (1, 2, 3)]
    assert needed == sorted(needed)
    assert [round(rows, -3) for rows in needed] == [1_000, 3_000, 4_000]
    assert sum(replace(GATE, look=look).spent for look in range(1, 30)) < 0.1


def test_a_segment_that_breaks_keeps_a_model_out() -> None:
    """Of a third of the rows 4 % break, of the others more are mended: the whole is no worse."""
    tags = ["de"] * 500 + ["en"] * 1_000
    found = verify(answers(1_500, broken=20, mended=40, tags=tags), answers(20, mended=5), GATE, tags=["locale"])
    assert found["verdict"] == "reject"
    assert found["reasons"][0].startswith("locale=de: -4.0 points")
    assert [each["segment"] for each in found["worse_segments"]] == ["locale=de"]
    by_name = {each["segment"]: each for each in found["segments"]}
    assert (by_name["locale=de"]["outcome"], by_name["locale=en"]["outcome"]) == ("failed", "passed")
    assert 0.7 < found["joint_power"] < found["checks"][0]["power"]
    assert verify(answers(1_500, broken=20, mended=40, tags=tags), answers(20, mended=5), GATE)["passed"]


def test_a_small_segment_is_told_and_not_tested() -> None:
    few = GATE.segment_rows_needed() - 1
    tags = ["de"] * few + ["en"] * (1_500 - few)
    found = verify(answers(1_500, broken=12, mended=12, tags=tags), answers(20, mended=5), GATE, tags=["locale"])
    assert found["passed"]
    assert {each["segment"]: each["gated"] for each in found["segments"]} == {"locale=en": True, "locale=de": False}


def test_more_segments_take_more_rows_of_each_so_that_a_good_model_passes_them_all() -> None:
    needed = [GATE.segment_rows_needed([1_000] * count) for count in (1, 2, 10)]
    assert needed == sorted(set(needed))
    assert needed[0] == GATE.segment_rows_needed([1_000, *[100] * 50]) == GATE.segment_rows_needed()
    tags = [f"t{i % 10}" for i in range(6_000)]
    found = verify(answers(6_000, broken=50, mended=50, tags=tags), answers(20, mended=5), GATE, tags=["locale"])
    assert found["passed"]
    assert sum(each["gated"] for each in found["segments"]) == 10
    assert found["joint_power"] > 0.8
    few = verify(answers(1_500, tags=[f"t{i % 5}" for i in range(1_500)]), answers(20, mended=5), GATE, tags=["locale"])
    assert not any(each["gated"] for each in few["segments"])


def test_a_gap_between_segments_may_not_widen() -> None:
    tags = ["de"] * 700 + ["en"] * 800
    wide, narrow = (
        verify(answers(1_500, broken=12, mended=12, tags=tags), answers(20, mended=5), replace(GATE, gap=gap), tags=["locale"])
        for gap in (0.05, 0.001)
    )
    assert wide["passed"]
    assert narrow["verdict"] == "reject"
    assert narrow["reasons"][0].startswith("gap of locale: ")


def test_only_so_many_segments_of_a_tag_are_looked_at() -> None:
    found = verify(answers(1_500, tags=[f"t{i // 10}" for i in range(1_500)]), answers(20, mended=5), GATE, tags=["locale"])
    assert len(found["segments"]) == 50


def rows(count: int, seed: int, *, copies: int = 0) -> list[Sample]:
    vectors = np.random.default_rng(seed).normal(size=(count, 8)).astype(np.float32)
    vectors = np.concatenate([vectors, vectors[:copies] + np.float32(1e-4)])
    return [Sample("chat", f"{seed}-{i}", float(i), vector, {}, None, "a") for i, vector in enumerate(vectors)]


def add(sets: DataSets, samples: list[Sample]) -> None:
    sets.add("chat", "golden", samples, VectorEmbedder(8, normalize=False), now=1.0)


def test_looks_are_counted_by_the_rows_whatever_set_they_stand_in(tmp_path: Path) -> None:
    store, sets, settings = SqliteStore(":memory:"), DataSets(tmp_path), RefreshSettings.model_validate({})
    add(sets, rows(600, 1))

    def look(judged: str, *, take: bool = True) -> Attempt:
        found = next_look(store, sets, "chat", settings, judged)
        if take:
            record(store, found, actor="ana", now=1.0)
        return found

    assert [look(model).drawn.use for model in ("m-1", "m-1", "m-2", "m-3")] == [1, 1, 2, 3]
    add(sets, rows(601, 1))
    assert look("m-4", take=False).drawn.use == 4  # one row more is no other set
    add(sets, [*rows(601, 1), *rows(1_500, 2)])
    fresh = look("m-4")
    assert (fresh.drawn.use, fresh.drawn.fresh) == (1, True)
    assert Gate.of(fresh, settings).rows_needed == NEEDED
    add(sets, rows(600, 3))
    assert look("m-5", take=False).drawn.use == 1


def test_copies_of_a_row_say_no_more_than_it_does(tmp_path: Path) -> None:
    store, sets, settings = SqliteStore(":memory:"), DataSets(tmp_path), RefreshSettings.model_validate({})
    add(sets, rows(400, 1, copies=300))
    golden = sets.load("chat", "golden")
    look = next_look(store, sets, "chat", settings)
    assert len(look.drawn.rows.rows) == sum(row.part == "verify" for row in golden.rows[:400]) < len(golden.part("verify").rows)


class Signs:
    """Classifies a vector by the sign of its first value."""

    def __init__(self, fingerprint: str = "signs", dimension: int = 2) -> None:
        self.fingerprint, self.dimension = fingerprint, dimension

    def check(self, payload: Payload) -> None:
        pass

    def embed(self, payloads: object) -> Embedded:
        rows = np.array(payloads, np.float32)
        return Embedded(rows, np.stack([-rows[:, 0], rows[:, 0]], axis=1))

    def close(self) -> None:
        pass


def signs(*classes: str) -> Model:
    return Model(Signs(), classes)


def test_answers_come_from_logits_in_batches_and_by_name() -> None:
    samples = [Sample("chat", str(i), 0.0, np.array([value, 0.0], np.float32), label="high") for i, value in enumerate([-1.0, 2.0] * 300)]
    found = answers_of(samples, signs("low", "high"), signs("high", "low"))
    assert (list(found.old), list(found.new)) == (["low", "high"] * 300, ["high", "low"] * 300)
    assert found.compared().old_right == 300
    assert found.old_confidence is not None
    assert found.old_confidence[:2] == pytest.approx(1 / (1 + np.exp([-2.0, -4.0])))


def test_a_model_without_fitting_logits_is_refused() -> None:
    rows = [np.ones(2, np.float32)]
    with pytest.raises(InputError, match="3 classes; found 2"):
        said(signs("a", "b", "c"), rows)
    with pytest.raises(InputError, match="found none"):
        said(Model(VectorEmbedder(2, normalize=False), ("a", "b")), rows)
    with pytest.raises(InputError, match="not finite numbers on 1 of 1 rows"):
        said(signs("a", "b"), [np.full(2, np.nan, np.float32)])


@pytest.mark.parametrize(("margin", "uses"), [(0.05, [1, 2]), (0.01, [1, 1])])
def test_rows_that_are_too_few_are_not_used_up(tmp_path: Path, margin: float, uses: list[int]) -> None:
    store, sets = SqliteStore(":memory:"), DataSets(tmp_path)
    add(sets, rows(450, 1))
    document = {"name": "chat", "embedder": {"input": "none", "dimension": 8}, "refresh": {"margin": margin}}
    settings = MonitorSettings.model_validate(document)
    found, old = [], Model(Signs(dimension=8), ("a", "b"))
    for name in ("first", "second"):
        new = Model(Signs(name, dimension=8), ("a", "b"))
        look = look_at(store, sets, settings, old, new, None)
        found.append(look.drawn.use)
        if judge(old, new, look, None, settings).looked:
            record(store, look, actor="ana", now=1.0)
    assert found == uses


def test_the_rows_are_those_that_fall_least_short(tmp_path: Path) -> None:
    """All of them at a second look rather than the few that came since, and those rather than all at a fourth."""
    store, sets = SqliteStore(":memory:"), DataSets(tmp_path)
    settings = RefreshSettings.model_validate({"margin": 0.05})
    add(sets, rows(1_000, 1))
    record(store, next_look(store, sets, "chat", settings, "m-1"), actor="ana", now=1.0)
    add(sets, [*rows(1_000, 1), *rows(200, 2)])
    assert not next_look(store, sets, "chat", settings, "m-2").drawn.fresh
    add(sets, [*rows(1_000, 1), *rows(1_100, 2)])
    assert next_look(store, sets, "chat", settings, "m-2").drawn.fresh
