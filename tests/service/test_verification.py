"""The gate: proven, refuted or undecidable, with the rows that would decide it."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from service import refresh
from service.adapters.onnx_embedder.vectors import VectorEmbedder
from service.adapters.sqlite.store import SqliteStore
from service.datasets import DataSets
from service.errors import InputError
from service.looks import Attempt, record
from service.ports import Embedded
from service.records import CycleState, Payload, Sample
from service.settings import RefreshSettings
from service.verification import VERDICTS, Answers, Gate, next_look, predict, verify

GATE = Gate("rows-1", 0.01, 0.9)


def answers(rows: int, *, broken: int = 0, mended: int = 0) -> Answers:
    """The old model is wrong on the last `mended` rows only, the new one on the first `broken` only."""
    truth = ["a"] * rows
    return Answers(truth, old=["a"] * (rows - mended) + ["b"] * mended, new=["b"] * broken + ["a"] * (rows - broken))


def test_a_model_that_breaks_nothing_and_gains_is_promoted() -> None:
    found = verify(answers(400), answers(50, mended=20), GATE)
    assert (found["verdict"], found["passed"]) == ("promote", True)
    assert found["challenge"]["gain"]["estimate"] == pytest.approx(0.4)
    assert found["golden"]["negative_flip_bound"] <= 0.01
    assert json.loads(json.dumps(found)) == found


@pytest.mark.parametrize(
    ("rows", "broken", "verdict"), [(1000, 4, "promote"), (1000, 5, "reject"), (299, 0, "promote"), (298, 0, "insufficient")]
)
def test_the_bound_decides_as_published(rows: int, broken: int, verdict: str) -> None:
    assert verify(answers(rows, broken=broken), answers(20, mended=5), GATE)["verdict"] == verdict


def test_every_reason_against_is_named() -> None:
    found = verify(answers(500, broken=30), answers(40, broken=10), GATE)
    assert found["verdict"] == "reject"
    assert len(found["reasons"]) == 2
    assert found["reasons"][0].startswith("negative flips: 30 of 500 golden rows broke")
    assert "challenge accuracy fell from 100.0% to 75.0%" in found["reasons"][1]


def test_too_few_rows_say_how_many_are_needed() -> None:
    found = verify(answers(120, broken=60), answers(0), GATE)
    assert (found["verdict"], found["rows_needed"]) == ("insufficient", 299)
    assert "120, needed are 299" in found["reasons"][0]
    assert found["reasons"][1].startswith("challenge rows: none")
    assert "challenge" not in found


def test_each_look_at_the_same_rows_costs_more_of_them() -> None:
    needed = [replace(GATE, look=look).rows_needed for look in (1, 2, 3)]
    assert needed == [299, 517, 695]
    assert sum(replace(GATE, look=look).spent for look in range(1, 30)) < 0.1


def test_the_error_of_promoting_a_model_that_breaks_too_much_is_held() -> None:
    rng = np.random.default_rng(5)
    drawn = rng.binomial(1500, 0.0101, 400)
    promoted = [verify(answers(1500, broken=int(broken)), answers(5), GATE)["passed"] for broken in drawn]
    assert np.mean(promoted) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 400)


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
    assert Gate.of(fresh, settings).rows_needed == 299
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

    fingerprint = "signs"
    dimension = 2

    def check(self, payload: Payload) -> None:
        pass

    def embed(self, payloads: object) -> Embedded:
        rows = np.array(payloads, np.float32)
        return Embedded(rows, np.stack([-rows[:, 0], rows[:, 0]], axis=1))

    def close(self) -> None:
        pass


def test_predictions_come_from_logits_in_batches() -> None:
    rows = [np.array([value, 0.0], np.float32) for value in np.tile([-1.0, 2.0], 300)]
    assert predict(Signs(), rows, ("low", "high")) == ["low", "high"] * 300


def test_a_model_without_fitting_logits_is_refused() -> None:
    rows = [np.ones(2, np.float32)]
    with pytest.raises(InputError, match="3 classes; found 2"):
        predict(Signs(), rows, ("a", "b", "c"))
    with pytest.raises(InputError, match="found none"):
        predict(VectorEmbedder(2, normalize=False), rows, ("a", "b"))


def test_verdicts_are_those_the_cycle_knows() -> None:
    cycle = replace(refresh.opened(refresh.Opening("chat", 1, "x"), now=1.0), state=CycleState.VERIFYING)
    assert len({refresh.verified(cycle, {"verdict": verdict}, now=2.0).state for verdict in VERDICTS}) == 3
