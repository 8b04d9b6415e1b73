"""Failure clusters, and what is said of their causes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest

from service.adapters.onnx_embedder.vectors import VectorEmbedder
from service.adapters.sqlite import SqliteStore
from service.datasets import DataSets
from service.errors import NotFoundError
from service.failures.causes import Cause, Evidence, Speaks, likely
from service.failures.clusters import clustered
from service.failures.known import known_failures
from service.failures.listing import Listing, Told
from service.failures.marks import Word
from service.failures.written import document
from service.reference import References
from tests.service.failures.conftest import answered

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from service.records import Alarm
    from tests.service.conftest import World
    from tests.service.failures.conftest import Failing

PARCELS = [
    "my courier is please still with it",
    "the delivery is about my and",
    "a parcel today for it",
    "is the courier with it",
    "for my delivery please",
]
ALIENS = ["alien alien refund", "courier alien alien", "alien alien storm", "alien rain alien", "money alien alien"]


def said(told: Told) -> dict[Cause, Evidence]:
    return {each.cause: each for each in told.evidence}


def only(listing: Listing) -> Told:
    (told,) = listing.clusters
    return told


def test_a_wrong_label_is_told_by_what_the_model_was_taught(failing: Failing) -> None:
    failing.fail(PARCELS, "refund", "parcel", prefix="w")
    told = only(failing.failures.listing("chat"))
    evidence = said(told)
    assert evidence[Cause.LABEL].speaks is Speaks.FOR
    assert evidence[Cause.LABEL].says == "5 of 5 look like parcel to the training set version 1, as the model answered, rather than refund"
    share = evidence[Cause.LABEL].share
    assert share
    assert 0.5 < share.low < share.high == 1
    assert likely(told.evidence) == evidence[Cause.LABEL]
    assert evidence[Cause.GAP].speaks is evidence[Cause.SHIFT].speaks is Speaks.AGAINST
    assert all("its label may be wrong: parcel" in why for why in told.suspects)


def test_what_the_training_set_has_nothing_like_is_a_gap_and_new(failing: Failing, make_alarm: Callable[..., Alarm]) -> None:
    failing.fail(ALIENS, "weather", "parcel", prefix="a")
    failing.site.store.save(make_alarm("a1", monitor="chat", window_start=1_502.0))
    evidence = said(only(failing.failures.listing("chat")))
    assert evidence[Cause.GAP].speaks is Speaks.FOR
    assert evidence[Cause.GAP].says.endswith("lie farther from the training set version 1 than 95 % of its own rows")
    assert evidence[Cause.LABEL].speaks is Speaks.CANNOT_SAY
    assert "no labelled row of the training set version 1 is near enough" in evidence[Cause.LABEL].says
    assert "1 came since the window of the open alarm a1 (new content) began" in evidence[Cause.SHIFT].says


def test_a_class_that_was_never_taught_is_a_gap(failing: Failing) -> None:
    failing.settings = failing.settings.model_copy(update={"classes": (*failing.settings.classes, "cards")})
    failing.fail(PARCELS[:2], "cards", "parcel", prefix="c")
    evidence = said(only(failing.failures.listing("chat")))
    assert evidence[Cause.GAP].speaks is Speaks.FOR
    assert evidence[Cause.GAP].says.startswith("it has no rows of cards; 0 of 2 lie farther")


def test_damaged_inputs_come_first(failing: Failing) -> None:
    failing.fail(["#%&$ @@ !!", "$$ ## rq?? ~~", "## @@ %% ^^ !!"], "refund", "parcel", prefix="d")
    told = failing.failures.listing("chat").clusters[0]
    evidence = said(told)
    assert evidence[Cause.CORRUPTION].speaks is Speaks.FOR
    assert "symbols" in evidence[Cause.CORRUPTION].says
    assert likely(told.evidence) == evidence[Cause.CORRUPTION]


def test_what_lies_between_two_classes_is_ambiguous(failing: Failing) -> None:
    mixed = [
        "the refund with my parcel",
        "money for a delivery please",
        "charged still courier",
        "my courier is charged and",
        "refund today parcel",
    ]
    failing.fail(mixed, "refund", "parcel", prefix="m")
    evidence = said(failing.failures.listing("chat").clusters[0])
    assert evidence[Cause.AMBIGUITY].share
    assert "divided between refund and parcel" in evidence[Cause.AMBIGUITY].says


def test_clusters_are_ranked_by_distinct_samples_and_loss_and_keep_their_ids(failing: Failing) -> None:
    failing.fail(["a storm is about my"] * 9, "weather", "parcel", prefix="storm", start=1_600.0)
    failing.fail(["my money is about", "charged for it please"], "refund", "parcel", prefix="money", start=1_500.0)
    reference = failing.site.references.load("chat")

    def clusters() -> dict[str | None, str]:
        return {each.label: each.id for each in clustered(known_failures(failing.site.store, failing.settings), reference)}

    before = clusters()
    listing = failing.failures.listing("chat")
    assert [(told.cluster.label, len(told.cluster.failures), told.cluster.samples) for told in listing.clusters] == [
        ("refund", 2, 2),
        ("weather", 1, 9),
    ]
    failing.fail(["the money for it"], "refund", "parcel", prefix="more", start=1_700.0)
    assert clusters() == before
    assert failing.failures.cluster("chat", before["refund"][:4]).id == before["refund"]
    with pytest.raises(NotFoundError, match=f"no failure cluster 'zz'; there are: .*{before['weather']}"):
        failing.failures.cluster("chat", "zz")


def test_evidence_is_looked_for_once(failing: Failing) -> None:
    failing.fail(PARCELS, "refund", "parcel", prefix="w")
    failures = failing.failures
    first, again = failures.listing("chat"), failures.listing("chat")
    assert again.clusters is first.clusters
    failing.site.keep([answered("m1", "rain", "parcel")])
    failures.mark("chat", "m1", None, Word("ana", "", 2_000.0))
    assert len(failures.listing("chat").clusters) == 2


def test_the_document_is_plain_and_shows_what_people_said(failing: Failing) -> None:
    failing.fail(PARCELS, "refund", "parcel", prefix="w")
    failing.failures.mark("chat", "w0", None, Word("ana", "look at this", 2_000.0))
    found = msgspec.json.decode(msgspec.json.encode(document(failing.failures.listing("chat"), samples=5)))
    (cluster,) = found["clusters"]
    assert (cluster["name"], cluster["marked"], cluster["cause"], cluster["distinct"]) == ("refund", 1, "label error", 5)
    assert {(each["marked_by"], each["note"]) for each in cluster["failures"]} == {(None, None), ("ana", "look at this")}
    assert {each["speaks"] for each in cluster["evidence"]} <= {"for", "against", "unsure", "cannot say"}


def test_nothing_failed_and_nothing_to_say_it_by(failing: Failing, tmp_path: Path) -> None:
    assert failing.failures.listing("chat").clusters == ()
    failing.site = replace(failing.site, references=References(tmp_path))
    with pytest.raises(NotFoundError, match=r"^monitor chat: without a reference nothing says which failures are alike; `driftgate ref"):
        failing.failures.listing("chat")


def test_vectors_without_a_training_set_say_what_they_can(
    world: World, failing: Failing, store_of_vectors: SqliteStore, tmp_path: Path
) -> None:
    settings = world.settings.model_copy(update={"classes": ()})
    log = world.log(store_of_vectors, vectors=True)
    log.add(world.new(16, 5))
    embedder = VectorEmbedder(world.rows.embeddings.shape[1], normalize=False)
    failing.site = replace(
        failing.site, settings=settings, store=store_of_vectors, references=world.references, data_sets=DataSets(tmp_path), model=embedder
    )
    failing.settings = settings
    for i in range(16):
        failing.failures.mark("chat", f"s{i}", "new", Word("ana", "", 2_000.0))
    listing = failing.failures.listing("chat")
    causes = {evidence.cause: evidence.speaks for told in listing.clusters[:1] for evidence in told.evidence}
    assert causes[Cause.CORRUPTION] is causes[Cause.LABEL] is causes[Cause.GAP] is causes[Cause.AMBIGUITY] is Speaks.CANNOT_SAY
    assert causes[Cause.SHIFT] is Speaks.FOR
    assert np.isclose(sum(len(told.cluster.failures) for told in listing.clusters), 16)


@pytest.fixture
def store_of_vectors() -> SqliteStore:
    return SqliteStore(":memory:")


@pytest.fixture
def make_alarm() -> Callable[..., Alarm]:
    from service.records import Alarm, AlarmState, Family, Measured, Severity

    def make(id: str, *, monitor: str, window_start: float) -> Alarm:
        return Alarm(
            id=id, monitor=monitor, segment="all", family=Family.INPUT, reference_version=1, kind="new content", severity=Severity.WARNING,
            state=AlarmState.OPEN, at_sample=100, at_sequence=4, opened=1_510.0, window_samples=64, window_start=window_start,
            effect=Measured(0.2, 0.1, 0.3), novel_share=Measured(0.1, 0.05, 0.2), channel="content", version=1,
        )  # fmt: skip

    return make
