"""A desk with a small installation on disk, and a person who types commands there."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import structlog
import yaml
from numpy.typing import NDArray
from typer.testing import CliRunner, Result

from service.app import opened
from service.cli.application import app
from service.observe import Silent
from service.replay import replay
from service.settings import load
from service.worker import Worker

DIMENSION = 16
MONITOR = "chat"
CENTRES = np.random.default_rng(5).standard_normal((12, DIMENSION))
CALM, DRIFTED = 600, 900

DOCUMENT: dict[str, Any] = {
    "directory": "state",
    "server": {"port": 0},
    "destinations": [{"type": "folder", "name": "inbox", "path": "inbox"}],
    "monitors": [
        {
            "name": MONITOR,
            "embedder": {"input": "none", "dimension": DIMENSION},
            "detection": {"run_length": 2_000},
            "annotation": {"budget": 32, "destination": "inbox", "approval": "operator"},
            "selection": {"rounds": 1, "challenge": 8},
            "refresh": {"automatic": False, "destination": "inbox", "margin": 0.05},
            "notify": ["inbox"],
        }
    ],
}


def draw(rng: np.random.Generator, topics: NDArray[np.int64]) -> NDArray[np.float32]:
    """(n, d) unit vectors, one around the centre of each topic given."""
    rows = CENTRES[topics] + 0.5 * rng.standard_normal((len(topics), DIMENSION))
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def write_jsonl(path: Path, rows: NDArray[np.float32], **columns: list[Any]) -> Path:
    """A line per row: the file's name and its number make the id, its number the seconds."""
    with path.open("w", encoding="utf-8") as file:
        for i, row in enumerate(rows):
            line = {"id": f"{path.stem}-{i}", "time": f"2026-03-01T{i // 3600:02}:{i // 60 % 60:02}:{i % 60:02}Z", "vector": row.tolist()}
            file.write(json.dumps(line | {name: values[i] for name, values in columns.items()}) + "\n")
    return path


@dataclass(frozen=True)
class Desk:
    """Somebody in the folder of a configuration."""

    folder: Path

    def run(self, *arguments: object, code: int = 0) -> Result:
        """Types a command and expects an exit code."""
        with chdir(self.folder):
            result = CliRunner(env={"USER": "ana"}).invoke(app, [str(argument) for argument in arguments])
        assert result.exit_code == code, f"{result.output}\n{result.exception!r}"
        return result

    def json(self, *arguments: object, code: int = 0) -> Any:
        """What a command prints for programs."""
        return json.loads(self.run(*arguments, "--json", code=code).stdout)

    def configure(self, change: Callable[[dict[str, Any]], None]) -> None:
        """Edits the configuration."""
        document = yaml.safe_load((self.folder / "driftgate.yaml").read_text(encoding="utf-8"))
        change(document)
        (self.folder / "driftgate.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")

    def play(self, path: Path) -> None:
        """Lets the installation's own worker and controller take a file, as a server would."""
        with opened(load(self.folder / "driftgate.yaml")) as installation:
            source = installation.files(MONITOR, [path])
            worker = Worker(source, installation.store, {MONITOR: installation.watched(MONITOR)}, Silent())
            replay(worker, installation.controller_for(MONITOR), source, installation.store)


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Commands set logging up; tests leave it as they found it."""
    monkeypatch.delenv("DRIFTGATE_CONFIG", raising=False)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    for library in ("httpx2", "httpcore2", "asyncio"):
        logging.getLogger(library).setLevel("NOTSET")
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


@pytest.fixture
def at(tmp_path: Path) -> Callable[[Path], Desk]:
    """Sits down in a copy of a folder, and may do there as it likes."""
    return lambda template: Desk(shutil.copytree(template, tmp_path / "desk"))


@pytest.fixture(scope="session")
def centres() -> NDArray[np.float64]:
    """(12, d) of the topics; the first 8 are known, the ninth comes with the drift."""
    return CENTRES


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration, a good file, and one that drifts."""
    folder, rng = tmp_path_factory.mktemp("files"), np.random.default_rng(1)
    (folder / "driftgate.yaml").write_text(yaml.safe_dump(DOCUMENT), encoding="utf-8")
    write_jsonl(folder / "good.jsonl", draw(rng, rng.integers(0, 8, 600)))
    topics = rng.integers(0, 8, CALM + DRIFTED)
    topics[CALM:][rng.random(DRIFTED) < 0.5] = 8
    write_jsonl(folder / "traffic.jsonl", draw(rng, topics))
    golden = rng.integers(0, 8, 400)
    write_jsonl(folder / "golden.jsonl", draw(rng, golden), label=[f"topic {topic}" for topic in golden])
    truth = {f"traffic-{i}": f"topic {topic}" if topic < 8 else "new" for i, topic in enumerate(topics.tolist())}
    (folder / "truth.json").write_text(json.dumps(truth), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def referenced(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a reference."""
    folder = shutil.copytree(files, tmp_path_factory.mktemp("referenced") / "desk")
    Desk(folder).run("reference", "build", "--input", "good.jsonl")
    return folder


@pytest.fixture(scope="session")
def drifted(referenced: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With an open alarm in its store."""
    folder = shutil.copytree(referenced, tmp_path_factory.mktemp("drifted") / "desk")
    Desk(folder).play(folder / "traffic.jsonl")
    return folder


@pytest.fixture(scope="session")
def desk_in() -> Callable[[Path], Desk]:
    """Sits down where a longer-lived fixture says."""
    return Desk


@pytest.fixture
def desk(at: Callable[[Path], Desk], files: Path) -> Desk:
    return at(files)


@pytest.fixture
def watching(at: Callable[[Path], Desk], referenced: Path) -> Desk:
    return at(referenced)


@pytest.fixture
def alarmed(at: Callable[[Path], Desk], drifted: Path) -> Desk:
    return at(drifted)


@pytest.fixture(scope="session")
def truth(files: Path) -> dict[str, str]:
    """What the traffic's samples are, which only annotators know."""
    known: dict[str, str] = json.loads((files / "truth.json").read_text(encoding="utf-8"))
    return known
