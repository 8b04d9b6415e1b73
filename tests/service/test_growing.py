"""Sets that several make versions of at once: none undoes another's, and nothing that is there is embedded again."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest

from service.adapters.onnx_embedder.vectors import VectorEmbedder
from service.corrections import Correction, corrected
from service.datasets import DataSet, DataSets, Role
from service.errors import ConflictError
from service.golden import refill
from service.growing import Growth, knowing
from service.ports import Embedded
from service.records import Payload, Sample
from service.settings import MonitorSettings

SETTINGS = MonitorSettings.model_validate({"name": "chat", "embedder": {"input": "none", "dimension": 4}})


class Watched(VectorEmbedder):
    """Counts what it embeds, and lets something happen meanwhile, once."""

    def __init__(self, meanwhile: Callable[[], object] = lambda: None, *, logits: bool = False) -> None:
        super().__init__(4, normalize=False)
        self.embedded = 0
        self.logits = logits
        self._meanwhile: list[Callable[[], object]] = [meanwhile]

    def embed(self, payloads: Sequence[Payload]) -> Embedded:
        if self._meanwhile:
            self._meanwhile.pop()()
        self.embedded += len(payloads)
        made = super().embed(payloads)
        return Embedded(made.embedding, made.embedding[:, :2]) if self.logits else made


def rows(prefix: str, count: int, seed: int) -> list[Sample]:
    vectors = np.random.default_rng(seed).normal(size=(count, 4)).astype(np.float32)
    return [Sample("chat", f"{prefix}{i}", 1.0, vector, label="a") for i, vector in enumerate(vectors)]


@pytest.fixture
def sets(tmp_path: Path) -> DataSets:
    made = DataSets(tmp_path)
    for role in ("golden", "train"):
        made.add("chat", role, rows("s", 20, 1), Watched(), now=1.0)
    return made


def correct(sets: DataSets, role: Role) -> DataSet:
    return corrected(sets, sets.load("chat", role), [Correction("s3", "a", "b", "file")], now=2.0)


def labels(sets: DataSets, role: Role) -> dict[str, str | None]:
    return {sample.id: sample.label for sample in sets.load("chat", role).samples}


def grow(sets: DataSets, new: Sequence[Sample], embedder: VectorEmbedder, role: Role = "train") -> DataSet | None:
    return Growth(sets, SETTINGS, role, embedder).grown(lambda old: [*(old.samples if old else ()), *new], now=3.0)


def test_a_correction_made_while_a_top_up_embeds_is_kept(sets: DataSets) -> None:
    refill(sets, SETTINGS, rows("t", 5, 2), Watched(lambda: correct(sets, "golden")), now=3.0)
    found = labels(sets, "golden")
    assert (sets.load("chat", "golden").version, len(found), found["s3"]) == (3, 25, "b")


def test_a_top_up_that_came_first_is_not_undone_by_a_correction(sets: DataSets) -> None:
    before = sets.load("chat", "train")
    grow(sets, rows("t", 5, 2), Watched())
    with pytest.raises(ConflictError, match="2 came"):
        corrected(sets, before, [Correction("s3", "a", "b", "file")], now=4.0)
    assert len(labels(sets, "train")) == 25


def test_of_those_who_start_from_one_version_the_losers_start_again(tmp_path: Path) -> None:
    barrier = Barrier(3)

    def work(number: int) -> None:  # as processes would: they share the folder alone
        grow(
            DataSets(tmp_path), rows(f"w{number}-", 4, number), Watched(lambda: barrier.wait(20))
        )  # as processes: they share the folder alone

    with ThreadPoolExecutor(3) as threads:
        list(threads.map(work, range(3)))
    assert DataSets(tmp_path).load("chat", "train").version == 3
    assert set(labels(DataSets(tmp_path), "train")) == {f"w{number}-{i}" for number in range(3) for i in range(4)}


def test_what_replaces_a_set_comes_after_whatever_is_there(sets: DataSets) -> None:
    made = sets.add("chat", "golden", rows("n", 8, 3), Watched(lambda: correct(sets, "golden")), now=3.0)
    assert (made.version, made.manifest["rows"]) == (3, 8)
    with pytest.raises(ConflictError, match="try again"):
        sets.add("chat", "golden", rows("n", 8, 3), Watched(), now=4.0, after=2)


def test_what_loses_again_and_again_is_told(sets: DataSets) -> None:
    def change(newest: DataSet | None) -> list[Sample]:
        assert newest
        sets.add("chat", "train", newest.samples, Watched(), now=2.0)
        return list(newest.samples)

    with pytest.raises(ConflictError, match="try again"):
        Growth(sets, SETTINGS, "train", Watched()).grown(change, now=3.0)


@pytest.mark.parametrize("logits", [False, True])
def test_only_what_is_new_is_embedded(tmp_path: Path, *, logits: bool) -> None:
    sets, embedder = DataSets(tmp_path), Watched(logits=logits)
    sets.add("chat", "train", rows("s", 20, 1), Watched(logits=logits), now=1.0)
    made = grow(sets, rows("t", 5, 2), embedder)
    assert made
    assert embedder.embedded == 6  # one tells whether the embedder gives logits
    assert np.array_equal(made.embeddings, np.stack([np.asarray(sample.payload) for sample in made.samples]))
    assert (made.logits is not None) == logits
    assert made.logits is None or np.array_equal(made.logits, made.embeddings[:, :2])


def test_what_another_model_or_one_without_logits_embedded_is_embedded_again(sets: DataSets) -> None:
    former, other = sets.load("chat", "train"), VectorEmbedder(4, normalize=True)
    answering = Watched(logits=True)
    assert knowing(other, former) is other
    assert knowing(answering, former) is answering
    assert knowing(answering, None) is answering
