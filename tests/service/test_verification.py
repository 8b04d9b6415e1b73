"""The gate: proven, refuted or undecidable, with the rows that would decide it."""

import json
from dataclasses import replace

import numpy as np
import pytest

from service import refresh
from service.adapters.onnx_embedder.vectors import VectorEmbedder
from service.adapters.sqlite.store import SqliteStore
from service.errors import InputError
from service.ports import Embedded
from service.records import CycleState, Payload, RefreshCycle
from service.settings import RefreshSettings
from service.verification import VERDICTS, Answers, Gate, gate, predict, verify

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


def test_looks_are_counted_by_the_rows_not_by_the_cycle() -> None:
    store = SqliteStore(":memory:")
    settings = RefreshSettings.model_validate({})
    assert gate(store, "chat", "rows-1", settings).look == 1
    for attempt, opener in ((1, "a"), (2, "b")):
        cycle = refresh.opened(refresh.Opening("chat", 1, opener), now=1.0)
        store.save(replace(cycle, verification=verify(answers(10), answers(0), replace(GATE, look=attempt))))
    assert gate(store, "chat", "rows-1", settings).look == 3
    assert gate(store, "chat", "rows-2", settings).look == 1
    assert gate(store, "mail", "rows-1", settings).look == 1
    assert len(store.find(RefreshCycle)) == 2


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
