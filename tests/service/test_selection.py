"""Rows of the pool become candidates: those of the alarm's stream and window, new and in company."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from service.records import Alarm, AlarmState, Family, Measured, Output, Partition, Pooled, Severity
from service.selection import MAX_TEXT, propose

VALUES = {"locale": ("de", "en")}
PARTITION = Partition("chat", "t1")


def around(topics: NDArray[np.float64], count: int, rng: np.random.Generator) -> NDArray[np.float32]:
    rows = topics[rng.integers(0, len(topics), count)] + 0.3 * rng.standard_normal((count, topics.shape[1]))
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def alarm(segment: str = "all") -> Alarm:
    share = Measured(0.2, 0.1, 0.3)
    return Alarm(
        id="a1",
        monitor="chat",
        segment=segment,
        family=Family.INPUT,
        reference_version=2,
        kind="new content",
        severity=Severity.WARNING,
        state=AlarmState.OPEN,
        at_sample=400,
        at_sequence=9,
        opened=900.0,
        window_samples=300,
        window_start=100.0,
        effect=share,
        novel_share=share,
        channel="novelty",
    )


def row(id: str, embedding: NDArray[np.float32], novelty: float, **changes: Any) -> Pooled:
    fields: dict[str, Any] = {
        "monitor": "chat",
        "id": id,
        "time": 500.0,
        "partition": PARTITION,
        "offset": 0,
        "payload": f"text of {id}",
        "segments": {"locale": "de"},
        "output": Output(label="billing", probabilities=(0.6, 0.4)),
        "label": None,
        "embedding": embedding.astype(np.float16),
        "novelty": novelty,
        "reference_version": 2,
    }
    return Pooled(**{**fields, **changes})


@pytest.fixture(scope="module")
def reference() -> NDArray[np.float32]:
    rng = np.random.default_rng(1)
    return around(rng.standard_normal((8, 24)), 600, rng)


@pytest.fixture(scope="module")
def pooled(reference: NDArray[np.float32]) -> list[Pooled]:
    rng = np.random.default_rng(2)
    fresh = around(rng.standard_normal((1, 24)), 60, rng)
    junk = around(rng.standard_normal((60, 24)), 20, rng)
    rows = [row(f"known-{i}", vector, 0.4) for i, vector in enumerate(reference[:150])]
    rows += [row(f"new-{i}", vector, 0.99) for i, vector in enumerate(fresh)]
    return rows + [row(f"junk-{i}", vector, 0.999) for i, vector in enumerate(junk)]


def names(rows: list[Pooled], reference: NDArray[np.float32], segment: str = "all", budget: int = 20) -> list[str]:
    rng = np.random.default_rng(3)
    return [each.id for each in propose(alarm(segment), rows, reference, segment_values=VALUES, budget=budget, rng=rng)]


def test_candidates_are_new_samples_with_all_that_an_annotator_needs(pooled: list[Pooled], reference: NDArray[np.float32]) -> None:
    found = propose(alarm(), pooled, reference, segment_values=VALUES, budget=20, rng=np.random.default_rng(3))
    assert len(found) == 20
    assert all(each.id.startswith("new-") for each in found)
    assert found[0].text == f"text of {found[0].id}"
    assert (found[0].predicted, found[0].segment) == ("billing", "all")
    assert 0 < found[0].risk < 1


@pytest.mark.parametrize("change", [{"time": 99.0}, {"reference_version": 1}, {"label": "billing"}])
def test_rows_outside_the_window_of_another_reference_or_labelled_are_left_out(
    pooled: list[Pooled], reference: NDArray[np.float32], change: dict[str, Any]
) -> None:
    rows = [replace(each, **change) if each.id.startswith("new-") else each for each in pooled]
    assert not any(name.startswith("new-") for name in names(rows, reference))


def test_a_segment_takes_its_own_rows(pooled: list[Pooled], reference: NDArray[np.float32]) -> None:
    tags = [{"locale": "en"}, {"locale": "fr"}, {}]
    rows = [replace(each, segments=tags[i % 3]) for i, each in enumerate(pooled)]
    of = {each.id: each.segments for each in rows}
    english, other = names(rows, reference, "locale=en"), names(rows, reference, "locale=__other__")
    assert english
    assert other
    assert all(of[name] == {"locale": "en"} for name in english)
    assert not any(of[name] == {"locale": "en"} for name in other)
    assert names(rows, reference, "locale=de") == []


def test_payloads_that_are_no_text_or_not_kept_give_none_and_long_ones_are_cut(
    pooled: list[Pooled], reference: NDArray[np.float32]
) -> None:
    payloads = [None, b"image", "x" * 2 * MAX_TEXT]
    rows = [replace(each, payload=payloads[i % 3], output=None) for i, each in enumerate(pooled)]
    found = propose(alarm(), rows, reference, segment_values=VALUES, budget=30, rng=np.random.default_rng(3))
    assert {len(each.text) for each in found} == {0, MAX_TEXT}
    assert all(each.predicted is None for each in found)


def test_an_empty_pool_gives_nothing(reference: NDArray[np.float32]) -> None:
    assert names([], reference) == []
