"""Golden rows that join, and those that may be looked at: as few promises are broken by what comes later as can be."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from service.adapters.onnx_embedder.vectors import VectorEmbedder
from service.datasets import DataSet, DataSets
from service.golden import Look, Promise, contents_of, draw, join_select, refill, representatives, unmet
from service.records import Sample
from service.settings import MonitorSettings

EMBEDDER = VectorEmbedder(8, normalize=False)
SETTINGS = MonitorSettings.model_validate({"name": "chat", "embedder": {"input": "none", "dimension": 8}})
PROMISE = Promise(0.05, 0.1, 3)


def rows(count: int, seed: int, *, labelled: bool = True) -> list[Sample]:
    vectors = np.random.default_rng(seed).normal(size=(count, 8)).astype(np.float32)
    return [Sample("chat", f"{seed}-{i}", float(i), vector, {}, None, "a" if labelled else None) for i, vector in enumerate(vectors)]


def copies(samples: Sequence[Sample]) -> list[Sample]:
    return [replace(each, id=f"copy-{each.id}", payload=np.asarray(each.payload) + np.float32(1e-4)) for each in samples]


def parts(golden: DataSet) -> dict[str, str]:
    return {row.sample.id: row.part for row in golden.rows}


@pytest.fixture
def sets(tmp_path: Path) -> DataSets:
    made = DataSets(tmp_path)
    made.add("chat", "golden", rows(300, 1), EMBEDDER, now=1.0)
    return made


def test_challenge_rows_join_select_and_no_other_part(sets: DataSets) -> None:
    before = parts(sets.load("chat", "golden"))
    sets.add("chat", "challenge", rows(60, 2), EMBEDDER, now=2.0)
    challenge = sets.load("chat", "challenge")
    joined = join_select(sets, SETTINGS, challenge, EMBEDDER, now=3.0)
    assert joined
    after = parts(joined)
    assert {after[sample.id] for sample in challenge.samples} == {"select"}
    assert {key: after[key] for key in before} == before
    assert join_select(sets, SETTINGS, challenge, EMBEDDER, now=4.0) is not None
    assert len(sets.versions("chat", "golden")) == 2


def test_a_challenge_row_like_a_golden_one_takes_its_group_to_select(sets: DataSets) -> None:
    before = parts(sets.load("chat", "golden"))
    like = [sample for sample in rows(300, 1) if before[sample.id] == "verify"][:5]
    sets.add("chat", "challenge", copies(like), EMBEDDER, now=2.0)
    joined = join_select(sets, SETTINGS, sets.load("chat", "challenge"), EMBEDDER, now=3.0)
    assert joined
    after = parts(joined)
    assert {after[key] for sample in like for key in (sample.id, f"copy-{sample.id}")} == {"select"}


def test_a_refill_comes_into_the_parts_that_promise(sets: DataSets) -> None:
    before = parts(sets.load("chat", "golden"))
    filled = refill(sets, SETTINGS, [*rows(200, 3), *rows(20, 4, labelled=False), *copies(rows(5, 1))], EMBEDDER, now=2.0)
    assert filled
    after = parts(filled)
    assert {key: after[key] for key in before} == before
    came = Counter(part for key, part in after.items() if key.startswith("3-"))
    assert set(came) == {"calibrate", "verify"}
    assert min(came.values()) > 70
    assert not any(key.startswith("4-") for key in after)
    assert all(after[f"copy-{sample.id}"] == before[sample.id] for sample in rows(5, 1))


def test_without_golden_nothing_joins(tmp_path: Path) -> None:
    empty = DataSets(tmp_path)
    empty.add("chat", "challenge", rows(10, 2), EMBEDDER, now=2.0)
    assert join_select(empty, SETTINGS, empty.load("chat", "challenge"), EMBEDDER, now=3.0) is None
    assert refill(empty, SETTINGS, rows(10, 3), EMBEDDER, now=3.0) is None


def test_rows_that_were_met_are_known_whatever_version_they_stand_in(sets: DataSets) -> None:
    golden = sets.load("chat", "golden")
    met = contents_of(sets, "chat", "verify", [Look(1)])
    assert unmet(golden.part("verify").rows, met) == []
    filled = refill(sets, SETTINGS, rows(600, 3), EMBEDDER, now=2.0)
    assert filled
    drawn = draw(filled, "verify", met, PROMISE)
    assert (drawn.use, drawn.fresh) == (1, True)
    assert all(sample.id.startswith("3-") for sample in drawn.rows.samples)
    assert [row.sample.id for row in unmet(filled.part("verify").rows, met)] == [sample.id for sample in drawn.rows.samples]
    second = contents_of(sets, "chat", "verify", [Look(1), Look(2, fresh=True)])
    assert second[1] == frozenset(row.digest for row in drawn.rows.rows)
    assert draw(filled, "verify", second, PROMISE).use == 3


def test_what_nobody_knows_any_more_counts_as_met(sets: DataSets) -> None:
    golden = sets.load("chat", "golden")
    met = contents_of(sets, "chat", "verify", [Look(7)])
    assert met == [None]
    assert draw(golden, "verify", met, PROMISE).use == 2
    assert unmet(golden.rows, met) == []


def test_one_row_stands_for_each_group(sets: DataSets) -> None:
    made = sets.add("chat", "golden", [*rows(50, 1), *copies(rows(50, 1))], EMBEDDER, now=2.0)
    assert [row.sample.id for row in representatives(made).rows] == [sample.id for sample in rows(50, 1)]
