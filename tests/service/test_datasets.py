"""Data sets: what is added comes back bit for bit, is never changed, and near-duplicates never straddle golden parts."""

import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from service.adapters.onnx_embedder.vectors import VectorEmbedder
from service.datasets import DataSet, DataSets, Role, Row, difference, split
from service.errors import ArtefactError, InputError, NotFoundError
from service.ports import Embedded
from service.records import Output, Payload, Sample

DIMENSION = 16


def samples(vectors: Iterable[NDArray[np.float32]], *, labels: str = "ab", prefix: str = "s") -> list[Sample]:
    rows = enumerate(vectors)
    return [Sample("chat", f"{prefix}{i}", float(i), vector, {"locale": "de"}, None, labels[i % len(labels)]) for i, vector in rows]


def vectors(count: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal((count, DIMENSION)).astype(np.float32)


def add(where: Path, role: Role, rows: Iterable[Sample]) -> DataSet:
    return DataSets(where).add("chat", role, rows, VectorEmbedder(DIMENSION, normalize=False), now=1_772_366_400.0)


class Lengths:
    """Embeds texts and images by their length, to have payloads of other kinds."""

    fingerprint = "lengths"
    dimension = 2

    def check(self, payload: Payload) -> None:
        if not len(payload):
            raise InputError("empty", "empty payload")

    def embed(self, payloads: Iterable[Payload]) -> Embedded:
        return Embedded(np.array([[len(payload), 1] for payload in payloads], np.float32))

    def close(self) -> None:
        pass


def test_what_was_added_comes_back(tmp_path: Path) -> None:
    rows = samples(vectors(300))
    heard: list[int] = []
    embedder = VectorEmbedder(DIMENSION, normalize=False)
    DataSets(tmp_path).add("chat", "train", iter(rows), embedder, now=1_772_366_400.0, progress=heard.append)
    found = DataSets(tmp_path).load("chat", "train")
    assert heard == [256, 300]
    assert [sample.id for sample in found.samples] == [sample.id for sample in rows]
    assert all(np.array_equal(a.payload, b.payload) for a, b in zip(found.samples, rows, strict=True))
    assert np.array_equal(found.embeddings, vectors(300))
    assert found.manifest["labels"] == {"a": 150, "b": 150}
    assert (found.version, found.manifest["created"], found.manifest["parts"]) == (1, "2026-03-01T12:00:00Z", {})
    assert set(found.cited()["files"]) == {"rows.jsonl", "embeddings.npy"}


def test_texts_images_and_missing_times_survive(tmp_path: Path) -> None:
    rows = [Sample("chat", "t", math.nan, "grüße\n", {}, None, None), Sample("chat", "i", 1.5, b"\x00\xff", {"a": "b"}, None, "x")]
    DataSets(tmp_path).add("chat", "pool", rows, Lengths(), now=1.0)
    text, image = DataSets(tmp_path).load("chat", "pool").samples
    assert (text.payload, math.isnan(text.time), text.label) == ("grüße\n", True, None)
    assert (image.payload, image.time, image.segments, image.label) == (b"\x00\xff", 1.5, {"a": "b"}, "x")


class Answering(VectorEmbedder):
    """Its first three coordinates are the model's logits."""

    def embed(self, payloads: Sequence[Payload]) -> Embedded:
        embedded = super().embed(payloads)
        return Embedded(embedded.embedding, embedded.embedding[:, :3])


def test_the_models_answers_of_the_time_are_kept(tmp_path: Path) -> None:
    rows = samples(vectors(300))
    sets, embedder = DataSets(tmp_path), Answering(DIMENSION, normalize=False)
    made = sets.add("chat", "golden", rows, embedder, now=1.0, classes=("a", "b", "c"))
    logits = vectors(300)[:, :3]
    assert made.logits is not None
    assert np.array_equal(made.logits, logits)
    assert made.predicted == tuple("abc"[i] for i in logits.argmax(1))
    assert np.allclose(made.confidence, np.exp(logits).max(1) / np.exp(logits).sum(1))
    part = made.part("verify")
    assert part.predicted == tuple(said for said, row in zip(made.predicted, made.rows, strict=True) if row.part == "verify")
    assert sets.add("chat", "golden", rows, embedder, now=1.0).predicted == ("",) * 300  # nobody said what the classes are called


def test_where_the_embedder_gives_no_logits_the_samples_own_answers_count(tmp_path: Path) -> None:
    outputs = [
        Output(label="x", model_version="7"),
        Output(probabilities=(0.25, 0.75)),
        Output(logits=(2.0, -math.inf)),
        Output(probabilities=(0.1234567891, 0.8765432109), logits=(1.0, 2.0)),
        None,
    ]
    rows = [replace(sample, output=output) for sample, output in zip(samples(vectors(5)), outputs, strict=True)]
    made = DataSets(tmp_path).add("chat", "train", rows, VectorEmbedder(DIMENSION, normalize=False), now=1.0, classes=("a", "b"))
    assert made.logits is None
    assert made.predicted == ("x", "b", "a", "b", "")
    assert np.allclose(made.confidence, [math.nan, 0.75, 1.0, 0.876543, math.nan], equal_nan=True)
    assert [sample.output for sample in made.samples[:3]] == outputs[:3]


def test_a_version_written_before_answers_were_kept_can_be_read(tmp_path: Path) -> None:
    made = add(tmp_path, "train", samples(vectors(3)))
    manifest = tmp_path / "datasets" / "chat" / "train" / "v1" / "manifest.json"
    manifest.write_text(json.dumps({name: value for name, value in made.manifest.items() if name != "classes"}), encoding="utf-8")
    found = DataSets(tmp_path).load("chat", "train")
    assert (found.classes, found.logits, found.predicted) == ((), None, ("", "", ""))
    assert np.isnan(found.confidence).all()


def test_versions_grow_and_the_newest_is_read(tmp_path: Path) -> None:
    add(tmp_path, "train", samples(vectors(5)))
    assert add(tmp_path, "train", samples(vectors(7))).version == 2
    add(tmp_path, "challenge", samples(vectors(3)))
    sets = DataSets(tmp_path)
    assert [(m["role"], m["version"], m["rows"]) for m in sets.versions("chat")] == [("train", 1, 5), ("train", 2, 7), ("challenge", 1, 3)]
    assert [m["version"] for m in sets.versions("chat", "challenge")] == [1]
    assert len(sets.load("chat", "train").rows) == 7
    assert len(sets.load("chat", "train", 1).rows) == 5


@pytest.mark.parametrize("version", [None, 4])
def test_what_is_not_there_is_named(tmp_path: Path, version: int | None) -> None:
    if version:
        add(tmp_path, "golden", samples(vectors(5)))
    with pytest.raises(NotFoundError, match="no golden set"):
        DataSets(tmp_path).load("chat", "golden", version)


@pytest.mark.parametrize("name", ["rows.jsonl", "embeddings.npy"])
def test_damage_and_loss_name_the_file(tmp_path: Path, name: str) -> None:
    add(tmp_path, "train", samples(vectors(5)))
    file = tmp_path / "datasets" / "chat" / "train" / "v1" / name
    content = bytearray(file.read_bytes())
    content[-3] ^= 1
    file.write_bytes(content)
    with pytest.raises(ArtefactError, match=f"{name}: damaged"):
        DataSets(tmp_path).load("chat", "train")
    file.unlink()
    with pytest.raises(ArtefactError, match=f"{name}: missing"):
        DataSets(tmp_path).load("chat", "train")


def test_bad_rows_refuse_the_whole_and_leave_nothing(tmp_path: Path) -> None:
    good = samples(vectors(3))
    twice = [*good, good[0]]
    unlabelled = [Sample("chat", "u", 0.0, vectors(1)[0])]
    wrong = [Sample("chat", "w", 0.0, vectors(1)[0][:3], label="a")]
    for rows, reason in ((twice, "duplicate_id"), (unlabelled, "missing_label"), (wrong, "dimension"), ([], "empty")):
        with pytest.raises(InputError) as caught:
            add(tmp_path, "train", rows)
        assert caught.value.reason == reason
    assert not DataSets(tmp_path).versions("chat")
    assert not list(tmp_path.rglob(".draft-*"))


def test_too_many_golden_rows_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.datasets.MAX_GOLDEN_ROWS", 4)
    with pytest.raises(InputError, match="at most 4 rows"):
        add(tmp_path, "golden", samples(vectors(5)))


def test_golden_parts_are_disjoint_about_equal_and_keep_near_duplicates_together(tmp_path: Path) -> None:
    base = vectors(600)
    copies = base[:200] + 0.001 * vectors(200, seed=1)
    golden = add(tmp_path, "golden", samples(np.concatenate([base, copies])))
    part = {row.sample.id: row.part for row in golden.rows}
    assert all(part[f"s{i}"] == part[f"s{600 + i}"] for i in range(200))
    sizes = Counter(part.values())
    assert set(sizes) == {"select", "calibrate", "verify"}
    assert min(sizes.values()) > 800 / 3 - 4 * math.sqrt((400 + 200 * 4) * 2 / 9)  # four standard deviations: singles and pairs at random
    verify = golden.part("verify")
    assert len(verify.rows) == len(verify.embeddings) == sizes["verify"]
    assert all(np.array_equal(row.sample.payload, vector) for row, vector in zip(verify.rows, verify.embeddings, strict=True))


def test_a_later_version_leaves_golden_rows_in_their_part_whatever_their_id(tmp_path: Path) -> None:
    base = vectors(200)
    first = add(tmp_path, "golden", samples(base))
    second = add(tmp_path, "golden", samples(np.concatenate([vectors(100, seed=5), base + 0, base[:50] + 0.001 * vectors(50, seed=6)])))
    before = {row.digest: row.part for row in first.rows}
    assert all(row.part == before[row.digest] for row in second.rows if row.digest in before)
    assert all(second.rows[300 + i].part == first.rows[i].part for i in range(50))


def test_a_group_that_joins_two_parts_goes_where_nothing_is_promised(tmp_path: Path) -> None:
    rows = vectors(60)
    first = add(tmp_path, "golden", samples(rows))
    verify = next(i for i, row in enumerate(first.rows) if row.part == "verify")
    calibrate = next(i for i, row in enumerate(first.rows) if row.part == "calibrate")
    bridge = (rows[verify : verify + 1] + rows[calibrate : calibrate + 1]) / 2
    joined = [first.rows[verify], Row(Sample("chat", "bridge", 0.0, bridge[0])), first.rows[calibrate]]
    known = {row.digest: row.part for row in first.rows}
    assert split(joined, np.zeros(3, np.int64), known) == ["select"] * 3


def test_the_checksum_knows_rows_again_and_notices_labels(tmp_path: Path) -> None:
    rows = vectors(20)
    first = add(tmp_path, "challenge", samples(rows))
    renamed = add(tmp_path, "challenge", samples(rows, prefix="other-"))
    relabelled = add(tmp_path, "challenge", samples(rows, labels="ac"))
    assert first.checksum == renamed.checksum != relabelled.checksum


def test_the_difference_of_versions(tmp_path: Path) -> None:
    rows = samples(vectors(6))
    before = add(tmp_path, "train", rows)
    moved = Sample("chat", "s1", 0.0, vectors(1, seed=9)[0], label="b")
    renamed = Sample("chat", "s2", 0.0, rows[2].payload, label="c")
    after = add(tmp_path, "train", [rows[0], moved, renamed, *rows[3:5], Sample("chat", "n", 0.0, vectors(1, seed=8)[0], label="a")])
    found = difference(before, after)
    assert (found.added, found.removed, found.changed, found.relabelled) == (("n",), ("s5",), ("s1",), ("s2",))
    assert found.labels == {"a": (3, 3), "b": (3, 2), "c": (0, 1)}
