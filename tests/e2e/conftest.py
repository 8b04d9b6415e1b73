"""`driftgate serve` as its users start it: a process of its own, on a free port, killed without a warning when a test says so."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import httpx2
import numpy as np
import onnx
import pytest
import yaml
from numpy.typing import NDArray
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from service.adapters.sqlite import SqliteStore
from service.app import STORE, opened
from service.records import Pooled, Sample
from service.reference import Origin
from service.reference_rows import embed_rows
from service.settings import load
from tests.e2e.episode import episode, episode_of_roles  # noqa: F401 - fixtures

DIMENSION = 6
TOPICS = np.random.default_rng(3).normal(size=(16, DIMENSION)) * 1.5
HEAD = '<ir_version: 10, opset_import: ["" : 20]>'
WORDS = ("[PAD]", "[UNK]", "where", "is", "my", "parcel")
T = TypeVar("T")

DOCUMENT: Mapping[str, Any] = {
    "directory": "state",
    "server": {"port": 0},
    "monitors": [
        {
            "name": "chat",
            "embedder": {"input": "none", "dimension": DIMENSION},
            "detection": {"run_length": 2_000, "pane_samples": 16},
            "classes": ["early", "late"],
            "kserve": {"service": "chat"},
        },
        {"name": "text", "embedder": {"model": "text/model.onnx", "threads": 1}, "kserve": {"service": "text"}},
        {"name": "image", "embedder": {"model": "image/model.onnx", "input": "image", "threads": 1}, "kserve": {"service": "image"}},
    ],
}


def draw(n: int, seed: int, *, new: float = 0.0) -> NDArray[np.float32]:
    """(n, DIMENSION) vectors around twelve topics, a share of them around four others."""
    rng = np.random.default_rng(seed)
    topics = np.where(rng.random(n) < new, rng.integers(12, 16, n), rng.integers(0, 12, n))
    return (TOPICS[topics] + 0.4 * rng.normal(size=(n, DIMENSION))).astype(np.float32)


class Site:
    """A configuration's folder and the process that serves it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.client = httpx2.Client()
        self.environment: dict[str, str] = {}
        self._process: subprocess.Popen[str] | None = None

    def configure(self, change: Callable[[dict[str, Any]], None]) -> None:
        """Edits the configuration."""
        path = self.folder / "driftgate.yaml"
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        change(document)
        path.write_text(yaml.safe_dump(document), encoding="utf-8")

    def start(self) -> None:
        command = [sys.executable, "-c", "from service.cli import main; main()", "serve"]
        environment = {**os.environ, **self.environment}
        with (self.folder / "log").open("a") as log:
            self._process = subprocess.Popen(command, cwd=self.folder, env=environment, stdout=subprocess.PIPE, stderr=log, text=True)
        assert self._process.stdout is not None
        first = self._process.stdout.readline()
        assert first.startswith("Listening on "), (self.folder / "log").read_text()
        self.client = httpx2.Client(base_url=first.removeprefix("Listening on ").strip(), timeout=30)

    def draw(self, n: int, seed: int, *, new: float = 0.0) -> NDArray[np.float32]:
        """Traffic for `chat`, a share of it new."""
        return draw(n, seed, new=new)

    def bodies(self, rows: NDArray[np.float32], prefix: str) -> list[dict[str, Any]]:
        """The rows as samples."""
        return [{"id": f"{prefix}-{i}", "vector": row.tolist()} for i, row in enumerate(rows)]

    def until(self, look: Callable[[], T | None]) -> T:
        """What `look` gives once it gives something."""
        end = time.monotonic() + 60
        while not (found := look()):
            assert time.monotonic() < end, "waited for a minute"
            time.sleep(0.05)
        return found

    @property
    def alive(self) -> bool:
        """Started, and not ended by `kill` or `stop`."""
        return self._process is not None

    def kill(self) -> None:
        """Without a warning."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """As an operator does."""
        assert self._end(signal.SIGTERM) == 0

    def _end(self, how: signal.Signals) -> int | None:
        process, self._process = self._process, None
        if process is None:
            return None
        process.send_signal(how)
        code = process.wait(60)
        if process.stdout is not None:
            process.stdout.close()
        self.client.close()
        return code

    def send(self, samples: Sequence[Mapping[str, Any]], monitor: str = "chat") -> httpx2.Response:
        return self.client.post(f"/v1/monitors/{monitor}/samples", json=list(samples))

    def get(self, path: str) -> Any:
        answer = self.client.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def metrics(self) -> dict[str, float]:
        """Every series with its value."""
        lines = [line for line in self.client.get("/metrics").text.splitlines() if not line.startswith("#")]
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}

    def settled(self) -> dict[str, float]:
        """The metrics once everything accepted is committed."""
        return self.until(lambda: found if (found := self.metrics())["driftgate_ingest_backlog_entries"] == 0 else {})

    def pool(self, monitor: str = "chat") -> Sequence[Pooled]:
        """The kept samples, oldest first."""
        with closing(SqliteStore(self.folder / "state" / STORE)) as store:
            return store.pool(monitor)


def write_text_model(folder: Path) -> None:
    """The mean of random word vectors."""
    body = """words = Gather(table, input_ids) mask = Cast<to = 1>(attention_mask) wide = Unsqueeze(mask, two) kept = Mul(words, wide)
        total = ReduceSum<keepdims = 0>(kept, one) count = ReduceSum<keepdims = 1>(mask, one) embedding = Div(total, count)"""
    inputs = "int64[N, T] input_ids, int64[N, T] attention_mask"
    model = onnx.parser.parse_model(f"{HEAD} g ({inputs}) => (float[N, 4] embedding) {{ {body} }}")
    table = np.random.default_rng(5).normal(size=(len(WORDS), 4)).astype(np.float32)
    for name, array in {"table": table, "one": np.array([1]), "two": np.array([2])}.items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    folder.mkdir()
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    tokenizer = Tokenizer(WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))


def write_image_model(folder: Path) -> None:
    """The pixels themselves."""
    body = "wide = Cast<to = 1>(image) embedding = Flatten(wide)"
    model = onnx.parser.parse_model(f"{HEAD} g (uint8[N, 3, 4, 6] image) => (float[N, D] embedding) {{ {body} }}")
    folder.mkdir()
    (folder / "model.onnx").write_bytes(model.SerializeToString())


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with configuration, models and the reference of `chat`."""
    folder = tmp_path_factory.mktemp("prepared")
    (folder / "driftgate.yaml").write_text(yaml.safe_dump(dict(DOCUMENT)), encoding="utf-8")
    write_text_model(folder / "text")
    write_image_model(folder / "image")
    with opened(load(folder / "driftgate.yaml")) as installation:
        samples = [Sample("chat", f"r{i}", float(i), row) for i, row in enumerate(draw(1_200, 1))]
        embedder = installation.embedder("chat")
        rows = embed_rows(samples, embedder)
        installation.references.build(installation.settings.monitor("chat"), rows, Origin(embedder.fingerprint, 1.0))
    return folder


@pytest.fixture
def idle(prepared: Path, tmp_path: Path) -> Iterator[Site]:
    """Not started yet, so that its configuration can be changed."""
    site = Site(shutil.copytree(prepared, tmp_path / "site"))
    yield site
    site.kill()
    site.client.close()


@pytest.fixture
def site(idle: Site) -> Site:
    """Serving."""
    idle.start()
    return idle
