"""Four situations, and what methods are told of each row."""

from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from service.failures.rows import FailureRows
from service.records import Candidate, Label, Output
from service.selecting.gathering import Counts, Gathered
from service.selecting.knowing import STEADY_ROWS, Material, ground
from tests.service.selecting.test_gathering import row

CLASSES = ("billing", "refund")
NO_FAILURES = FailureRows((), np.zeros((0, 6), np.float32), (), (), (), np.zeros(0), np.zeros(0, np.int64), np.zeros(0, bool))


@dataclass(frozen=True)
class Rows:
    """Of a reference."""

    embeddings: NDArray[np.float32]
    ids: tuple[str, ...]
    texts: tuple[str, ...]
    labels: tuple[str | None, ...]
    predicted: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.ids)


def vectors(rows: int, seed: int = 1) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(rows, 6)).astype(np.float32)


def material(**changes: Any) -> Material:
    count = 2_000
    rows = Rows(vectors(count), tuple(f"r{i}" for i in range(count)), ("text",) * count, (None,) * count, ("billing",) * count)
    reference: Any = SimpleNamespace(rows=rows)
    return replace(Material("text", CLASSES, reference, None, NO_FAILURES, ()), **changes)


def golden(rows: int) -> Any:
    samples = [SimpleNamespace(id=f"g{i}", label="refund", payload="a text") for i in range(rows)]
    logits = np.tile(np.array([0.0, 2.0], np.float32), (rows, 1))
    return SimpleNamespace(rows=samples, samples=samples, embeddings=vectors(rows, 2), logits=logits, predicted=("refund",) * rows)


def gathered(outputs: list[Output | None]) -> Gathered:
    rows = tuple(row(f"s{i}", vector, output=output) for i, (vector, output) in enumerate(zip(vectors(len(outputs)), outputs, strict=True)))
    return Gathered(rows, vectors(len(outputs)), ((),) * len(rows), np.ones(len(rows), np.float32), Counts())


LIKELY, LOGITS = Output(probabilities=(0.9, 0.1)), Output(logits=(0.0, 1.0))


@pytest.mark.parametrize(
    ("outputs", "known"),
    [([LIKELY, LOGITS], True), ([LIKELY, None], True), ([LIKELY, None, None], False), ([Output("billing")] * 2, False), ([None], False)],
)
def test_probabilities_count_where_most_rows_have_them(outputs: list[Output | None], known: bool) -> None:
    found = ground(gathered(outputs), material())
    assert found.situation.probabilities is known
    assert ("with the model's probabilities" in found.situation.words) is known
    if found.pool.probabilities is not None and None in outputs:
        assert np.isnan(found.pool.probabilities[outputs.index(None)]).all()


def test_noisy_labels_of_files_are_told_apart_from_answers() -> None:
    found = ground(replace(gathered([LIKELY, LOGITS, None]), weak=("refund", "", "novel")), material())
    assert found.pool.weak is not None
    assert found.pool.weak.tolist() == [1, -1, 2]
    assert "with 2 noisy labels" in found.situation.words
    assert ground(gathered([LIKELY]), material()).pool.weak is None


def test_logits_become_probabilities_and_answers_follow_them() -> None:
    found = ground(gathered([LIKELY, LOGITS]), material())
    assert found.pool.probabilities is not None
    assert found.pool.probabilities.sum(1) == pytest.approx(1.0)
    assert found.pool.predicted is not None
    assert found.pool.predicted.tolist() == [0, 1]


def test_failures_and_answers_are_told_by_number_new_classes_last() -> None:
    failing = replace(NO_FAILURES, ids=("f",), embeddings=vectors(1), labels=("chargeback",), answers=("billing",), clusters=("c1",))
    item = Candidate("a", "", 0.1, "all", predicted="billing")
    answered = [
        (item, Label("chat", "b", "a", "refund", 1.0), vectors(1)[0]),
        (replace(item, id="b"), Label("chat", "b", "b", None, 1.0, unusable=True), vectors(1)[0]),
    ]
    found = ground(gathered([None]), material(failures=failing, answered=answered))
    known = found.known
    assert found.situation.words == "text, by embeddings alone, with 1 failure samples, after 2 answers"
    assert known.failure_labels is not None
    assert [found.names.name(int(number)) for number in known.failure_labels] == ["chargeback"]
    assert known.answers is not None
    assert known.answers.tolist() == [1, -1]
    assert known.answered_predicted is not None
    assert known.answered_predicted.tolist() == [0, 0]


@pytest.mark.parametrize(("rows", "reference"), [(50, STEADY_ROWS - 50), (900, 0)])
def test_a_small_golden_part_is_filled_up_from_the_reference(rows: int, reference: int) -> None:
    found = ground(gathered([LIKELY]), material(golden=golden(rows)))
    assert len(found.known.reference) == rows + reference == len(found.cited)
    assert found.known.labels is not None
    assert (found.known.labels == 1).sum() == rows
    assert found.known.probabilities is not None
    assert np.isfinite(found.known.probabilities).all(1).sum() == rows
