"""A promoted model in production: seen by its first record, watched by late labels, and taken back."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from service import refresh
from service.adapters.memory import ListSource
from service.cycles.news import of_cycle
from service.describing import Replies, Taken
from service.errors import ConflictError
from service.observe import Silent
from service.promotion.steps import Reason
from service.promotion.watching import FIRST_LABELS, shortfall
from service.records import Alarm, Artefact, CycleState, Judgement, Output, Partition, Record, RefreshCycle, Sample
from service.watched import Known, WatchedMonitor
from service.worker import Worker
from tests.service.refresh_bench import CLASSES, Bench

if TYPE_CHECKING:
    from tests.service.conftest import World

pytestmark = pytest.mark.long

PROMOTED_AT = 5_001.0


@pytest.fixture
def deploying(bench: Bench, refitted: None) -> Bench:
    """A model whose promotion has been announced."""
    bench.trained()
    bench.promotion.promote(bench.judged("new.onnx").id, actor="ana", now=PROMOTED_AT)
    return bench


def arrive(bench: Bench, topic: str, time: float, *versions: str | None) -> None:
    """Records of a topic, taken by a worker."""
    log = Partition(topic, "feed")
    outputs = [Output("late", model_version=version) if version else None for version in versions]
    vectors = bench.world.drifted(len(versions), 5, 0.4)
    samples = [
        Sample("chat", f"{topic}{n}", time + n, vector, {}, output) for n, (vector, output) in enumerate(zip(vectors, outputs, strict=True))
    ]
    records = [Record(log, n, time + n, (sample,)) for n, sample in enumerate(samples)]
    monitor = WatchedMonitor(bench.site.effective("chat"), bench.site.embedder("chat"))
    worker = Worker(ListSource(records, partitions=[log]), bench.store, {"chat": monitor}, Silent())
    while not worker.ended:
        worker.step(0.0)


# --- the first record ---------------------------------------------------------------------------------------------


def test_the_reference_follows_the_first_record_that_carries_the_version(deploying: Bench) -> None:
    arrive(deploying, "before", PROMOTED_AT - 100, "m2", "m2")  # a trial before the promotion
    arrive(deploying, "after", PROMOTED_AT + 1, "m1", None, "m1")
    assert deploying.promotion.step(now=PROMOTED_AT + 10) == 0
    assert deploying.cycle().state is CycleState.DEPLOYING

    arrive(deploying, "first", PROMOTED_AT + 20, "m1", "m2")
    assert deploying.promotion.step(now=PROMOTED_AT + 12) == 0  # looked at a moment ago
    assert deploying.promotion.step(now=PROMOTED_AT + 3_000) == 1
    assert (deploying.cycle().history[-1].reason, deploying.cycle().history[-1].note) == (Reason.SEEN, "version m2")
    assert deploying.promotion.step(now=PROMOTED_AT + 3_001) == 1
    assert (deploying.cycle().state, deploying.site.references.active("chat")) == (CycleState.PROMOTED, 2)


def test_what_another_model_answers_afterwards_is_counted_and_not_mixed_in(world: World) -> None:
    known = Known.of(world.reference)
    settings = world.settings.model_copy(update={"classes": CLASSES})
    monitor = WatchedMonitor(settings, world.embedder, known, model_version="m2")
    outputs = [Output("late", model_version="m2"), Output("early", model_version="m1"), Output("early"), None]
    taken = [
        Taken(Sample("chat", f"s{n}", 0.0, np.zeros(6, np.float32)), np.zeros(6, np.float32), each, n, 0.0)
        for n, each in enumerate(outputs)
    ]
    replies = Replies.of(monitor, taken)
    assert (list(replies.predicted), replies.others) == (["late", "", "early", ""], 1)
    assert Replies.of(WatchedMonitor(settings, world.embedder, known), taken).others == 0
    assert list(Replies.of(monitor, taken[1:2]).predicted) == [""]


# --- late labels --------------------------------------------------------------------------------------------------


def promoted(**figures: Any) -> RefreshCycle:
    sets = {"golden": {"rows": 1_000, "new_accuracy": 0.97}, "challenge": {"rows": 100, "new_accuracy": 0.9}, **figures}
    return RefreshCycle(
        "c1", "chat", 1, "a1", 1, CycleState.PROMOTED, 0.0, verification={**sets, "reference_version": 2, "replaced_reference": 1},
        served=Artefact("models/m", "ab" * 32, CLASSES, "m2", 0.0),
    )  # fmt: skip


class Labels:
    """As much of a store as late labels take."""

    def __init__(self, right: list[bool], version: int = 2) -> None:
        self.found = [
            Judgement("chat", f"s{n}", "a", "a" if each else "b", math.nan, {}, 0, version, 1.0, 2.0) for n, each in enumerate(right)
        ]

    def judgements(self, _monitor: str, **_: object) -> list[Judgement]:
        return self.found


def short(right: list[bool], version: int = 2, **figures: Any) -> str:
    return shortfall(Labels(right, version), promoted(**figures))  # type: ignore[arg-type] # asks for nothing else


def test_labels_that_bear_the_promise_out_propose_nothing() -> None:
    assert not short([True] * 90 + [False] * 10)
    assert not short([False] * (FIRST_LABELS - 1))
    assert not short([False] * 200, version=1)
    assert not short([True, False] * 200, golden=None, challenge=None)


def test_labels_that_surely_fall_short_say_by_how_much() -> None:
    assert short([True, False] * 40).startswith("32 of 64 late labels bear its answers out (50.0%, at most ")
    assert "promised were at least 8" in short([True, False] * 40)
    assert short([True] * 40 + [False] * 24, challenge=None)


@pytest.mark.parametrize("accuracy", [0.9, 0.97])
def test_a_model_that_keeps_its_promise_is_rarely_said_to_fall_short(accuracy: float) -> None:
    """At most 5 % over all looks; bounds that keep apart from each other err far less."""
    rng, said = np.random.default_rng(5), 0
    for _ in range(200):
        challenge = float(rng.binomial(100, accuracy)) / 100
        labels = (rng.random(1_024) < accuracy).tolist()
        looks = (FIRST_LABELS << k for k in range(5))
        said += any(short(labels[:count], golden=None, challenge={"rows": 100, "new_accuracy": challenge}) for count in looks)
    assert said <= 10


def test_a_shortfall_is_told_once_and_proposes_a_revert(
    make_bench: Callable[..., Bench], refitted: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = make_bench(refresh={"promotion": "automatic", "rebase": "at_once"})
    bench.trained()
    cycle = bench.judged("new.onnx")
    found = Labels([False] * 128).found
    monkeypatch.setattr(bench.store, "judgements", lambda *_, **__: found)
    assert bench.promotion.step(now=6_000.0) == 1
    after = bench.cycle()
    assert (after.state, after.history[-1].reason) == (CycleState.PROMOTED, Reason.SHORT)
    assert f"`driftgate refresh revert {cycle.id}`" in after.history[-1].note
    assert bench.promotion.step(now=7_000.0) == 0
    items = [item for item in bench.store.outbox() if item.kind == "refresh.shortfall"]
    assert [item.payload["data"]["reasons"] for item in items] == [[after.history[-1].note]]
    (news,) = [each for each in of_cycle(after) if each.kind == "refresh.shortfall"]
    assert news.todo == f"`driftgate refresh revert {cycle.id}`"


# --- taking it back -----------------------------------------------------------------------------------------------


@pytest.fixture
def serving(make_bench: Callable[..., Bench], refitted: None) -> Bench:
    bench = make_bench(refresh={"promotion": "automatic", "rebase": "at_once"})
    bench.trained()
    assert bench.judged("new.onnx").state is CycleState.PROMOTED
    return bench


def test_a_promoted_model_is_reverted_with_its_reference(serving: Bench) -> None:
    assert serving.site.embedder("chat").fingerprint == "new"
    reverted = serving.promotion.revert(serving.cycle().id, actor="ana", now=6_000.0, note="complaints")
    assert (reverted.state, reverted.history[-1].note) == (CycleState.REVERTED, "complaints")
    assert serving.site.references.active("chat") == 1
    assert serving.site.embedder("chat").fingerprint == "old"
    (item,) = [item for item in serving.store.outbox() if item.kind == "refresh.reverted"]
    assert item.payload["type"] == "io.driftgate.refresh.reverted"
    assert item.payload["data"]["model"]["version"] == "m2"
    assert item.payload["data"]["back_to"] == {"reference_version": 1, "model": None}
    assert serving.promotion.revert(reverted.id, actor="bob", now=6_001.0) == reverted
    assert serving.promotion.step(now=7_000.0) == 0
    assert serving.site.references.active("chat") == 1


def test_a_revert_that_was_cut_short_is_repeated(serving: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(serving.store, "save", full)
        with pytest.raises(KeyboardInterrupt):
            serving.promotion.revert(serving.cycle().id, actor="ana", now=6_000.0)
    assert serving.promotion.revert(serving.cycle().id, actor="ana", now=6_001.0).state is CycleState.REVERTED
    assert serving.site.references.active("chat") == 1


def test_a_reverted_model_goes_with_references_that_were_made_on_it_since(serving: Bench) -> None:
    serving.promotion.rebase("chat", since=0.0, now=5_500.0)
    assert serving.site.references.active("chat") == 3
    serving.promotion.revert(serving.cycle().id, actor="ana", now=6_000.0)
    assert serving.site.references.active("chat") == 1


def test_a_model_on_its_way_is_reverted_before_anything_follows(deploying: Bench) -> None:
    cycle = deploying.cycle()
    reverted = deploying.promotion.revert(cycle.id, actor="ana", now=PROMOTED_AT + 5)
    assert reverted.state is CycleState.REVERTED
    assert deploying.site.references.active("chat") == 1
    assert [item.kind for item in deploying.store.outbox()].count("refresh.reverted") == 1
    arrive(deploying, "late", PROMOTED_AT + 20, "m2")
    assert deploying.promotion.step(now=PROMOTED_AT + 30) == 0
    assert deploying.site.references.active("chat") == 1


def test_a_model_on_its_way_is_not_cancelled_without_a_word_to_production(deploying: Bench) -> None:
    cycle = deploying.cycle()
    with pytest.raises(ConflictError, match=f"is deploying: production was asked .* `driftgate refresh revert {cycle.id}`"):
        refresh.cancel(deploying.store, cycle.id, actor="bob", now=PROMOTED_AT + 5)
    assert deploying.cycle() == cycle


def test_a_revert_while_the_reference_is_built_wins(deploying: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    cycle, build = deploying.promotion.deployed(deploying.cycle().id, actor="ana", now=PROMOTED_AT + 1), deploying.site.references.build

    def built(*given: Any, **options: Any) -> Any:
        deploying.promoting().revert(cycle.id, actor="bob", now=PROMOTED_AT + 2)
        return build(*given, **options)

    monkeypatch.setattr(deploying.site.references, "build", built)
    assert deploying.promotion.step(now=PROMOTED_AT + 3) == 0
    assert deploying.cycle().state is CycleState.REVERTED
    assert deploying.site.references.active("chat") == 1


def test_a_model_that_a_later_cycle_began_with_is_not_taken_from_under_it(serving: Bench) -> None:
    cycle = serving.cycle()
    later = replace(cycle, id="later", created=cycle.created + 1, state=CycleState.TRAINING, model=None, served=None, version=1)
    serving.store.save(later)
    with pytest.raises(ConflictError, match=r"refresh cycle later \(training\) was opened on this one's model"):
        serving.promotion.revert(cycle.id, actor="ana", now=6_000.0)
    assert serving.site.references.active("chat") == 2
    serving.store.save(replace(later, state=CycleState.CANCELLED, version=2))
    assert serving.promotion.revert(cycle.id, actor="ana", now=6_001.0).state is CycleState.REVERTED


def test_only_what_was_promoted_can_be_reverted(bench: Bench) -> None:
    bench.trained()
    with pytest.raises(ConflictError, match="training; a model is reverted after its promotion"):
        bench.promotion.revert(bench.cycle().id, actor="ana", now=6_000.0)
    assert bench.store.find(Alarm)
