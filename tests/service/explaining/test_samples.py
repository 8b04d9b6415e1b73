"""One sample explained, wherever it is, and what is said where something lacks."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from service.adapters.onnx_embedder import load_embedder
from service.adapters.onnx_embedder.vectors import VectorEmbedder
from service.adapters.sqlite import SqliteStore
from service.datasets import DataSets
from service.errors import BacklogFullError, EmbedderError, InputError, NotFoundError
from service.explaining.samples import SampleExplanation, Samples
from service.ports import Embedded, Embedder
from service.records import AnnotationBatch, BatchState, Candidate, Output, Payload, Sample
from service.reference import References
from service.report.material import Material, Progress
from service.settings import EmbedderSettings, MonitorSettings

if TYPE_CHECKING:
    from tests.service.conftest import World
    from tests.service.text_site import Site

WRONG = Output(label="parcel", probabilities=(0.3, 0.6, 0.1))


def said(text: str, id: str = "s1", output: Output | None = None) -> Sample:
    return Sample("chat", id, 1_500.0, text, {"locale": "de"}, output)


def gaps(found: SampleExplanation) -> set[str]:
    return {gap.what for gap in found.missing}


def explained(site: Site, sample: Sample) -> SampleExplanation:
    site.keep([sample])
    return site.samples.explain("chat", sample.id, now=2_000.0)


def test_a_recent_sample_in_full(site: Site) -> None:
    found = explained(site, said("please the refund is still about", output=WRONG))
    assert (found.place, found.kind, found.segments, found.reference_version) == ("recent traffic", "text", {"locale": "de"}, 1)
    assert (found.answer.given, found.answer.now, found.answer.confidence) == ("parcel", "refund", 0.6)
    assert [len(found.near[side]) for side in ("reference", "train")] == [5, 5]
    assert all(a.distance <= b.distance for a, b in zip(found.near["train"], found.near["train"][1:], strict=False))
    assert {near.id[0] for near in found.near["reference"]} == {"r"}
    assert {(near.label, near.same) for near in found.near["train"]} == {("refund", False)}  # it was answered as a parcel
    assert found.placed.cluster == found.placed.nearest
    assert found.placed.cluster.startswith("refund")
    assert found.attribution
    assert (found.attribution.of, found.answer.explained) == ("answer", "parcel")
    assert found.missing == ()


def test_the_word_that_decided_comes_first_and_its_class_taught_it(site: Site) -> None:
    found = explained(site, said("my courier is please still with it"))
    assert found.attribution
    assert found.attribution.parts[found.attribution.strongest[0]].text == "courier"
    assert {taught.label for taught in found.supporting} == {"parcel"}
    assert [taught.nats for taught in found.supporting] == sorted((t.nats for t in found.supporting), reverse=True)
    assert all(taught.nats < 0 for taught in found.opposing)


def test_what_is_new_has_a_high_percentile(site: Site) -> None:
    site.keep([said("alien alien alien", "odd"), said("the refund is my please and", "usual")])
    odd, usual = (site.samples.explain("chat", name, now=2_000.0) for name in ("odd", "usual"))
    assert odd.novelty
    assert usual.novelty
    assert odd.placed.cluster == "novel" != odd.placed.nearest
    assert min(odd.novelty.reference, odd.novelty.train, odd.novelty.stream) > 0.98
    assert max(usual.novelty.reference, usual.novelty.train, usual.novelty.stream) < 0.98


@pytest.mark.parametrize(("id", "place"), [("r7", "reference version 1"), ("t7", "train set version 1"), ("g7", "golden set version 1")])
def test_found_where_it_is_and_never_its_own_neighbour(site: Site, id: str, place: str) -> None:
    found = site.samples.explain("chat", id, now=2_000.0)
    assert (found.place, found.label) == (place, "parcel")
    assert id not in {near.id for side in found.near.values() for near in side}
    assert id not in {taught.id for taught in (*found.supporting, *found.opposing)}
    assert found.near["train"][0].same is True
    assert found.attribution


def test_found_among_what_annotators_are_asked(site: Site) -> None:
    items = (Candidate("c1", "novel", 0.1, "all", "the storm is about my"), Candidate("c2", "novel", 0.1, "all"))
    site.store.save(AnnotationBatch("b1", "chat", "y", 1, BatchState.SENT, items, 1_400.0, version=1))
    found = site.samples.explain("chat", "c1", now=2_000.0)
    assert (found.place, found.answer.now) == ("annotation batch b1", "weather")
    bare = site.samples.explain("chat", "c2", now=2_000.0)
    assert gaps(bare) == {"payload", "neighbours and novelty"}
    assert bare.novelty is None


def test_one_that_is_nowhere_is_told_where_was_looked(site: Site) -> None:
    with pytest.raises(NotFoundError) as caught:
        site.samples.explain("chat", "nope", now=2_000.0)
    for place in (
        "0 recent samples",
        "reference version 1 (600 rows)",
        "train set version 1 (300 rows)",
        "no challenge set",
        "--input FILE",
    ):
        assert place in str(caught.value)


def test_one_from_outside(site: Site) -> None:
    found = site.samples.explain_given(said("the storm is about my", "mine"), now=2_000.0)
    assert (found.id, found.place, found.answer.given, found.answer.now) == ("mine", "the input", "", "weather")
    with pytest.raises(InputError, match="empty or blank"):
        site.samples.explain_given(said(" "), now=2_000.0)


# --- what lacks ---------------------------------------------------------------------------------------------------


def test_without_its_payload_the_embedding_still_tells(site: Site) -> None:
    site.keep([said("please the refund is", output=WRONG)], payloads=False)
    found = site.samples.explain("chat", "s1", now=2_000.0)
    assert gaps(found) == {"payload"}
    assert "pool.keep_payloads" in found.missing[0].remedy
    assert found.near["train"]
    assert found.novelty
    assert (found.attribution, found.supporting, found.text) == (None, (), "")


def test_an_embedding_of_another_reference_tells_nothing(site: Site) -> None:
    site.keep([said("please the refund is")], payloads=False, version=9)
    found = site.samples.explain("chat", "s1", now=2_000.0)
    assert gaps(found) == {"payload", "neighbours and novelty"}
    assert found.near == {"reference": (), "train": ()}


def test_a_set_of_another_model_is_left_out(site: Site, tmp_path: Path) -> None:
    sets = DataSets(tmp_path)
    other = VectorEmbedder(3, normalize=False)
    vectors = np.random.default_rng(0).normal(size=(9, 3)).astype(np.float32)
    rows = [Sample("chat", f"v{i}", 1.0, vector, label="refund") for i, vector in enumerate(vectors)]
    sets.add("chat", "train", rows, other, now=1.0)
    found = explained(replace(site, data_sets=sets, references=References(tmp_path / "references")), said("please the refund is"))
    assert gaps(found) == {"reference", "train set"}
    assert found.near == {"reference": (), "train": ()}


def test_one_that_the_model_no_longer_takes_is_told_by_its_embedding(site: Site, model: Path) -> None:
    site.keep([said("please the refund is still about")])
    short = load_embedder(EmbedderSettings(model=model, threads=1, max_text_bytes=20))
    found = replace(site, model=short).samples.explain("chat", "s1", now=2_000.0)
    assert gaps(found) == {"the model's answer"}
    assert (found.attribution, found.answer.explained) == (None, "")
    assert len(found.near["train"]) == 5


def test_one_word_has_no_parts(site: Site) -> None:
    found = explained(site, said("refund"))
    assert found.attribution is None
    assert [gap.why for gap in found.missing] == ["the text is one word: there is nothing to leave out"]


def test_a_bare_monitor_explains_by_the_model_alone(site: Site, tmp_path: Path) -> None:
    bare = replace(site, references=References(tmp_path / "references"), data_sets=DataSets(tmp_path))
    found = explained(bare, said("please the refund is"))
    assert gaps(found) == {"reference", "train set"}
    assert found.novelty is not None
    assert math.isnan(found.novelty.reference)
    assert found.attribution
    assert found.attribution.parts[found.attribution.strongest[0]].text == "refund"


def test_a_model_that_cannot_be_loaded_leaves_the_rest(site: Site) -> None:
    site.keep([said("please the refund is")])

    def broken(monitor: str) -> Embedder:
        raise EmbedderError(f"{monitor}: the model is gone")

    found = Samples(site.gather, broken).explain("chat", "s1", now=2_000.0)
    assert [(gap.what, gap.why) for gap in found.missing] == [("the model's answer", "chat: the model is gone")]
    assert found.near["reference"]


def test_one_at_a_time(site: Site) -> None:
    samples, entered, go = site.samples, threading.Event(), threading.Event()

    def progress(step: str, share: float) -> None:
        entered.set()
        go.wait(10)

    other = threading.Thread(target=lambda: samples.explain("chat", "t1", now=2_000.0, progress=progress))
    other.start()
    assert entered.wait(10)
    with pytest.raises(BacklogFullError, match="another sample"):
        samples.explain("chat", "t2", now=2_000.0)
    go.set()
    other.join()
    assert samples.explain("chat", "t2", now=2_000.0).id == "t2"


def test_vectors_are_explained_by_their_coordinates(world: World) -> None:
    def gather(monitor: str, *, now: float, progress: Progress) -> Material:
        assert monitor == world.settings.name
        return Material(world.settings, store, world.references, DataSets(Path("/nowhere")), now=now, progress=progress)

    odd: Payload = world.ordinary(1, 1)[0] + 9 * np.eye(6, dtype=np.float32)[3]
    store = SqliteStore(":memory:")
    found = Samples(gather, lambda _: world.embedder).explain_given(Sample("chat", "v", 1.0, odd), now=2.0)
    store.close()
    assert (found.kind, found.placed.cluster) == ("vector", "novel")
    assert found.attribution
    assert (found.attribution.of, found.attribution.parts[0].text) == ("novelty", "[3]")
    assert sum(part.novelty for part in found.attribution.parts) == pytest.approx(found.attribution.whole, rel=1e-4)


class Summing:
    """A model of four numbers: the logit of its first class is their sum."""

    fingerprint, dimension = "summing", 4

    def check(self, payload: Payload) -> None:
        assert isinstance(payload, np.ndarray)

    def embed(self, payloads: Sequence[Payload]) -> Embedded:
        rows = np.stack([np.asarray(payload, np.float32).ravel() for payload in payloads])
        return Embedded(rows, np.stack([rows.sum(1), np.zeros(len(rows), np.float32)], 1))

    def close(self) -> None:
        pass


def test_coordinates_of_a_tensor_are_left_out_for_the_training_sets_mean(site: Site, tmp_path: Path) -> None:
    document = {"name": "chat", "embedder": {"model": "unused.onnx", "input": "tensor"}, "classes": ["high", "low"]}
    sets, model = DataSets(tmp_path), Summing()
    rows = [Sample("chat", f"v{i}", 1.0, np.array([i, i, 2, 3], np.float32), label="high") for i in (0, 2)]
    sets.add("chat", "train", rows, model, now=1.0, classes=("high", "low"))
    settings = MonitorSettings.model_validate(document)
    bare = replace(site, settings=settings, model=model, data_sets=sets, references=References(tmp_path / "references"))
    found = bare.samples.explain_given(Sample("chat", "odd", 1.0, np.array([1, 1, 9, 3], np.float32)), now=2.0)
    assert (found.kind, found.answer.explained) == ("vector", "high")
    assert found.attribution
    assert [(part.text, part.answer) for part in found.attribution.parts] == [("[0]", 0), ("[1]", 0), ("[2]", 7), ("[3]", 0)]
