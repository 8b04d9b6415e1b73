"""Suspect labels of data sets: reviewed blind or corrected by hand, and published with where each correction comes from."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Literal

import pytest

from service import annotation, looks
from service.corrections import FILE, corrections_of
from service.errors import ConflictError, InputError
from service.label_checks.events import REVIEWED, told
from service.label_checks.reviews import Reviews, is_review
from service.records import AnnotationBatch, BatchState, Label, Sample
from service.report.mislabelled import Suspect
from tests.service.refresh_bench import CLASSES, Bench

pytestmark = pytest.mark.long


class Desk:
    """A monitor with a set of which some labels are wrong, and whoever reviews them."""

    def __init__(self, bench: Bench, role: Literal["train", "golden"], wrong: int = 4) -> None:
        rows = bench.world.ordinary(120, 5)
        truth = bench.truth(rows)
        other = {"early": "late", "late": "early"}
        given = [other[label] if at < wrong else label for at, label in enumerate(truth)]
        samples = [Sample("chat", f"r{at}", 1.0, row, label=label) for at, (row, label) in enumerate(zip(rows, given, strict=True))]
        bench.data_sets.add("chat", role, samples, bench.models["old.onnx"], now=1.0, classes=CLASSES)
        self.bench, self.role = bench, role
        self.truth = {f"r{at}": label for at, label in enumerate(truth)}
        self.wrong = [f"r{at}" for at in range(wrong)]
        self.reviews = self.restarted()
        suspects = [*range(wrong), 50, 51]
        self.suspects = [
            Suspect(f"r{at}", "", given[at], other[given[at]], 0.9 if at < wrong else 0.3, 0.1, 0.1, 0.5, confident=True) for at in suspects
        ]

    def restarted(self) -> Reviews:
        return Reviews(self.bench.store, self.bench.site.references, self.bench.data_sets, self.bench.site)

    def send(self) -> AnnotationBatch:
        return self.reviews.send("chat", self.role, self.suspects, now=10.0)

    def answer(self, batch: AnnotationBatch, answers: Mapping[str, str | None]) -> AnnotationBatch:
        labels = [Label("chat", batch.id, name, label, 20.0, "rea", unusable=label is None) for name, label in answers.items()]
        annotation.take_back(self.bench.store, labels, quota=1.0, now=21.0)
        return self.bench.store.get(AnnotationBatch, batch.id)

    def labels(self, version: int | None = None) -> dict[str, str | None]:
        return {sample.id: sample.label for sample in self.bench.data_sets.load("chat", self.role, version).samples}


@pytest.mark.parametrize("role", ["train", "golden"])
def test_a_review_is_blind_and_makes_a_version_that_says_why(make_bench: Callable[..., Bench], role: Literal["train", "golden"]) -> None:
    desk = Desk(make_bench(), role)
    batch = desk.send()
    assert (batch.cycle, batch.state, is_review(batch)) == ("", BatchState.SENT, True)
    (item,) = [item for item in desk.bench.store.outbox() if item.kind == "annotation.batch"]
    assert all(shown["predicted"] is shown["risk"] is shown["reason"] is None for shown in item.payload["candidates"])
    assert "truth" not in json.dumps(item.payload)
    assert desk.send() == batch
    before = desk.bench.data_sets.load("chat", role)

    assert desk.reviews.tend(["chat"], now=15.0) == 0
    desk.answer(batch, {item.id: desk.truth[item.id] for item in batch.items})
    assert desk.reviews.tend(["chat"], now=22.0) == 1
    after = desk.bench.data_sets.load("chat", role)
    assert (after.version, after.manifest["corrects"]) == (2, 1)
    assert desk.labels() == desk.truth
    assert [row.part for row in after.rows] == [row.part for row in before.rows]
    assert (after.embeddings == before.embeddings).all()
    assert FILE in after.manifest["files"]
    made = corrections_of(desk.bench.data_sets, after)
    assert {each.id: (each.before, each.after) for each in made} == {name: (desk.labels(1)[name], desk.truth[name]) for name in desk.wrong}
    assert all((each.source, each.by, each.probability) == (batch.id, "rea", 0.9) for each in made)
    assert corrections_of(desk.bench.data_sets, before) == ()
    assert not looks.met(desk.bench.store, desk.bench.data_sets, "chat", "verify")  # chosen and answered without a model

    assert desk.reviews.tend(["chat"], now=23.0) == desk.restarted().tend(["chat"], now=24.0) == 0
    assert desk.reviews.publish(desk.bench.store.get(AnnotationBatch, batch.id), now=25.0) is None
    (event,) = [event for event in desk.bench.store.events("chat") if event.kind == REVIEWED]
    assert told(event) == f"4 of 6 labels of the {role} set corrected in version 2"


def test_a_review_that_others_send_and_answer_between_two_looks_is_published_once(make_bench: Callable[..., Bench]) -> None:
    desk = Desk(make_bench(), "train")
    leader = desk.restarted()
    assert leader.tend(["chat"], now=5.0) == 0
    batch = desk.send()
    desk.answer(batch, {item.id: desk.truth[item.id] for item in batch.items})
    assert leader.tend(["another"], now=30.0) == 0
    assert [leader.tend(["chat"], now=31.0 + look) for look in range(3)] == [1, 0, 0]
    assert desk.labels() == desk.truth


def test_rows_of_no_class_are_told_and_stay(make_bench: Callable[..., Bench]) -> None:
    desk = Desk(make_bench(), "golden")
    batch = desk.answer(batch := desk.send(), {item.id: None for item in batch.items})
    made = desk.reviews.publish(batch, now=30.0)
    assert made
    assert (made.version, made.corrections, set(made.useless)) == (1, (), {one.id for one in desk.suspects})


def test_labels_that_changed_meanwhile_are_left_as_they_are(make_bench: Callable[..., Bench]) -> None:
    desk = Desk(make_bench(), "train")
    batch = desk.send()
    desk.reviews.correct("chat", "train", {desk.wrong[0]: desk.truth[desk.wrong[0]]}, source="by.jsonl", actor="ana", now=12.0)
    batch = desk.answer(batch, {item.id: desk.truth[item.id] for item in batch.items})
    made = desk.reviews.publish(batch, now=30.0)
    assert made
    assert (made.version, {each.id for each in made.corrections}) == (3, set(desk.wrong[1:]))


def test_an_ordinary_batch_is_no_review(make_bench: Callable[..., Bench]) -> None:
    desk = Desk(make_bench(), "train")
    desk.bench.drift()
    with pytest.raises(ConflictError, match="is no review of labels"):
        desk.reviews.publish(desk.bench.batch(), now=1.0)


def test_corrections_by_hand_count_as_a_look_once_golden_has_judged_a_model(make_bench: Callable[..., Bench]) -> None:
    desk = Desk(make_bench(), "golden")
    store, sets = desk.bench.store, desk.bench.data_sets
    verify = [row.sample.id for row in sets.load("chat", "golden").rows if row.part == "verify"]
    one, two = verify[0], verify[1]
    other = {"early": "late", "late": "early"}
    made = desk.reviews.correct("chat", "golden", {one: other[str(desk.labels()[one])]}, source="by.jsonl", actor="ana", now=2.0)
    assert (made.version, made.spent) == (2, ())
    looks.spend(store, sets.load("chat", "golden"), "verify", subject="a model", actor="ana", now=3.0)
    made = desk.reviews.correct("chat", "golden", {two: other[str(desk.labels()[two])]}, source="by.jsonl", actor="ana", now=4.0)
    assert (made.version, made.spent) == (3, ("verify",))
    assert len(looks.met(store, sets, "chat", "verify")) == 2
    assert looks.met(store, sets, "chat", "calibrate") == []


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        ({"nobody": "early"}, "1 ids are not in train set 1, such as 'nobody'"),
        ({"r1": "latte"}, "'latte' is none of the monitor's classes"),
    ],
)
def test_corrections_that_can_not_be_are_refused(make_bench: Callable[..., Bench], labels: dict[str, str], says: str) -> None:
    desk = Desk(make_bench(), "train")
    with pytest.raises(InputError, match=says):
        desk.reviews.correct("chat", "train", labels, source="by.jsonl", actor="ana", now=2.0)


def test_corrections_that_change_nothing_make_no_version(make_bench: Callable[..., Bench]) -> None:
    desk = Desk(make_bench(), "train")
    given = str(desk.labels()["r9"])
    assert desk.reviews.correct("chat", "train", {"r9": given}, source="by.jsonl", actor="ana", now=2.0).version == 1


def test_what_a_review_asks_is_paid_from_the_period(make_bench: Callable[..., Bench]) -> None:
    desk = Desk(make_bench(selection={"period_labels": 3}), "train")
    with pytest.raises(InputError, match="6 labels are asked for, and labels per 30 days leave 3"):
        desk.send()


def test_a_wrong_answer_to_a_right_label_is_not_believed(make_bench: Callable[..., Bench]) -> None:
    desk = Desk(make_bench(), "train")
    sure = replace(desk.suspects[-1], probability=0.05)
    batch = desk.reviews.send("chat", "train", [sure], now=10.0)
    batch = desk.answer(batch, {sure.id: sure.suggested})
    made = desk.reviews.publish(batch, now=30.0)
    assert made is not None
    assert made.corrections == ()
