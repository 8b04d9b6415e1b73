"""A batch on its way: small where links can be sent, whole where they can't, and the right sample behind every id."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from service import annotation
from service.adapters.onnx_embedder.vectors import VectorEmbedder
from service.adapters.sqlite import SqliteStore
from service.datasets import DataSets, Role
from service.errors import DeliveryError, NotFoundError
from service.exhibits import Exhibits, image_type
from service.handoff import THIN_BYTES, by_link, by_value, to_see
from service.links import NO_LINKS, PATH, Kind, Links
from service.records import AnnotationBatch, BatchState, Candidate, OutboxItem, Payload, Purpose, Sample

NOW = 1_772_366_400.0
LINKS = Links(["a-secret-that-signs-links-in-tests"], "https://drift.example", days=2.0)
PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)
VECTOR = np.array([1, 2, 3], np.float32)


class Any3(VectorEmbedder):
    """Takes any payload."""

    def check(self, payload: Payload) -> None:
        """Nothing is wrong with any."""

    def embed(self, payloads: Any) -> Any:
        return super().embed([np.full(3, i + 1, np.float32) for i, _ in enumerate(payloads)])


@pytest.fixture
def store() -> Iterator[SqliteStore]:
    with closing(SqliteStore(":memory:")) as store:
        yield store


@pytest.fixture
def sets(tmp_path: Path) -> DataSets:
    return DataSets(tmp_path)


def keep(sets: DataSets, role: Role, **payloads: Payload) -> None:
    label = None if role == "pool" else "refund"
    samples = [Sample("support", name, NOW, payload, label=label) for name, payload in payloads.items()]
    sets.add("support", role, samples, Any3(3, normalize=False), now=NOW)


def batch(store: SqliteStore, *ids: str, text: str = "", **changes: Any) -> OutboxItem:
    """Sent as it is stored."""
    items = tuple(Candidate(name, "novel", 0.1, "all", text) for name in ids)
    made = AnnotationBatch("b1", "support", "c1", 1, BatchState.SENT, items, NOW, version=1, **changes)
    store.save(made)
    return annotation.outgoing(made, destination="hook", price=None, now=NOW)


# --- links ------------------------------------------------------------------------------------------------------------


def test_a_thin_batch_holds_no_text_and_a_link_to_each_sample(store: SqliteStore) -> None:
    thin = by_link(batch(store, "m-1", "m-2", text="secret words"), LINKS)

    assert "secret words" not in msgspec.json.encode(thin.payload).decode()
    assert thin.payload["batch"] == "b1"
    opened = [LINKS.opened(each["link"].partition(PATH)[2], now=NOW) for each in thin.payload["candidates"]]
    assert [(link.kind, link.subject) for link in opened] == [
        (Kind.SAMPLE, ("b1", each["driftgate_id"])) for each in thin.payload["candidates"]
    ]


@pytest.mark.parametrize(("deadline", "from_then"), [(NOW + 9_000, NOW + 9_000), (0.0, NOW)])
def test_links_outlive_the_deadline(store: SqliteStore, deadline: float, from_then: float) -> None:
    thin = by_link(batch(store, "m-1", deadline=deadline), LINKS)
    (each,) = thin.payload["candidates"]
    assert LINKS.opened(each["link"].partition(PATH)[2], now=NOW).expires == from_then + 2 * 86_400


def test_a_repetition_is_the_same(store: SqliteStore) -> None:
    item = batch(store, "m-1", "m-2")
    assert by_link(item, LINKS) == by_link(item, LINKS)


@pytest.mark.parametrize("count", [1, 20, 500])
def test_it_is_small_however_many_there_are(store: SqliteStore, count: int) -> None:
    thin = by_link(batch(store, *(f"sample-{i:05}" for i in range(count)), text="word " * 300), LINKS)

    assert len(msgspec.json.encode(thin.payload)) <= THIN_BYTES
    if count == 500:
        assert "candidates" not in thin.payload
        assert thin.payload["count"] == 500
        link = LINKS.opened(thin.payload["link"].partition(PATH)[2], now=NOW)
        assert (link.kind, link.subject) == (Kind.BATCH, ("b1",))


def test_other_items_go_as_they_are() -> None:
    item = OutboxItem("o1", "alarm.opened", "hook", {"text": "kept"}, created=NOW)
    assert by_link(item, LINKS) is item


# --- whole ------------------------------------------------------------------------------------------------------------


def test_images_and_vectors_go_inline(store: SqliteStore, sets: DataSets) -> None:
    keep(sets, "pool", image=PNG, vector=VECTOR)
    whole = by_value(batch(store, "image", "vector", "lost"), Exhibits(store, sets))

    shown = {each["driftgate_id"]: each for each in whole.payload["candidates"]}
    assert base64.b64decode(shown["image"]["image"]) == PNG
    assert shown["vector"]["vector"] == [1.0, 2.0, 3.0]
    assert not {"image", "vector"} & shown["lost"].keys()


def test_a_text_that_was_cut_goes_whole(store: SqliteStore, sets: DataSets) -> None:
    keep(sets, "pool", long="word " * 2_000)
    item = batch(store, "long", text=("word " * 2_000)[:4_000])
    (candidate,) = by_value(item, Exhibits(store, sets)).payload["candidates"]
    assert candidate["text"] == "word " * 2_000


def test_texts_are_there_already(store: SqliteStore, tmp_path: Path) -> None:
    item = batch(store, "m-1", text="words")
    assert by_value(item, Exhibits(store, DataSets(tmp_path / "nothing"))) == item


def test_what_is_too_large_to_be_sent_inline_says_what_to_do(store: SqliteStore, sets: DataSets, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(sets, "pool", image=PNG)
    monkeypatch.setattr("service.handoff.WHOLE_BYTES", 100)
    with pytest.raises(DeliveryError, match="payload: link") as error:
        by_value(batch(store, "image"), Exhibits(store, sets))
    assert not error.value.retryable


def test_a_tool_that_shows_samples_itself_gets_links_to_images_alone(store: SqliteStore, sets: DataSets) -> None:
    keep(sets, "pool", image=PNG, again=PNG)
    item, exhibits = batch(store, "image", "again"), Exhibits(store, sets)
    seen = to_see(item, exhibits, LINKS).payload["candidates"]
    links = {each["driftgate_id"]: LINKS.opened(each["link"].partition(PATH)[2], now=NOW).subject for each in seen}
    assert links == {"image": ("b1", "image"), "again": ("b1", "again")}
    assert to_see(item, exhibits, NO_LINKS) == by_value(item, exhibits)


def test_a_tool_that_shows_samples_itself_gets_texts_and_vectors(store: SqliteStore, sets: DataSets) -> None:
    keep(sets, "pool", vector=VECTOR)
    item = batch(store, "vector")
    assert to_see(item, Exhibits(store, sets), LINKS) == by_value(item, Exhibits(store, sets))


# --- the samples ------------------------------------------------------------------------------------------------------


def test_the_newest_of_several_sets_counts(store: SqliteStore, sets: DataSets) -> None:
    keep(sets, "pool", a="first", b="only here")
    keep(sets, "pool", a="second", c="other")
    batch(store, "a", "b", "c", "d")
    found = Exhibits(store, sets).samples("b1", ["a", "b", "c", "d", "e"])
    assert {name: sample.payload for name, sample in found.items()} == {"a": "second", "b": "only here", "c": "other"}


def test_rows_that_are_asked_about_again_are_found_in_their_sets(store: SqliteStore, sets: DataSets) -> None:
    for role in ("golden", "train", "challenge"):
        keep(sets, role, **{role: f"of {role}"})
    batch(store, "golden", "train", "challenge")
    found = Exhibits(store, sets).samples("b1", ["golden", "train", "challenge"])
    assert {name: sample.payload for name, sample in found.items()} == {role: f"of {role}" for role in ("golden", "train", "challenge")}


def test_gold_is_found_under_the_id_that_is_shown(store: SqliteStore, sets: DataSets) -> None:
    keep(sets, "pool", asked="a question")
    keep(sets, "golden", known="an answer")
    item = batch(store, "asked", gold=(Candidate("known", "", 0.0, "all", purpose=Purpose.GOLD),))
    exhibits, ids = Exhibits(store, sets), [each["driftgate_id"] for each in item.payload["candidates"]]

    assert {exhibits.sample("b1", name).payload for name in ids} == {"a question", "an answer"}
    with pytest.raises(NotFoundError):
        exhibits.sample("b1", "known")


def test_a_batch_that_is_not_there_is_named(store: SqliteStore, sets: DataSets) -> None:
    with pytest.raises(NotFoundError, match="b9"):
        Exhibits(store, sets).sample("b9", "x")


@pytest.mark.parametrize(
    ("content", "media"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
        (b"BM\0\0", "image/bmp"),
        (b"II*\0", "image/tiff"),
        (b"<svg onload=alert(1)>", "application/octet-stream"),
        (b"<html>", "application/octet-stream"),
        (b"", "application/octet-stream"),
    ],
)
def test_an_image_is_known_by_its_first_bytes(content: bytes, media: str) -> None:
    assert image_type(content).media == media
