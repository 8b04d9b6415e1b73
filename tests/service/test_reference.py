"""References: versions that are published whole, checked when read, refused when they could not keep their promise."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from service.adapters.onnx_embedder.vectors import VectorEmbedder
from service.errors import ArtefactError, ConfigurationError, InputError, NotFoundError
from service.records import WHOLE, Output, Sample, belongs
from service.reference import Origin, Reference, References, effective_tolerance, resolvable_tolerance
from service.reference_rows import ReferenceRows, embed_rows, sureness
from service.reference_warnings import warnings_about
from service.watched import WatchedMonitor

if TYPE_CHECKING:
    from service.settings import MonitorSettings
    from tests.service.conftest import World


@pytest.fixture
def references(world: World, tmp_path: Path) -> References:
    """A copy that may be changed."""
    shutil.copytree(folder_of(world), tmp_path / "chat")
    return References(tmp_path)


def folder_of(world: World) -> Path:
    return world.references._directory / "chat"


def origin(**changes: Any) -> Origin:
    return Origin(**{"fingerprint": "f", "created": 2_000.0, **changes})


def changed(settings: MonitorSettings, section: str, **fields: Any) -> MonitorSettings:
    return settings.model_copy(update={section: getattr(settings, section).model_copy(update=fields)})


def head(rows: ReferenceRows, n: int) -> ReferenceRows:
    return ReferenceRows(rows.ids[:n], rows.texts[:n], rows.labels[:n], rows.segments[:n], rows.confidence[:n], rows.embeddings[:n])


# --- what is kept ----------------------------------------------------------------------------------------------------


def test_what_was_built_is_what_is_read(world: World, references: References) -> None:
    loaded = references.load("chat")
    assert (loaded.monitor, loaded.version, loaded.fingerprint) == ("chat", 1, world.embedder.fingerprint)
    assert (loaded.rows.ids, loaded.rows.labels, loaded.rows.segments) == (world.rows.ids, world.rows.labels, world.rows.segments)
    np.testing.assert_array_equal(loaded.rows.embeddings, world.rows.embeddings)
    traffic = world.drifted(64, 1)
    there, here = loaded.summarizer.describe(traffic), world.reference.summarizer.describe(traffic)
    np.testing.assert_array_equal(there.features, here.features)
    np.testing.assert_array_equal(there.scalars, here.scalars)


def test_labels_and_texts_survive(world: World, references: References, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.reference.fit_model", lambda *_, **__: world.reference.model)
    labels = tuple(("billing", None)[i % 2] for i in range(len(world.rows)))
    texts = tuple(f"„Wo ist\nPaket {i}?“" for i in range(len(world.rows)))
    built = references.build(world.settings, replace(world.rows, labels=labels, texts=texts), origin())
    assert References(references._directory).load("chat").rows.labels == labels
    assert built.rows.texts == texts
    assert built.manifest["labelled"] == len(world.rows) // 2


def test_one_long_tag_or_label_makes_no_wide_column(world: World, references: References, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.reference.fit_model", lambda *_, **__: world.reference.model)
    segments = ({"product": "ö" * 10_000}, *world.rows.segments[1:])
    labels = ("x" * 10_000, None, *["billing"] * (len(world.rows) - 2))
    built = references.build(world.settings, replace(world.rows, segments=segments, labels=labels), origin())
    assert (built.rows.segments, built.rows.labels) == (segments, labels)
    assert len({id(tags) for tags in built.rows.segments}) == 4
    with np.load(references._directory / "chat" / "v2" / "numeric.npz") as arrays:
        assert sum(arrays[name].nbytes for name in arrays.files if name.startswith(("segments", "labels"))) < 100_000


def test_a_version_of_another_format_is_to_be_built_anew(references: References) -> None:
    path = references._directory / "chat" / "v1" / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    del manifest["format"]
    path.write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(ArtefactError, match=r"monitor chat: reference version 1 is of another format .* rebuild the reference"):
        references.load("chat")


def test_tags_are_counted_over_a_segment_also_those_that_none_of_it_carries(world: World) -> None:
    rows = replace(world.rows, segments=tuple({**tags, "beta": "1"} if tags["locale"] == "fr" else tags for tags in world.rows.segments))
    reference = replace(world.reference, rows=rows, segment_values={"locale": ("en", "de", "fr"), "product": ()})
    assert reference.tagged(WHOLE) == pytest.approx({"locale": 1.0, "product": 0.0, "beta": 0.1})
    assert reference.tagged("locale=fr") == {"locale": 1.0, "product": 0.0, "beta": 1.0}
    assert reference.tagged("locale=en") == {"locale": 1.0, "product": 0.0}


def test_arrays_hold_no_pickle(world: World) -> None:
    for name in ("model.npz", "numeric.npz"):
        with np.load(folder_of(world) / "v1" / name, allow_pickle=False) as arrays:
            assert all(arrays[key].dtype != object for key in arrays.files)


def test_a_manifest_says_what_the_version_is_good_for(world: World) -> None:
    (manifest,) = world.references.versions("chat")
    assert manifest["active"]
    assert manifest["rows"] == 1_200
    assert manifest["supported_run_length"] >= 2_000
    thresholds = [manifest["thresholds"][length] for length in ("500", "5000", "100000")]
    assert thresholds == sorted(thresholds)
    assert 0 < manifest["uncertainty"]["500"] <= manifest["uncertainty"]["100000"] <= 1
    assert manifest["segments"] == {"locale": ["en", "de", "fr"]}


def test_segments_with_rows_enough_have_slices(world: World) -> None:
    assert set(world.reference.slices) == {WHOLE, "locale=en", "locale=de"}
    assert world.reference.segment_shares == pytest.approx({"locale=en": 0.6, "locale=de": 0.3, "locale=fr": 0.1})


def test_rows_without_a_known_value_are_a_segment_of_their_own(world: World) -> None:
    reference = replace(world.reference, segment_values={"locale": ("de", "fr"), "product": ()})
    assert set(reference.slices) == {WHOLE, "locale=de", "locale=__other__"}
    assert reference.segment_shares == pytest.approx({"locale=__other__": 0.6, "locale=de": 0.3, "locale=fr": 0.1})


def test_clusters_are_named_by_label_text_or_number(world: World) -> None:
    assert all(name.startswith("cluster ") for name in world.reference.cluster_names)
    labelled = replace(world.reference, rows=replace(world.rows, labels=("billing",) * len(world.rows)))
    assert labelled.cluster_names[:2] == ("billing", "billing (2)")
    written = replace(
        world.reference, rows=replace(world.rows, texts=("where is my parcel that I have sent for to you",) * len(world.rows))
    )
    assert written.cluster_names[0] == "“where is my parcel that I have sent for…”"


def test_clusters_are_named_by_words_that_tell_them_from_the_others(world: World) -> None:
    clusters = world.reference.clusters
    texts = tuple(f"{'of' if at % 4 else 'if'} the thing{cluster} in mind" for at, cluster in enumerate(clusters))
    few = ("",) * len(texts)
    worded = replace(world.reference, rows=replace(world.rows, texts=texts, labels=few))
    assert worded.cluster_names == tuple(f"thing{c}" for c in range(world.reference.summarizer.clusters))


def test_each_row_is_a_member_of_the_whole_and_of_one_segment_of_a_tag(world: World) -> None:
    counts = [len(world.reference.members(segment)) for segment in (WHOLE, "locale=en", "locale=de", "locale=fr")]
    assert counts[0] == len(world.rows) == sum(counts[1:])
    assert not len(world.reference.members("locale=xx"))


def test_segment_values_beyond_the_maximum_share_one(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.reference.fit_model", lambda *_, **__: world.reference.model)
    settings = changed(world.settings, "segments", max_values=2)
    built = References(tmp_path).build(settings, world.rows, origin(fingerprint=world.embedder.fingerprint))
    assert built.segment_values == {"locale": ("en", "de")}
    rules = WatchedMonitor(settings, world.embedder, built).rules
    assert rules is not None
    assert [rules.segments({"locale": value})[1] for value in ("en", "fr", "it")] == ["locale=en", "locale=__other__", "locale=__other__"]
    assert rules.segments({}) == [WHOLE, "locale=__other__"]
    for tags in ({"locale": "en"}, {"locale": "fr"}, {}):
        assert all(belongs(tags, segment, built.segment_values) for segment in rules.segments(tags))
        assert not belongs(tags, "locale=de", built.segment_values)


# --- versions --------------------------------------------------------------------------------------------------------


@pytest.fixture
def second(world: World, references: References, monkeypatch: pytest.MonkeyPatch) -> Reference:
    """A provisional second version with a model of its own."""
    monkeypatch.setattr("service.reference.fit_model", lambda *_, **__: world.reference.model)
    return references.build(world.settings, world.rows, origin(provisional=True, model="/models/new.onnx", classes=("a", "b")))


def test_a_provisional_version_waits_to_be_accepted(references: References, second: Reference) -> None:
    assert second.version == 2
    assert references.active("chat") == 1
    assert references.load("chat").version == 1
    assert references.model("chat") == ("", ())

    references.activate("chat", 2)
    assert references.load("chat").version == 2
    assert references.model("chat") == ("/models/new.onnx", ("a", "b"))
    assert [(manifest["version"], manifest["active"], manifest["provisional"]) for manifest in references.versions("chat")] == [
        (1, False, False), (2, True, True),
    ]  # fmt: skip


def test_going_back_restores_version_and_model(references: References, second: Reference) -> None:
    references.activate("chat", second.version)
    references.activate("chat", 1)
    assert (references.active("chat"), references.load("chat").version, references.model("chat")) == (1, 1, ("", ()))


def test_a_version_that_is_not_there_names_those_that_are(references: References) -> None:
    with pytest.raises(NotFoundError, match=r"no reference version 7; there are \[1\]"):
        references.activate("chat", 7)
    with pytest.raises(NotFoundError, match=r"no reference version 7; there are \[1\]"):
        references.load("chat", 7)
    with pytest.raises(NotFoundError, match="driftgate reference build"):
        references.load("other")
    assert (references.active("other"), references.model("other"), list(references.versions("other"))) == (None, ("", ()), [])


@pytest.mark.parametrize("name", ["model.npz", "numeric.npz", "rows.jsonl"])
def test_damage_is_named(references: References, tmp_path: Path, name: str) -> None:
    path = tmp_path / "chat" / "v1" / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(ArtefactError, match=rf"{name}: damaged"):
        references.load("chat")


def test_a_failed_build_leaves_the_version_in_force(
    world: World, references: References, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("service.reference.fit_model", lambda *_, **__: world.reference.model)
    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(ArtefactError, match="disk full"):
        references.build(world.settings, world.rows, origin())
    assert sorted(path.name for path in (tmp_path / "chat").iterdir()) == ["v1"]
    assert references.active("chat") == 1


def test_another_embedder_is_refused(world: World) -> None:
    with pytest.raises(ArtefactError, match="made with another embedder"):
        WatchedMonitor(world.settings, VectorEmbedder(world.embedder.dimension, normalize=True), world.reference)


# --- what is learned and warned of ------------------------------------------------------------------------------------


def test_times_are_kept_and_a_manifest_says_what_was_learned_of_them(world: World, references: References) -> None:
    np.testing.assert_array_equal(references.load("chat").rows.times, 1_000.0 + np.arange(1_200))
    (manifest,) = references.versions("chat")
    assert (manifest["order"], manifest["block"], manifest["inflation"], manifest["profile"]) == ("iid", 1, 1.0, "none")
    assert (manifest["rows_needed"], manifest["warnings"]) == (400, [])
    longest = manifest["longest_window"]
    assert longest["seconds"] == pytest.approx(longest["samples"], rel=0.01)


def test_rows_without_a_time_leave_the_hour_out_and_say_so(world: World) -> None:
    embedded = embed_rows([sample(row, time=float(i)) for i, row in enumerate(world.ordinary(600, 1))], world.embedder)
    assert embedded.known_times is None
    (warning,) = warnings_about(embedded, world.reference.model)
    assert "1 of 600 rows have no time" in warning


def test_rows_of_a_timeline_are_put_in_order(world: World) -> None:
    mixed = np.random.default_rng(1).permutation(1_200)
    rows = embed_rows([sample(world.rows.embeddings[i], id=f"r{i}", time=1_000.0 + i) for i in mixed], world.embedder)
    ordered = rows.in_time_order()
    assert ordered.ids == tuple(f"r{i}" for i in range(1_200))
    np.testing.assert_array_equal(ordered.embeddings, world.rows.embeddings)
    assert world.rows.in_time_order() is world.rows


def test_a_reference_that_drifts_says_from_when_to_when(world: World) -> None:
    drifting = np.concatenate([world.ordinary(800, 1), world.drifted(400, 2)])
    rows = replace(world.rows, embeddings=drifting, times=np.arange(1_200, dtype=np.float64) * 3_600)
    (warning,) = warnings_about(rows, world.reference.model)
    assert re.match(r"it drifts itself: rows (1|[78]\d\d) to [\d,]+ \(1970-.* of them were new content", warning)


def test_repeated_rows_are_warned_of(world: World) -> None:
    rows = replace(world.rows, embeddings=np.tile(world.ordinary(600, 3), (2, 1)))
    assert any("50.0% of the rows repeat" in warning for warning in warnings_about(rows, world.reference.model))


# --- what is refused -------------------------------------------------------------------------------------------------


def refusing(world: World, tmp_path: Path, settings: MonitorSettings) -> References:
    """A builder whose fit is done already."""
    references = References(tmp_path / "refused")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("service.reference.fit_model", lambda *_, **__: world.reference.model)
        references.build(settings, world.rows, origin())
    return references


def test_too_few_rows_for_the_run_length_say_how_many_are_needed(world: World, tmp_path: Path) -> None:
    settings = changed(world.settings, "detection", run_length=60_000.0)
    need = int(np.ceil(1_200 * 60_000 / world.reference.model.calibration.supported))
    with pytest.raises(
        ArtefactError, match=rf"needs about {need} rows like these: 1200 were given, .* support .*detection\.accept_supported"
    ):
        refusing(world, tmp_path, settings)
    assert not (tmp_path / "refused").exists()
    assert refusing(world, tmp_path, changed(settings, "detection", accept_supported=True)).active("chat") == 1


def test_too_few_rows_for_any_reference_are_refused(world: World, tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match="monitor chat: a reference has at least 200 rows"):
        References(tmp_path).build(world.settings, head(world.rows, 199), origin())


def test_rows_that_are_all_the_same_are_refused(world: World, tmp_path: Path) -> None:
    same = replace(world.rows, embeddings=np.ones_like(world.rows.embeddings))
    with pytest.raises(ArtefactError, match="all the same"):
        References(tmp_path).build(world.settings, same, origin())


def test_a_tolerance_that_cannot_be_resolved_is_refused(world: World, tmp_path: Path) -> None:
    least = resolvable_tolerance(world.reference.model)
    with pytest.raises(ConfigurationError, match=rf"tolerance {least / 2:g} is below {least:.3f}.*build a larger reference"):
        refusing(world, tmp_path, changed(world.settings, "detection", tolerance=least / 2))
    assert effective_tolerance(changed(world.settings, "detection", tolerance=0.2), world.reference.model) == 0.2
    assert effective_tolerance(world.settings, world.reference.model) >= max(0.02, least)


# --- rows ------------------------------------------------------------------------------------------------------------


def sample(payload: Any, **fields: Any) -> Sample:
    return Sample(**{"monitor": "chat", "id": "s1", "time": 1.0, "payload": payload, **fields})


def test_a_sample_that_cannot_be_embedded_is_named(world: World) -> None:
    with pytest.raises(InputError, match=r"sample s1: .*a reference holds good samples only"):
        embed_rows([sample(np.full(6, np.nan, np.float32))], world.embedder)
    with pytest.raises(InputError, match="no samples for the reference"):
        embed_rows([], world.embedder)


def test_progress_counts_the_rows_that_are_done(world: World) -> None:
    done: list[int] = []
    embed_rows((replace(sample(row), id=str(i)) for i, row in enumerate(world.ordinary(600, 1))), world.embedder, progress=done.append)
    assert done == [256, 512, 600]


@pytest.mark.parametrize(
    ("output", "logits", "expected"),
    [
        (Output(probabilities=(0.2, 0.7, 0.1)), None, 0.7),
        (Output(logits=(0.0, 0.0)), None, 0.5),
        (None, [0.0, 0.0, 0.0, 0.0], 0.25),
        (Output(label="a"), [0.0, 0.0], 0.5),
        (Output(probabilities=(0.9, 0.1)), [0.0, 0.0], 0.9),
        (Output(logits=(1000.0, 0.0)), None, 1.0),
    ],
)
def test_sureness_is_the_largest_probability(output: Output | None, logits: list[float] | None, expected: float) -> None:
    own = None if logits is None else np.array(logits, np.float32)
    assert sureness(output, own) == pytest.approx(expected)


def test_sureness_is_unknown_without_an_answer() -> None:
    assert np.isnan(sureness(None))
    assert np.isnan(sureness(Output(label="a")))
