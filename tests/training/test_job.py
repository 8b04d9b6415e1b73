"""The whole job on a small model: what it learns, what it keeps, what it writes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

from service.adapters.onnx_embedder import load_embedder
from service.errors import InputError
from service.records import Sample
from service.training.choosing import Search
from service.training.job import Made, Options, train
from service.training.orders import Order
from service.training.written import read_record
from tests.training.conftest import KNOWN, NEW, Bench


def order(bench: Bench, **changes: Any) -> Order:
    return replace(Order(bench.train, bench.settings, KNOWN, {"files": ["train.jsonl"]}, bench.fresh), **changes)


def job(bench: Bench, folder: Path, *, head: Any = "linear", seed: int = 0, **changes: Any) -> Made:
    return train(order(bench, **changes), Options(Search(head, seed)), folder, load=load_embedder, now=1.8e9)


def accuracy(bench: Bench, made: Made, samples: tuple[Sample, ...]) -> float:
    logits = load_embedder(bench.settings.with_model(made.model)).embed([sample.payload for sample in samples]).logits
    assert logits is not None
    return float(np.mean([made.classes[place] == sample.label for place, sample in zip(logits.argmax(1), samples, strict=True)]))


@pytest.mark.parametrize("head", ["linear", "mlp"])
def test_a_new_class_is_learnt_and_the_others_are_kept(bench: Bench, tmp_path: Path, head: str) -> None:
    made = job(bench, tmp_path, head=head)
    assert made.classes == (*KNOWN, NEW)
    assert accuracy(bench, made, bench.challenge) > 0.9
    assert accuracy(bench, made, bench.golden) > 0.97
    assert made.run["recipe"]["head"] == head
    assert made.run["warm_start"]
    assert made.run["model"]["largest_difference"] < 1e-4


def test_the_same_seed_gives_the_same_file(bench: Bench, tmp_path: Path) -> None:
    first, again = (job(bench, tmp_path / name) for name in ("one", "two"))
    assert first.model.read_bytes() == again.model.read_bytes()
    assert job(bench, tmp_path / "other", head="mlp", seed=1).model.read_bytes() != first.model.read_bytes()


def test_the_record_says_all_that_decides(bench: Bench, tmp_path: Path) -> None:
    made = job(bench, tmp_path)
    run = read_record(made.record)
    assert run == json.loads(json.dumps(made.run))
    assert run["figures"]["train"]["rows"] == run["figures"]["validation"]["rows"] == len(bench.train)
    assert 0.9 < run["figures"]["validation"]["accuracy"] <= 1
    assert (run["data"]["rows"], run["fresh_rows"], run["new_classes"]) == (len(bench.train), len(bench.fresh), [NEW])
    assert run["environment"]["libraries"]["torch"]
    assert (tmp_path / "classes.txt").read_text().split() == list(made.classes)


def test_rows_that_are_for_validation_are_not_trained_on(bench: Bench, tmp_path: Path) -> None:
    held_out = tuple(replace(sample, id=f"v{sample.id}") for sample in bench.golden[:30])
    made = job(bench, tmp_path, samples=(*bench.train, *held_out), held_out=30)
    assert made.run["figures"]["validation"]["rows"] == 30
    assert len(bench.train) - 5 < made.run["figures"]["train"]["rows"] <= len(bench.train)


def test_without_a_model_that_answers_it_starts_from_nothing(bench: Bench, tmp_path: Path) -> None:
    silent = bench.settings.model_copy(update={"logits_output": "other"})
    made = train(order(bench, model=silent, classes=()), Options(Search()), tmp_path, load=load_embedder, now=0.0)
    assert not made.run["warm_start"]
    assert made.classes == tuple(sorted((*KNOWN, NEW)))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"samples": ()}, "no samples"),
        ({"classes": ("alpha", "beta")}, "gives 3 logits and 2 classes are named"),
    ],
)
def test_what_can_not_be_trained_on_is_said(bench: Bench, tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        job(bench, tmp_path, **changes)


def test_one_class_says_nothing(bench: Bench, tmp_path: Path) -> None:
    alike = tuple(replace(sample, label="alpha") for sample in bench.train)
    with pytest.raises(InputError, match="two classes or more"):
        job(bench, tmp_path, samples=alike)


def test_vectors_without_a_model_carry_no_head(bench: Bench, tmp_path: Path) -> None:
    vectors = bench.settings.model_copy(update={"input": "none", "dimension": 8, "model": None})
    with pytest.raises(InputError, match=r"embedder\.model"):
        job(bench, tmp_path, model=vectors)
