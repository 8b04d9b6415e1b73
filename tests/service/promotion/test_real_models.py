"""Real ONNX files: those that can't be used are told apart in words, the others are served behind a switch where that is asked for."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from service import refresh
from service.adapters.onnx_embedder import OnnxEmbedder, load_embedder
from service.adapters.sqlite import SqliteStore
from service.datasets import PARTS, DataSets, Part
from service.ports import Embedder
from service.promotion import Given, Promotion, Shelf
from service.promotion.steps import Reason
from service.records import CycleState, RefreshCycle
from service.reference import References
from service.settings import EmbedderSettings, MonitorSettings
from service.switching.certificate import metadata, read
from service.switching.graph import heads
from tests.service.switching.conftest import CENTRES, CLASSES, model_file, samples

pytestmark = pytest.mark.long

NEW = ("new", "card", "account", "loan", "rates", "travel")


@dataclass
class Place:
    """What promotion asks of an installation, over real models and without references."""

    settings: MonitorSettings
    loaded: dict[EmbedderSettings, Embedder] = field(default_factory=dict)

    def effective(self, monitor: str) -> MonitorSettings:
        assert monitor == "chat"
        return self.settings

    def embedder(self, monitor: str) -> Embedder:
        return self.load(self.effective(monitor).embedder)

    def load(self, settings: EmbedderSettings) -> Embedder:
        if settings not in self.loaded:
            self.loaded[settings] = load_embedder(settings)
        return self.loaded[settings]

    def inputs(self, settings: EmbedderSettings) -> Sequence[str]:
        embedder = self.load(settings)
        assert isinstance(embedder, OnnxEmbedder)
        return embedder.inputs

    def version(self, monitor: str) -> int | None:  # noqa: ARG002 - the protocol's signature
        return None

    def bring_into_force(self, monitor: str, version: int) -> None:
        raise AssertionError(f"no reference {version} of {monitor} is there")

    def serve(self, model: Path, classes: Sequence[str]) -> None:
        """From now on."""
        embedder = self.settings.embedder.with_model(model)
        self.settings = self.settings.model_copy(update={"embedder": embedder, "classes": tuple(classes)})


@dataclass
class Loop:
    """A cycle that waits for its model."""

    folder: Path
    place: Place
    store: SqliteStore
    data_sets: DataSets
    promotion: Promotion

    def golden(self, rows: int = 3_000, among: Sequence[Part] = PARTS) -> None:
        self.data_sets.add("chat", "golden", samples(rows, 1), self.place.embedder("chat"), now=1.0, classes=CLASSES, among=among)

    def waits(self, opened_by: str = "request") -> RefreshCycle:
        cycle = replace(refresh.opened(refresh.Opening("chat", 1, opened_by), now=10.0), state=CycleState.TRAINING)
        self.store.save(cycle)
        drifted = samples(200, len(opened_by), prefix=opened_by, known=6)
        self.data_sets.add("chat", "challenge", drifted, self.place.embedder("chat"), now=20.0, classes=self.place.settings.classes)
        return cycle

    def judged(self, cycle: RefreshCycle, model: Path, version: str = "m2", classes: tuple[str, ...] = ()) -> RefreshCycle:
        self.promotion.register(cycle.id, Given(model, version, classes), actor="trainer", now=30.0)
        return self.promotion.go_on(cycle.id, now=40.0)


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[Callable[..., Loop]]:
    with closing(SqliteStore(":memory:")) as store:

        def make(**options: Any) -> Loop:
            model_file(tmp_path / "old.onnx", CENTRES[:5])
            document = {
                "name": "chat",
                "classes": CLASSES,
                "embedder": {"model": tmp_path / "old.onnx", "input": "tensor", "normalize": False},
                "refresh": {"margin": 0.02, "max_negative_flips": 0.02, **options},
            }
            place, data_sets = Place(MonitorSettings.model_validate(document)), DataSets(tmp_path)
            promotion = Promotion(store, References(tmp_path / "references"), data_sets, place, Shelf(tmp_path))
            return Loop(tmp_path, place, store, data_sets, promotion)

        yield make


def moved(path: Path, amount: float = 0.1, *, vague: float = 0.0) -> Path:
    """A class more, and a little off; how much more where the new class is."""
    centres = CENTRES + amount * np.random.default_rng(4).normal(size=CENTRES.shape)
    centres[5] += vague * (CENTRES[0] - CENTRES[5])
    return model_file(path, centres[[5, 1, 0, 2, 3, 4]], classes='["new", "card", "account", "loan", "rates", "travel"]')


# --- models that can't be used ------------------------------------------------------------------------------------


def rewritten(path: Path, change: Callable[[onnx.ModelProto], None]) -> Path:
    model = onnx.load(moved(path))
    change(model)
    onnx.save(model, path)
    return path


def with_other_input(path: Path) -> Path:
    def change(model: onnx.ModelProto) -> None:
        model.graph.input[0].name = "features"
        model.graph.node[0].input[0] = "features"

    return rewritten(path, change)


def with_two_inputs(path: Path) -> Path:
    def change(model: onnx.ModelProto) -> None:
        model.graph.input.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, ["batch", 1]))

    return rewritten(path, change)


def of_tomorrow(path: Path) -> Path:
    def change(model: onnx.ModelProto) -> None:
        model.opset_import[0].version = 999

    return rewritten(path, change)


def without_logits(path: Path) -> Path:
    def change(model: onnx.ModelProto) -> None:
        del model.graph.output[1]

    return rewritten(path, change)


def without_embedding(path: Path) -> Path:
    def change(model: onnx.ModelProto) -> None:
        del model.graph.output[0]

    return rewritten(path, change)


def not_a_number(path: Path) -> Path:
    def change(model: onnx.ModelProto) -> None:
        bias = np.full(6, np.nan, np.float32)
        model.graph.initializer[2].CopyFrom(numpy_helper.from_array(bias, "bias"))

    return rewritten(path, change)


def of_other_width(path: Path) -> Path:
    """An embedding of three numbers more."""
    model = onnx.load(moved(path))
    wide, narrow = np.eye(8, 11, dtype=np.float32) * 2, np.vstack([CENTRES.T / 2, np.zeros((3, 6))]).astype(np.float32)
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(wide, "twice"))
    model.graph.initializer[1].CopyFrom(numpy_helper.from_array(narrow, "head"))
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 11
    onnx.save(model, path)
    return path


def of_fewer_inputs(path: Path) -> Path:
    """Takes five numbers where the samples have eight."""

    def change(model: onnx.ModelProto) -> None:
        model.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.eye(5, 8, dtype=np.float32), "twice"))
        model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 5

    return rewritten(path, change)


def no_model(path: Path) -> Path:
    path.write_text("<html>404 Not Found</html>")
    return path


def cut_off(path: Path) -> Path:
    path.write_bytes(moved(path).read_bytes()[:300])
    return path


def empty(path: Path) -> Path:
    path.write_bytes(b"")
    return path


@pytest.mark.parametrize(
    ("make", "classes", "says"),
    [
        (no_model, CLASSES, "ONNX"),
        (cut_off, CLASSES, "ONNX"),
        (empty, CLASSES, "ONNX"),
        (no_model, (), "no ONNX model"),
        (of_tomorrow, (), "opset"),
        (with_other_input, (), "it is fed as features, the model in force as x"),
        (of_fewer_inputs, (), "used: vector: shape (8,); the model takes (5,), or 5 numbers"),
        (with_two_inputs, (), "takes a model with one input, found 2"),
        (without_logits, (), "one logit for each of its 6 classes; found none"),
        (without_embedding, (), "no output 'embedding'"),
        (not_a_number, (), "not finite"),
        (of_other_width, (), "its embedding has 11 numbers, the one in force 8"),
        (moved, ("a", "b"), "one logit for each of its 2 classes; found 6"),
    ],
)
def test_a_model_that_can_not_be_used_is_told_why(
    loop: Callable[..., Loop], make: Callable[[Path], Path], classes: tuple[str, ...], says: str
) -> None:
    site = loop()
    site.golden(60)
    waiting = site.waits()
    refused = site.judged(waiting, make(site.folder / "candidate.onnx"), classes=classes)
    assert (refused.state, refused.model) == (CycleState.TRAINING, None)
    assert refused.history[-1].reason == Reason.UNUSABLE
    (reason,) = (refused.verification or {})["reasons"]
    assert reason.startswith("the model can't be used: ")
    assert says in reason
    assert site.place.settings.embedder.model == site.folder / "old.onnx"
    assert site.judged(refused, moved(site.folder / "good.onnx")).state is CycleState.VERIFYING  # golden is small; the cycle goes on


def test_a_model_with_external_weights_comes_as_an_archive(loop: Callable[..., Loop]) -> None:
    site = loop()
    site.golden()
    model = onnx.load(moved(site.folder / "inline.onnx"))
    onnx.save(model, site.folder / "net.onnx", save_as_external_data=True, location="net.onnx.data", size_threshold=0)
    archive = site.folder / "model.tar"
    with tarfile.open(archive, "w") as packed:
        for name in ("net.onnx", "net.onnx.data"):
            packed.add(site.folder / name, f"./{name}")
        packed.addfile(tarfile.TarInfo("classes.txt"), io.BytesIO())
    verified = site.judged(site.waits(), archive)
    assert verified.state is CycleState.VERIFIED, verified.history[-1]
    assert verified.model is not None
    assert verified.model.classes == NEW


# --- behind a switch ----------------------------------------------------------------------------------------------


def test_what_is_verified_is_the_switch_that_will_be_served(loop: Callable[..., Loop]) -> None:
    site = loop(serve="switch")
    site.golden()
    verified = site.judged(site.waits(), moved(site.folder / "candidate.onnx"))
    assert verified.state is CycleState.VERIFIED, verified.history[-1]
    model, served = verified.model, verified.served
    assert model is not None
    assert served is not None
    assert served.path == f"{Path(model.path).parent}/switch/model.onnx"
    assert (served.version, served.classes) == ("m2", NEW)
    path = site.promotion.shelf.path(served)
    certificate = read(path)
    assert heads(metadata(path)) == 2
    told = (verified.verification or {})["switch"]
    assert (told["alpha"], told["threshold"], told["heads"]) == (0.02, certificate.threshold, 2)
    assert verified.history[-2].note.startswith("a switch: at most 2.00% of answers break")
    assert "served_new" in [each.name for each in ort.InferenceSession(str(path)).get_outputs()]
    assert (verified.verification or {})["golden"]["negative_flips"] <= (verified.verification or {})["golden"]["rows"] * 0.02
    promoted = site.promotion.promote(verified.id, actor="ana", now=50.0)
    assert promoted.state is CycleState.DEPLOYING


def test_the_next_old_model_is_the_switch_and_a_third_head_is_not_nested(loop: Callable[..., Loop]) -> None:
    site = loop(serve="switch", promotion="automatic", destination="jobs")
    site.golden(4_500)
    first = site.judged(site.waits(), moved(site.folder / "candidate.onnx", vague=-0.5))
    assert first.state is CycleState.DEPLOYING, first.history[-1]
    assert first.served is not None
    site.place.serve(site.promotion.shelf.path(first.served), first.served.classes)

    second = site.judged(site.waits("second"), moved(site.folder / "third.onnx", 0.02), "m3")
    assert second.state is CycleState.VERIFIED, second.history[-1]  # a person's word is waited for though promotion is automatic
    assert second.served is not None
    assert second.model is not None
    assert second.served.path == second.model.path
    found = second.verification or {}
    flips, rows = found["golden"]["negative_flips"], found["golden"]["rows"]
    reason = found["full_replacement"]
    assert reason in found["reasons"]
    assert "a switch of 2 models, and no more than 2 stand behind one another" in reason
    assert f"of {rows:,} golden rows {flips:,} that are answered right today would break" in reason
    events = [item.payload["data"] for item in site.store.outbox() if item.kind == "refresh.verified"]
    assert [reason in event.get("full_replacement", "") for event in sorted(events, key=lambda event: event["model"]["version"])] == [
        False,
        True,
    ]
    assert site.promotion.promote(second.id, actor="ana", now=60.0).state is CycleState.DEPLOYING


@pytest.mark.parametrize(("fallback", "state"), [("plain", CycleState.VERIFIED), ("reject", CycleState.REJECTED)])
def test_without_a_certified_switch_the_policy_decides(loop: Callable[..., Loop], fallback: str, state: CycleState) -> None:
    site = loop(serve="switch", switch_fallback=fallback)
    site.golden(among=("select", "verify"))
    ended = site.judged(site.waits(), moved(site.folder / "candidate.onnx"))
    assert ended.state is state, ended.history
    assert "no switch can be certified" in " ".join(step.note for step in ended.history)
    if state is CycleState.VERIFIED:
        assert "golden's calibrate part has 0 rows" in (ended.verification or {})["no_switch"]
        assert ended.served is not None
        assert ended.model is not None
        assert ended.served.checksum == ended.model.checksum


def test_a_model_that_breaks_too_much_at_every_threshold_is_not_served_behind_one(loop: Callable[..., Loop]) -> None:
    site = loop(serve="switch", switch_fallback="reject")
    site.golden()
    bad = model_file(site.folder / "bad.onnx", 40 * CENTRES[[1, 0, 2, 3, 4]])
    ended = site.judged(site.waits(), bad)
    assert ended.state is CycleState.REJECTED
    assert "no threshold keeps what breaks below 2.00%" in ended.history[-1].note
    assert (ended.verification or {})["verdict"] == "reject"


def test_a_switch_that_somebody_built_is_served_as_it_is(loop: Callable[..., Loop]) -> None:
    site = loop(serve="switch")
    site.golden(4_500)
    first = site.judged(site.waits(), moved(site.folder / "candidate.onnx"))
    assert first.served is not None
    built = site.promotion.shelf.path(first.served)
    second = site.judged(site.waits("second"), built, "m3")
    assert second.state is CycleState.VERIFIED, second.history[-1]
    assert (second.history[-2].note, second.served and second.served.run["serve"]) == (
        "the model itself, which is a switch already",
        "plain",
    )
    assert second.served is not None
    assert read(site.promotion.shelf.path(second.served)).alpha == 0.02  # its certificate came along
