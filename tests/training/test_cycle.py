"""`driftgate train` and `driftgate refresh reproduce` on a cycle of an installation, as people type them."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator
from contextlib import chdir
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import structlog
import yaml
from typer.testing import CliRunner, Result

pytest.importorskip("torch")

from service import refresh
from service.app import Installation, opened
from service.cli.application import app
from service.datasets import DataSets, Role, payload_field
from service.records import AnnotationBatch, BatchState, Candidate, CycleState, RefreshCycle, Sample, Step
from service.settings import load
from service.transitions import advance
from tests.training.conftest import KNOWN, NEW, Bench


@dataclass(frozen=True)
class Desk:
    """A folder with a configuration, whose cycle waits for its model."""

    folder: Path
    cycle: str

    @property
    def config(self) -> Path:
        return self.folder / "driftgate.yaml"

    def run(self, *arguments: object, code: int = 0) -> Result:
        with chdir(self.folder):
            result = CliRunner(env={"USER": "ana"}).invoke(app, [str(argument) for argument in arguments])
        assert result.exit_code == code, f"{result.output}\n{result.exception!r}"
        return result

    def json(self, *arguments: object, code: int = 0) -> Any:
        return json.loads(self.run(*arguments, "--json", code=code).stdout)

    def found(self) -> RefreshCycle:
        with opened(load(self.config)) as installation:
            return installation.store.get(RefreshCycle, self.cycle)


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Commands set logging up; tests leave it as they found it."""
    monkeypatch.delenv("DRIFTGATE_CONFIG", raising=False)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


