"""The refresh cycle over a real store, with small models: from an alarm to a rebase, whatever is repeated or lost in between."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.typing import NDArray

from detectors.selection.assessment import Verdict
from service import annotation
from service.adapters.sqlite import SqliteStore
from service.controller import Controller
from service.datasets import DataSets
from service.errors import ConfigurationError, ConflictError, InputError
from service.observe import Silent
from service.ports import Embedded
from service.promotion import Promotion, shortfall
from service.records import (
    Alarm,
    AlarmState,
    AnnotationBatch,
    BatchState,
    Candidate,
    CycleState,
    Label,
    Outcome,
    Output,
    Payload,
    Pooled,
    Purpose,
    RefreshCycle,
    Sample,
)
from service.reference import References
from service.refresher import Refresher
from service.risks import curve
from service.selecting import judging
from service.selecting.asking import is_challenge
from service.selecting.selection import Round
from service.settings import EmbedderSettings, MonitorSettings

if TYPE_CHECKING:
    from tests.service.conftest import Log, World

pytestmark = pytest.mark.long

CLASSES = ("early", "late")


@dataclass(frozen=True)
class Nearest:
    """Embeds vectors as they are and answers by the class of the nearest topic that it knows."""

    fingerprint: str
    topics: NDArray[np.float64]
    late: NDArray[np.bool_]
    dimension: int = 6

    def check(self, payload: Payload) -> None:
        if not isinstance(payload, np.ndarray):
            raise InputError("type", "a vector is needed")

    def embed(self, payloads: Sequence[Payload]) -> Embedded:
        rows = np.stack([np.asarray(payload, np.float32) for payload in payloads])
        distance = ((rows[:, None] - self.topics[None]) ** 2).sum(2)
        logits = -np.stack([distance[:, ~self.late].min(1), distance[:, self.late].min(1)], axis=1)
        return Embedded(rows, logits.astype(np.float32))

    def close(self) -> None:
        """Nothing is open."""


def models(topics: NDArray[np.float64]) -> Mapping[str, Nearest]:
    """By file name: the old model knows twelve topics, the new one all sixteen; the third gets the new ones right and breaks others."""
    late = np.arange(16) >= 6
    flipped = late ^ (np.arange(16) == 0)
    old = Nearest("old", topics[:12], np.arange(12) >= 6)
    return {"old.onnx": old, "new.onnx": Nearest("new", topics, late), "bad.onnx": Nearest("bad", topics, flipped)}


@dataclass
class Site:
    """What the refresher asks of the installation."""

    settings: MonitorSettings
    references: References
    models: Mapping[str, Nearest]
    removed: bool = False

    def effective(self, monitor: str) -> MonitorSettings:
        if self.removed or monitor != "chat":
            raise ConfigurationError(f"no monitor {monitor!r}")
        model, classes = self.references.model(monitor)
        if not model:
            return self.settings
        embedder = self.settings.embedder.with_model(Path(model))
        return self.settings.model_copy(update={"embedder": embedder, "classes": classes})

    def embedder(self, monitor: str) -> Nearest:
        return self.load(self.effective(monitor).embedder)

    def load(self, settings: EmbedderSettings) -> Nearest:
        return self.models[settings.model.name if settings.model else "old.onnx"]


class Bench:
    """A monitor with drift under way, and everything a cycle needs."""

    def __init__(self, world: World, store: SqliteStore, folder: Path, **options: Any) -> None:
        shutil.copytree(world.references._directory, folder / "references")
        embedder = {"model": "old.onnx", "input": "tensor"} if options.pop("tensors", True) else {"input": "none", "dimension": 6}
        document = {
            **world.settings.model_dump(exclude={"embedder"}),
            "embedder": embedder,
            "classes": CLASSES,
            "annotation": {"budget": 32, "destination": "vendor"},
            "selection": {"rounds": 1, "challenge": 8, "audit_share": 0.0, **options.pop("selection", {})},
            "refresh": {"after_samples": 200, "destination": "jobs", **options.pop("refresh", {})},
            **options,
        }
        self.world, self.store, self.folder = world, store, folder
        self.models = models(world.topics)
        self.site = Site(MonitorSettings.model_validate(document), References(folder / "references"), self.models)
        self.data_sets = DataSets(folder)
        self.log: Log = world.log(store, vectors=embedder["input"] == "tensor")
        self.refresher = self.restarted()
        self.promotion = self.promoting()

    def restarted(self) -> Refresher:
        """Another process's refresher on the same state."""
        return Refresher(self.store, self.site.references, self.data_sets, self.site)

    def promoting(self) -> Promotion:
        """The same of what judges models."""
        return Promotion(self.store, self.site.references, self.data_sets, self.site, models=self.folder / "models")

    def controller(self) -> Controller:
        reference = self.site.references.load("chat")
        return Controller(self.site.effective("chat"), reference, self.store, Silent(), follower=self.refresher)

    def drift(self, rows: int = 960) -> Alarm:
        self.log.add(self.world.ordinary(320, 1))
        self.log.add(self.world.drifted(rows, 2, 0.4))
        deciding = self.controller()
        while deciding.step(now=3_000.0):
            pass
        return self.store.find(Alarm)[0]

    def write(self, statement: str) -> None:
        """Straight into the store."""
        with self.store._database.write() as connection:
            connection.execute(statement)

    def cycle(self) -> RefreshCycle:
        (cycle,) = self.store.find(RefreshCycle)
        return cycle

    def batch(self) -> AnnotationBatch:
        return self.store.get(AnnotationBatch, self.cycle().batch)

    def answer(self, *junk: str) -> None:
        """Every candidate of the batch, by its vector; some are no use."""
        batch = self.batch()
        ids = [item.id for item in batch.items if item.id not in junk]
        answers = zip(ids, self.truth(self.vectors(ids)), strict=True)
        labels = [Label("chat", batch.id, sample, label, 4_000.0, "ana") for sample, label in answers]
        labels += [Label("chat", batch.id, sample, None, 4_000.0, "ana", unusable=True) for sample in junk]
        annotation.take_back(self.store, labels, quota=1.0, now=4_001.0)

    def truth(self, rows: NDArray[np.float32]) -> list[str]:
        """What an annotator answers."""
        logits = self.models["new.onnx"].embed(list(rows)).logits
        assert logits is not None
        return [CLASSES[int(i)] for i in logits.argmax(1)]

    def vectors(self, ids: Sequence[str]) -> NDArray[np.float32]:
        kept = {sample.id: sample.payload for sample in self.data_sets.load("chat", "pool").samples}
        return np.stack([np.asarray(kept[sample], np.float32) for sample in ids])

    def golden(self, rows: int = 1_100) -> None:
        vectors = self.world.ordinary(rows, 77)
        samples = [Sample("chat", f"g{i}", 1.0, v, label=t) for i, (v, t) in enumerate(zip(vectors, self.truth(vectors), strict=True))]
        self.data_sets.add("chat", "golden", samples, self.models["old.onnx"], now=1.0)

    def trained(self) -> RefreshCycle:
        """Up to the moment at which a new model is waited for."""
        self.golden()
        self.drift()
        self.answer()
        assert self.refresher.step(now=4_002.0) == 1
        return self.cycle()

    def model(self, name: str) -> Path:
        path = self.folder / name
        path.write_bytes(b"a model")
        return path