@pytest.fixture
def desk(bench: Bench, tmp_path: Path) -> Desk:
    shutil.copy(str(bench.settings.model), tmp_path / "old.onnx")
    monitor = {"name": "chat", "classes": list(KNOWN), "embedder": {"model": "old.onnx", "input": "tensor", "normalize": False}}
    document = {"directory": "state", "monitors": [monitor], "server": {"port": 0}}
    (tmp_path / "driftgate.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    with opened(load(tmp_path / "driftgate.yaml")) as installation:
        return Desk(tmp_path, waiting(installation, bench).id)


def waiting(installation: Installation, bench: Bench) -> RefreshCycle:
    """Its labels are in, and its data sets there."""
    sets, embedder = installation.data_sets, installation.embedder("chat")
    parts: dict[Role, tuple[Sample, ...]] = {"train": bench.train, "golden": bench.golden, "challenge": bench.challenge}
    made = {role: sets.add("chat", role, rows, embedder, now=1e9, classes=KNOWN) for role, rows in parts.items()}
    opening = refresh.Opening("chat", 1, "request")
    items = tuple(Candidate(key, "new", 0.1, "all") for key in sorted(bench.fresh))
    batch = AnnotationBatch("b1", "chat", opening.cycle, 1, BatchState.CLOSED, items, 1e9, returned=len(items), version=1)
    asked = {"data_sets": [made["train"].cited(), made["challenge"].cited()]}
    cycle = replace(refresh.opened(opening, now=1e9), state=CycleState.TRAINING, batch=batch.id, requested=asked)
    installation.store.save(cycle, batch)
    return cycle


def test_a_cycle_is_trained_and_its_model_registered(desk: Desk) -> None:
    run = desk.json("train", "--cycle", desk.cycle, "--output", "candidate")
    cycle = desk.found()
    assert cycle.state is CycleState.VERIFYING
    assert cycle.model is not None
    assert cycle.model.checksum
    assert cycle.model.classes == (*KNOWN, NEW)
    assert cycle.model.run["data"]["train"]["version"] == 1
    assert run["fresh_rows"] == 40
    assert (desk.folder / "candidate" / "model.onnx").is_file()


def test_a_model_that_was_handed_over_is_said_to_be_and_leaves_nothing_behind(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    said = desk.run("train", "--cycle", desk.cycle).stdout
    assert "wrote" not in said
    assert f"driftgate refresh show {desk.cycle}" in said
    assert "same file, bit for bit: nothing is left to compare" in desk.run("refresh", "reproduce", desk.cycle).stdout
    assert list(scratch.glob("driftgate-*")) == []
    assert "wrote" in desk.run("train", "--cycle", desk.cycle, "--no-register").stdout
    assert len(list(scratch.glob("driftgate-*"))) == 1


def test_a_cycle_that_has_ended_is_not_trained_for(desk: Desk) -> None:
    with opened(load(desk.config)) as installation:
        cycle = installation.store.get(RefreshCycle, desk.cycle)
        installation.store.save(advance(cycle, Step(CycleState.CANCELLED, "not wanted", 2e9)))
    said = desk.run("train", "--cycle", desk.cycle, "--output", "candidate", code=1).output
    assert "is cancelled and takes no model any more" in " ".join(said.split())
    assert not (desk.folder / "candidate").exists()


def test_golden_and_challenge_are_never_opened(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    opened_files: list[str] = []
    plain = Path.open

    def watched(self: Path, *args: Any, **kwargs: Any) -> Any:
        opened_files.append(str(self))
        return plain(self, *args, **kwargs)

    loaded = np.load

    def watched_load(path: Any, **kwargs: Any) -> Any:
        opened_files.append(str(path))
        return loaded(path, **kwargs)

    monkeypatch.setattr(Path, "open", watched)
    monkeypatch.setattr(np, "load", watched_load)
    desk.run("train", "--cycle", desk.cycle, "--output", "candidate", "--no-register")
    rows = [path for path in opened_files if "/datasets/" in path]
    assert any("/train/" in path for path in rows)
    assert [path for path in rows if "/golden/" in path or "/challenge/" in path] == []


def test_a_run_is_reproduced_bit_for_bit(desk: Desk) -> None:
    desk.run("train", "--cycle", desk.cycle)
    found = desk.json("refresh", "reproduce", desk.cycle)
    assert (found["same"], found["identical"], found["differences"]) == (True, True, [])
    assert desk.found().state is CycleState.VERIFYING
    assert "reproduced" in desk.run("refresh", "reproduce", desk.cycle).stdout


def test_what_explains_another_result_is_named(desk: Desk, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.run("train", "--cycle", desk.cycle)
    with opened(load(desk.config)) as installation:
        DataSets(desk.folder / "erased").add("chat", "train", bench.train[60:], installation.embedder("chat"), now=1e9, classes=KNOWN)
    folder = desk.folder / "state/datasets/chat/train/v1"
    shutil.rmtree(folder)
    shutil.copytree(desk.folder / "erased/datasets/chat/train/v1", folder)
    then = _environment(desk)
    monkeypatch.setattr("service.training.reproducing.environment", lambda *_: {**then, "platform": "Plan9 mips"})
    found = desk.json("refresh", "reproduce", desk.cycle, code=1)
    assert not found["same"]
    assert not found["identical"]
    assert 0.9 < found["golden_agreement"] < 0.999
    erased, moved = found["differences"]
    assert erased == "60 rows of the training set were erased since"
    assert moved == f"another platform: {then['platform']}, now Plan9 mips"


def _environment(desk: Desk) -> dict[str, Any]:
    cycle = desk.found()
    assert cycle.model is not None
    return dict(cycle.model.run["environment"])


def test_a_cycle_without_a_model_has_nothing_to_reproduce(desk: Desk) -> None:
    assert "has no model yet" in desk.run("refresh", "reproduce", desk.cycle, code=1).output


def test_files_are_trained_on_without_an_installation(bench: Bench, tmp_path: Path) -> None:
    desk = Desk(tmp_path, "")
    lines = [{"id": sample.id, "label": sample.label, **payload_field(sample.payload)} for sample in bench.train]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    (tmp_path / "classes.txt").write_text("\n".join(KNOWN), encoding="utf-8")
    files = ("--train", "train.jsonl", "--embedder", str(bench.settings.model), "--input", "tensor", "--classes", "classes.txt")
    run = desk.json("train", *files, "--output", "out")
    assert run["new_classes"] == [NEW]
    assert run["data"]["files"] == ["train.jsonl"]
    again = desk.json("train", *files, "--output", "out")
    assert again["model"]["checksum"] == run["model"]["checksum"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "name one of them"),
        (("--train", "none.jsonl", "--cycle", "x"), "name one of them"),
        (("--cycle", "nothing"), "nothing"),
        (("--download", "missing.tar", "--embedder", "old.onnx", "--input", "tensor"), "download it again"),
    ],
)
def test_wrong_use_is_said(desk: Desk, arguments: tuple[str, ...], says: str) -> None:
    result = desk.run("train", *arguments, code=2)
    assert says in result.output