@pytest.fixture
def store() -> Iterator[SqliteStore]:
    with closing(SqliteStore(":memory:")) as store:
        yield store


@pytest.fixture
def make_bench(world: World, store: SqliteStore, tmp_path: Path) -> Callable[..., Bench]:
    return lambda **options: Bench(world, store, tmp_path, **options)


@pytest.fixture
def bench(make_bench: Callable[..., Bench]) -> Bench:
    return make_bench()


@pytest.fixture
def refitted(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """New versions take over what the first one learned: fitting is tested where it is written."""

    def fit(rows: NDArray[np.float32], **_: object) -> object:
        return replace(world.reference.model, held_out=np.ones(len(rows), np.bool_))

    monkeypatch.setattr("service.reference.fit_model", fit)


@contextmanager
def dying(monkeypatch: pytest.MonkeyPatch, part: object, method: str) -> Iterator[None]:
    """The process ends where the part's method is called."""

    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(part, method, die)
        with pytest.raises(KeyboardInterrupt):
            yield


# --- opening ---------------------------------------------------------------------------------------------------------


def test_an_alarm_opens_one_cycle_with_a_batch_that_leaves(bench: Bench) -> None:
    alarm = bench.drift()
    cycle, batch = bench.cycle(), bench.batch()
    assert (cycle.opened_by, cycle.state, cycle.reference_version) == (alarm.id, CycleState.ANNOTATING, 1)
    assert batch.state is BatchState.SENT
    assert 8 < len(batch.items) <= 40
    assert [(item.kind, item.destination) for item in bench.store.outbox()] == [("annotation.batch", "vendor")]

    for refresher in (bench.refresher, bench.restarted()):
        refresher.follow(alarm, samples=900, now=3_100.0)
        refresher.follow(alarm, samples=5_000, now=3_200.0)
    assert bench.cycle() == cycle


def test_a_young_drift_is_given_time(bench: Bench) -> None:
    alarm = bench.drift(rows=160)
    bench.refresher.follow(alarm, samples=199, now=3_000.0)
    assert bench.store.find(RefreshCycle) == []
    bench.refresher.follow(alarm, samples=200, now=3_000.0)
    assert bench.store.find(RefreshCycle) != []


def test_a_drift_without_candidates_is_tried_again_later(bench: Bench) -> None:
    alarm = bench.drift(rows=160)
    bench.write("DELETE FROM pool")
    bench.refresher.follow(alarm, samples=200, now=3_000.0)
    assert bench.store.find(RefreshCycle) == []

    bench.log.add(bench.world.new(320, 9))
    bench.refresher.follow(alarm, samples=327, now=3_000.0)
    assert bench.store.find(RefreshCycle) == []
    bench.refresher.follow(alarm, samples=328, now=3_000.0)
    assert bench.cycle().opened_by == alarm.id


def test_a_cancelled_cycle_is_not_opened_again_by_itself(bench: Bench) -> None:
    from service import refresh

    alarm = bench.drift()
    refresh.cancel(bench.store, bench.cycle().id, actor="ana", now=3_100.0)
    bench.restarted().follow(alarm, samples=5_000, now=3_200.0)
    assert bench.cycle().state is CycleState.CANCELLED

    again = bench.refresher.open("chat", alarm.id, now=3_300.0)
    assert (again.attempt, again.state) == (2, CycleState.ANNOTATING)
    assert bench.refresher.open("chat", alarm.id, now=3_400.0) == again


def test_a_request_is_for_the_strongest_alarm_and_needs_one(bench: Bench) -> None:
    with pytest.raises(ConflictError, match="no open alarm"):
        bench.refresher.open("chat", "request", now=1.0)
    alarm = bench.drift()
    opened = bench.refresher.open("chat", "request", now=3_000.0)
    assert opened.opened_by == "request"
    assert {item.segment for item in bench.store.get(AnnotationBatch, opened.batch).items} == {alarm.segment}


def test_without_payloads_nothing_is_opened_and_the_reason_is_said(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(refresh={"automatic": False})
    bench.drift()
    bench.write("UPDATE pool SET payload = NULL, shape = NULL")
    with pytest.raises(InputError, match="keep_payloads: true"):
        bench.refresher.open("chat", "request", now=3_000.0)
    assert bench.store.find(RefreshCycle) == []


def test_the_challenge_set_is_drawn_at_random_from_the_alarms_new_traffic(bench: Bench) -> None:
    alarm = bench.drift()
    rows = {row.id: row for row in bench.store.pool("chat", since=alarm.window_start)}
    drawn = [item for item in bench.batch().items if is_challenge(item)]
    assert len(drawn) == 8
    assert all(item.predicted is None for item in drawn)
    assert np.mean([rows[item.id].novelty for item in drawn]) > np.mean([row.novelty for row in rows.values()])
    ids = [item.id for item in bench.batch().items]
    assert len(set(ids)) == len(ids)

    about = bench.refresher.about("chat", alarm.id)
    drawings = [bench.refresher.selection.propose(about, Round(seed), now=1.0).challenge for seed in "aabcd"]
    assert drawings[0] == drawings[1]
    assert len({frozenset(item.id for item in each) for each in drawings}) == 4


def test_candidates_of_a_segments_alarm_are_of_that_segment(bench: Bench) -> None:
    about = bench.refresher.about("chat", bench.drift().id)
    assert bench.refresher.selection.propose(replace(about, segment="locale=en"), now=1.0).candidates
    assert bench.refresher.selection.propose(replace(about, segment="locale=de"), now=1.0).items == ()


# --- labels ----------------------------------------------------------------------------------------------------------


def test_labels_become_disjoint_train_and_challenge_sets(bench: Bench) -> None:
    cycle = bench.trained()
    assert cycle.state is CycleState.TRAINING
    batch = bench.batch()
    drawn = {item.id for item in batch.items if is_challenge(item)}
    train, challenge = (bench.data_sets.load("chat", role) for role in ("train", "challenge"))
    assert {sample.id for sample in challenge.samples} == drawn
    assert {sample.id for sample in train.samples} == {item.id for item in batch.items} - drawn
    assert [sample.label for sample in train.samples] == bench.truth(np.stack([np.asarray(s.payload) for s in train.samples]))

    (request,) = [item for item in bench.store.outbox() if item.kind == "refresh.requested"]
    assert request.destination == "jobs"
    assert {each["role"] for each in request.payload["data"]["data_sets"]} == {"train", "challenge", "golden"}
    assert bench.refresher.step(now=5_000.0) == 0


def test_labels_that_come_when_the_pool_has_moved_on_still_count(world: World, tmp_path: Path) -> None:
    with closing(SqliteStore(":memory:", pool_rows={"chat": 1_300})) as store:
        bench = Bench(world, store, tmp_path)
        bench.drift()
        ids = {item.id for item in bench.batch().items}
        bench.log.add(world.ordinary(1_600, 50))
        assert not ids & {row.id for row in store.pool("chat")}
        bench.answer()
        bench.refresher.step(now=4_002.0)
        sets = [bench.data_sets.load("chat", "train"), bench.data_sets.load("chat", "challenge")]
        assert {sample.id for each in sets for sample in each.samples} == ids


def test_unusable_answers_train_nothing(bench: Bench) -> None:
    bench.drift()
    batch = bench.batch()
    junk = [item.id for item in batch.items][-1]
    labels = [Label("chat", batch.id, item.id, None if item.id == junk else "late", 1.0, "ana", item.id == junk) for item in batch.items]
    annotation.take_back(bench.store, labels, quota=1.0, now=4_001.0)
    bench.refresher.step(now=4_002.0)
    assert junk not in {sample.id for sample in bench.data_sets.load("chat", "train").samples}


def test_a_crash_between_sets_and_request_publishes_nothing_twice(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.drift()
    bench.answer()

    with dying(monkeypatch, bench.store, "save"):
        bench.refresher.step(now=4_002.0)
    assert bench.cycle().state is CycleState.ANNOTATING

    assert bench.restarted().step(now=4_003.0) == 1
    assert [len(bench.data_sets.versions("chat", role)) for role in ("train", "challenge", "pool")] == [1, 1, 1]
    assert sum(item.kind == "refresh.requested" for item in bench.store.outbox()) == 1


def test_a_cycle_that_cannot_go_on_does_not_hold_up_others(bench: Bench) -> None:
    bench.drift()
    bench.answer()
    bench.site.removed = True
    assert bench.refresher.step(now=4_002.0) == 0
    bench.site.removed = False
    assert bench.refresher.step(now=4_003.0) == 0  # not looked at again at once: a choice takes seconds
    assert bench.refresher.step(now=4_100.0) == 1


# --- verification and rebase -----------------------------------------------------------------------------------------


def test_a_proven_model_is_promoted_and_its_reference_comes_into_force(bench: Bench, refitted: None) -> None:
    cycle = bench.trained()
    promoted = bench.promotion.verify(cycle.id, bench.model("new.onnx"), CLASSES, now=5_000.0)

    assert promoted.state is CycleState.PROMOTED
    assert (promoted.verification or {})["reference_version"] == 2
    reference = bench.site.references.load("chat")
    assert (reference.version, reference.fingerprint) == (2, "new")
    kept, classes = bench.site.references.model("chat")
    assert Path(kept).read_bytes() == b"a model"
    assert Path(kept).parent == bench.folder / "models" / "chat" / cycle.id
    assert classes == CLASSES

    golden, challenge = (bench.data_sets.load("chat", role) for role in ("golden", "challenge"))
    assert {row.part for row in golden.rows if row.sample.id in {sample.id for sample in challenge.samples}} == {"select"}
    assert golden.manifest["fingerprint"] == "new"

    bench.controller()
    (alarm,) = bench.store.find(Alarm)
    assert alarm.state is AlarmState.RESOLVED
    bench.site.references.activate("chat", 1)
    assert bench.site.embedder("chat").fingerprint == "old"


def test_the_new_reference_is_made_of_the_drifted_traffic(bench: Bench, refitted: None) -> None:
    cycle = bench.trained()
    (alarm,) = bench.store.find(Alarm)
    bench.promotion.verify(cycle.id, bench.model("new.onnx"), CLASSES, now=5_000.0)
    since = {row.id for row in bench.store.pool("chat", since=alarm.window_start)}
    assert set(bench.site.references.load("chat").rows.ids) == since


def test_a_model_that_breaks_what_worked_is_rejected(bench: Bench) -> None:
    cycle = bench.trained()
    rejected = bench.promotion.verify(cycle.id, bench.model("bad.onnx"), CLASSES, now=5_000.0)
    assert rejected.state is CycleState.REJECTED
    assert "golden rows broke" in rejected.history[-1].note
    assert bench.site.references.active("chat") == 1
    with pytest.raises(ConflictError, match="rejected"):
        bench.promotion.verify(cycle.id, bench.model("new.onnx"), CLASSES, now=5_001.0)


def test_too_little_to_judge_by_leaves_the_cycle_waiting(bench: Bench, refitted: None) -> None:
    bench.golden(rows=150)
    bench.drift()
    bench.answer()
    bench.refresher.step(now=4_002.0)
    waiting = bench.promotion.verify(bench.cycle().id, bench.model("new.onnx"), CLASSES, now=5_000.0)
    assert waiting.state is CycleState.VERIFYING
    assert "add labelled rows to the golden set" in waiting.history[-1].note

    bench.golden()
    assert bench.promotion.verify(waiting.id, bench.model("new.onnx"), CLASSES, now=5_001.0).state is CycleState.PROMOTED


def test_challenge_rows_of_a_former_drift_do_not_judge(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(selection={"challenge": 0})
    bench.golden()
    golden = bench.data_sets.load("chat", "golden")
    bench.data_sets.add("chat", "challenge", golden.samples[:50], bench.models["old.onnx"], now=1.0)
    waiting = bench.promotion.verify(bench.trained().id, bench.model("new.onnx"), CLASSES, now=5_000.0)
    assert (waiting.verification or {})["verdict"] == "insufficient"
    assert "challenge rows: none that this refresh drew" in waiting.history[-1].note


def test_a_model_is_verified_after_training_was_asked_for(bench: Bench) -> None:
    bench.drift()
    with pytest.raises(ConflictError, match="annotating; a model is verified after training"):
        bench.promotion.verify(bench.cycle().id, bench.model("new.onnx"), CLASSES, now=5_000.0)


def test_a_model_with_other_classes_is_refused(bench: Bench) -> None:
    cycle = bench.trained()
    with pytest.raises(InputError, match="one logit for each of its 3 classes; found 2"):
        bench.promotion.verify(cycle.id, bench.model("new.onnx"), ("a", "b", "c"), now=5_000.0)
    assert bench.cycle().state is CycleState.TRAINING


def test_a_crash_after_the_verdict_is_mended_by_repeating(bench: Bench, refitted: None, monkeypatch: pytest.MonkeyPatch) -> None:
    cycle, model = bench.trained(), bench.model("new.onnx")

    with dying(monkeypatch, bench.site.references, "activate"):
        bench.promotion.verify(cycle.id, model, CLASSES, now=5_000.0)
    assert bench.site.references.active("chat") == 1

    promoted = bench.promoting().verify(cycle.id, model, CLASSES, now=5_001.0)
    assert promoted.state is CycleState.PROMOTED
    assert bench.site.references.active("chat") == 2
    assert len(bench.site.references.versions("chat")) == 2


def test_repeating_an_old_verdict_does_not_undo_a_newer_rebase(bench: Bench, refitted: None) -> None:
    cycle, model = bench.trained(), bench.model("new.onnx")
    bench.promotion.verify(cycle.id, model, CLASSES, now=5_000.0)
    bench.promotion.rebase("chat", since=0.0, now=5_001.0)
    bench.promotion.verify(cycle.id, model, CLASSES, now=5_002.0)
    assert bench.site.references.active("chat") == 3


def test_a_crash_before_the_verdict_leaves_the_old_model_in_force(bench: Bench, refitted: None, monkeypatch: pytest.MonkeyPatch) -> None:
    cycle, model = bench.trained(), bench.model("new.onnx")

    with dying(monkeypatch, bench.store, "save"):
        bench.promotion.verify(cycle.id, model, CLASSES, now=5_000.0)
    assert (bench.cycle().state, bench.site.references.active("chat")) == (CycleState.TRAINING, 1)

    assert bench.promoting().verify(cycle.id, model, CLASSES, now=5_001.0).state is CycleState.PROMOTED
    reference = bench.site.references.load("chat")
    assert (bench.cycle().verification or {})["reference_version"] == reference.version


def test_a_rebase_by_hand_keeps_the_model(bench: Bench, refitted: None) -> None:
    alarm = bench.drift()
    rebased = bench.promotion.rebase("chat", since=alarm.window_start, now=5_000.0)
    assert (rebased.version, rebased.fingerprint, bench.site.references.active("chat")) == (2, "old", 2)
    assert bench.site.references.model("chat") == ("", ())


def test_a_rebase_takes_over_the_answers_of_its_own_model_alone(bench: Bench, refitted: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the old model answered says nothing of how often the new one will say so; what the new one makes of the samples does."""
    cycle, pool = bench.trained(), bench.store.pool

    def answered(monitor: str, *, since: float = 0.0) -> Sequence[Pooled]:
        return [replace(row, output=Output("said")) for row in pool(monitor, since=since)]

    monkeypatch.setattr(bench.store, "pool", answered)
    assert set(bench.promotion.rebase("chat", since=0.0, now=4_500.0).rows.predicted) == {"said"}
    bench.promotion.verify(cycle.id, bench.model("new.onnx"), CLASSES, now=5_000.0)
    assert set(bench.site.references.load("chat").rows.predicted) == set(CLASSES)


def test_vectors_are_their_own_payload(make_bench: Callable[..., Bench], refitted: None) -> None:
    """Monitors whose samples bring their embedding keep nothing else of them."""
    bench = make_bench(tensors=False)
    bench.drift()
    bench.answer()
    assert bench.refresher.step(now=4_002.0) == 1
    kept = bench.data_sets.load("chat", "train").samples[0]
    assert np.asarray(kept.payload).shape == (6,)
    assert bench.promotion.rebase("chat", since=0.0, now=5_000.0).rows.embeddings.shape == (1_280, 6)


@pytest.mark.parametrize(
    ("run_length", "share", "says"),
    [
        (2_000, None, None),
        (None, 1e6, "not the 1,000,000 asked for: it takes "),
        (50_000, 1e6, "not the 50,000 asked for"),
    ],
)
def test_a_reference_too_small_for_what_is_asked_says_how_many_rows_it_takes(
    world: World, run_length: int | None, share: float | None, says: str | None
) -> None:
    detection = world.settings.detection.model_copy(update={"run_length": run_length})
    status = {"streams": [{"segment": "all", "asked_run_length": share}]} if share else {}
    found = shortfall(world.reference, world.settings.model_copy(update={"detection": detection}), status)
    assert (found is None) == (says is None)
    assert says is None or says in str(found)


def test_rows_of_an_imported_pool_are_asked_about_and_their_labels_are_not_believed(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(refresh={"automatic": False}, annotation={"budget": 20, "destination": "vendor"})
    alarm = bench.drift()
    bench.write("DELETE FROM pool WHERE novelty > 0.8")
    rows = bench.world.new(200, 31)
    wrong = [Sample("chat", f"f{i}", 0.0, row, label="early") for i, row in enumerate(rows)]
    embedder = replace(bench.models["old.onnx"], fingerprint=bench.site.references.load("chat").fingerprint)
    bench.data_sets.add("chat", "pool", wrong, embedder, now=1.0, classes=CLASSES)
    bench.refresher.open("chat", alarm.id, now=4_000.0)
    items = bench.batch().items
    asked = {item.id for item in items if item.id.startswith("f")}
    assert len(asked) >= 5
    assert not any(is_challenge(item) for item in items if item.id in asked)

    bench.answer()
    bench.refresher.step(now=4_002.0)
    trained = {sample.id: sample.label for sample in bench.data_sets.load("chat", "train").samples}
    assert {trained[name] for name in asked} == {"late"}


# --- rounds ----------------------------------------------------------------------------------------------------------


def in_rounds(make_bench: Callable[..., Bench], rounds: int = 3) -> Bench:
    bench = make_bench(selection={"rounds": rounds})
    bench.drift()
    return bench


def test_each_round_asks_something_new_until_the_budget_is_out(make_bench: Callable[..., Bench]) -> None:
    bench = in_rounds(make_bench)
    assert bench.refresher.step(now=4_000.0) == 0
    for number in (1, 2, 3):
        batch = bench.batch()
        assert (batch.round, batch.state, len(bench.cycle().earlier)) == (number, BatchState.SENT, number - 1)
        bench.answer()
        assert bench.refresher.step(now=4_002.0 + number) == 1
    cycle = bench.cycle()
    assert (cycle.state, len(cycle.batches)) == (CycleState.TRAINING, 3)
    items = [item for name in cycle.batches for item in bench.store.get(AnnotationBatch, name).items]
    assert len({item.id for item in items}) == len(items) <= 40
    assert sum(is_challenge(item) for item in items) == 8
    assert all(not is_challenge(item) for item in bench.batch().items)
    assert sum(item.kind == "annotation.batch" for item in bench.store.outbox()) == 3
    assert len(bench.data_sets.load("chat", "train").rows) == len(items) - 8


def test_a_crash_between_rounds_neither_loses_nor_doubles_a_batch(
    make_bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = in_rounds(make_bench)
    bench.answer()
    with dying(monkeypatch, bench.store, "save"):
        bench.refresher.step(now=4_002.0)
    assert bench.cycle().earlier == ()

    assert bench.restarted().step(now=4_003.0) == 1
    second = bench.cycle().batch
    assert bench.restarted().step(now=4_004.0) == 0
    assert bench.cycle().batch == second
    assert len(bench.data_sets.versions("chat", "pool")) == 2
    assert sum(item.kind == "annotation.batch" for item in bench.store.outbox()) == 2


def test_whoever_takes_the_same_step_at_the_same_time_is_refused(make_bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch) -> None:
    bench = in_rounds(make_bench)
    bench.answer()
    late, other = bench.refresher, bench.restarted()
    propose = late.selection.propose

    def overtaken(*arguments: Any, **options: Any) -> Any:
        found = propose(*arguments, **options)
        monkeypatch.setattr(late.selection, "propose", propose)
        assert other.step(now=4_002.0) == 1
        return found

    monkeypatch.setattr(late.selection, "propose", overtaken)
    assert late.step(now=4_002.0) == 0
    assert len(bench.cycle().batches) == 2
    assert sum(item.kind == "annotation.batch" for item in bench.store.outbox()) == 2


def test_a_person_ends_the_rounds(make_bench: Callable[..., Bench]) -> None:
    from service import refresh

    bench = in_rounds(make_bench)
    bench.answer()
    bench.refresher.step(now=4_002.0)
    refresh.finish(bench.store, bench.cycle().id, actor="ana", now=4_003.0, note="enough")
    assert bench.batch().state is BatchState.CLOSED
    assert bench.refresher.step(now=4_004.0) == 1
    cycle = bench.cycle()
    assert (cycle.state, cycle.rounds) == (CycleState.TRAINING, 2)


def test_rounds_end_when_the_money_is_spent(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(
        annotation={"budget": 30, "destination": "vendor", "price": 0.5}, selection={"rounds": 3, "cycle_cost": 12.0, "challenge": 4}
    )
    bench.drift()
    for _ in range(3):
        bench.answer()
        bench.refresher.step(now=4_002.0)
    cycle = bench.cycle()
    assert cycle.state is CycleState.TRAINING
    assert sum(len(bench.store.get(AnnotationBatch, name).items) for name in cycle.batches) == 24
    if cycle.rounds < 3:
        assert "limit of money per cycle is reached" in cycle.history[-2].note


def test_why_no_further_batch_was_sent_is_in_the_history_and_why_none_would_be_beside_what_is_shown(
    make_bench: Callable[..., Bench],
) -> None:
    bench = make_bench(selection={"rounds": 3, "challenge": 0, "period_labels": 12})
    alarm = bench.drift()
    for _ in range(2):
        bench.answer()
        bench.refresher.step(now=4_002.0)
    cycle = bench.cycle()
    assert (cycle.state, cycle.rounds, len(cycle.batches)) == (CycleState.TRAINING, 2, 2)
    assert [step.reason for step in cycle.history[-2:]] == ["no further batch is sent", "the labels are in"]
    assert "limit of labels per 30 days is reached (12 of 12 spent); raise selection.period_labels" in cycle.history[-2].note
    shown = bench.refresher.preview(bench.refresher.about("chat", alarm.id), now=4_003.0)
    assert "limit of labels per 30 days is reached" in shown.notes[-1]


def test_a_period_without_budget_opens_nothing_and_says_why(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(selection={"period_labels": 20, "rounds": 1}, refresh={"automatic": False})
    alarm = bench.drift()
    bench.refresher.open("chat", alarm.id, now=4_000.0)
    assert len(bench.batch().items) == 20
    with pytest.raises(InputError, match=r"limit of labels per 30 days is reached \(20 of 20 spent\); raise selection\.period_labels"):
        bench.refresher.open("chat", "another", now=4_001.0)
    assert len(bench.refresher.open("chat", "another", now=4_001.0 + 31 * 86_400).batches) == 1


def test_challenge_figures_are_weighted_by_the_design(make_bench: Callable[..., Bench], refitted: None) -> None:
    bench = make_bench()
    cycle = bench.trained()
    promoted = bench.promotion.verify(cycle.id, bench.model("new.onnx"), CLASSES, now=5_000.0)
    found = (promoted.verification or {})["challenge"]
    drawn = {item.id: item for item in bench.batch().items if is_challenge(item)}
    assert all(0 < (item.inclusion or 0) <= 1 for item in drawn.values())
    assert (found["weighted"], found["rows"], found["rejected"]) == (True, 8, 0)
    assert found["new_accuracy"] == pytest.approx(1.0)
    assert found["gain"]["low"] <= found["gain"]["estimate"] <= found["gain"]["high"]


def test_candidates_that_a_person_chose_make_a_cycle_of_one_batch(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(refresh={"automatic": False})
    bench.drift()
    rows = bench.store.pool("chat")[-5:]
    candidates = [Candidate(row.id, "found by hand", 0.1, "all") for row in rows]
    cycle = bench.refresher.send("chat", "similar-1", candidates, rows, now=4_000.0)
    assert bench.refresher.send("chat", "similar-1", candidates, rows, now=4_001.0) == cycle
    bench.answer()
    assert bench.refresher.step(now=4_002.0) == 1
    assert {sample.id for sample in bench.data_sets.load("chat", "train").samples} == {row.id for row in rows}


def test_what_a_person_chose_is_paid_from_the_same_budgets(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(selection={"period_labels": 6, "rounds": 1}, refresh={"automatic": False})
    bench.drift()
    rows = bench.store.pool("chat")[-7:]
    candidates = [Candidate(row.id, "found by hand", 0.1, "all") for row in rows]
    with pytest.raises(InputError, match=r"7 labels are asked for, and labels per 30 days leave 6 \(0 of 6 are spent\); ask for fewer, or"):
        bench.refresher.send("chat", "similar-1", candidates, rows, now=4_000.0)
    cycle = bench.refresher.send("chat", "similar-2", candidates[:6], rows[:6], now=4_000.0)
    assert bench.refresher.send("chat", "similar-2", candidates[:6], rows[:6], now=4_001.0) == cycle  # sent, so paid, once
    with pytest.raises(InputError, match=r"leave 0 \(6 of 6 are spent\)"):
        bench.refresher.send("chat", "similar-3", candidates[6:], rows[6:], now=4_001.0)


def test_outcomes_are_kept_and_an_audit_is_trained_on_only_if_its_label_shows_no_harm(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(selection={"audit_share": 0.5, "challenge": 4})
    bench.drift()
    audits = [item for item in bench.batch().items if item.purpose is Purpose.AUDIT]
    assert len(audits) == 16
    junk = audits[0].id
    bench.answer(junk)
    bench.refresher.step(now=4_002.0)

    items = {item.id: item for item in bench.batch().items}
    assert items[junk].outcome is Outcome.REJECTED
    assert all((item.outcome is None) == is_challenge(item) for item in items.values())
    trained = {sample.id for sample in bench.data_sets.load("chat", "train").samples}
    kept = {item.id for item in items.values() if item.outcome is Outcome.USABLE and (item.known_risk or 0) <= 0.8}
    assert {item.id for item in audits} & trained == {item.id for item in audits} & kept
    assert curve(bench.store.find(AnnotationBatch)).count == 32


@pytest.mark.parametrize(("checked", "trained"), [(True, 0), (False, 32)])
def test_labels_that_the_checks_refuse_are_left_out_and_counted(
    make_bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch, checked: bool, trained: int
) -> None:
    monkeypatch.setattr(judging, "verdicts", lambda *given: np.full(len(given[1]), Verdict.REFUSED))
    bench = make_bench(selection={"label_checks": checked})
    bench.drift()
    bench.answer()
    bench.refresher.step(now=4_002.0)
    assert bool(bench.data_sets.versions("chat", "train")) == bool(trained)
    assert not trained or len(bench.data_sets.load("chat", "train").rows) == trained
    assert len(bench.data_sets.load("chat", "challenge").rows) == 8
    (request,) = [item for item in bench.store.outbox() if item.kind == "refresh.requested"]
    assert request.payload["data"]["left_out"] == 32 - trained


def test_what_golden_rows_say_by_now_is_not_trained_on(bench: Bench) -> None:
    bench.drift()
    batch = bench.batch()
    bench.answer()
    asked = [item.id for item in batch.items if not is_challenge(item)]
    vectors = bench.vectors(asked[:5]) * np.float32(1.0001)
    golden = [
        Sample("chat", f"g{i}", 1.0, row, label=label) for i, (row, label) in enumerate(zip(vectors, bench.truth(vectors), strict=True))
    ]
    bench.data_sets.add("chat", "golden", golden, bench.world.embedder, now=1.0)
    bench.refresher.step(now=4_002.0)
    assert not {sample.id for sample in bench.data_sets.load("chat", "train").samples} & set(asked[:5])
    (request,) = [item for item in bench.store.outbox() if item.kind == "refresh.requested"]
    assert request.payload["data"]["left_out"] >= 5
