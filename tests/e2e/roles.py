"""An installation on Kafka and Redis whose roles are processes of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx2
import numpy as np
import yaml
from kafka import KafkaProducer
from numpy.typing import NDArray

from service.app import Installation, opened
from service.records import Sample
from service.reference import Origin
from service.reference_rows import embed_rows
from service.settings import load
from tests.servers.kafka_server import KafkaServer
from tests.servers.redis_server import RedisServer

DIMENSION = 6
TOPICS = np.random.default_rng(3).normal(size=(16, DIMENSION)) * 1.5
T = TypeVar("T")


def draw(n: int, seed: int, *, new: float = 0.0) -> NDArray[np.float32]:
    """(n, DIMENSION) vectors around twelve topics, a share of them around four others."""
    rng = np.random.default_rng(seed)
    topics = np.where(rng.random(n) < new, rng.integers(12, 16, n), rng.integers(0, 12, n))
    return (TOPICS[topics] + 0.4 * rng.normal(size=(n, DIMENSION))).astype(np.float32)


def monitor(name: str, topic: str | None = None, **changes: Any) -> dict[str, Any]:
    """A monitor of vectors, as the configuration declares it."""
    document: dict[str, Any] = {
        "name": name,
        "embedder": {"input": "none", "dimension": DIMENSION},
        "detection": {"run_length": 2_000, "pane_samples": 16},
        **changes,
    }
    return document if topic is None else {**document, "topic": {"name": topic}}


def until(look: Callable[[], T], *, seconds: float = 60.0, what: str = "it") -> T:
    """What `look` gives once it gives something."""
    end = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < end, f"waited {seconds:g} s for {what}"
        time.sleep(0.05)
    return found


class Role:
    """A process."""

    def __init__(self, role: str, folder: Path, number: int, *, port: int = 0, directory: Path | None = None) -> None:
        self.name = role
        self._log = folder / f"{number}-{role}.log"
        command = [sys.executable, "-c", "from service.cli import main; main()", role]
        with self._log.open("w") as log:
            environment = {**os.environ, "DRIFTGATE__SERVER__PORT": str(port)}
            environment |= {} if directory is None else {"DRIFTGATE__DIRECTORY": str(directory)}
            self.process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=log, text=True)
        assert self.process.stdout is not None
        first = self.process.stdout.readline()
        assert first.startswith("Listening on "), self.log
        self.client = httpx2.Client(base_url=first.removeprefix("Listening on ").strip(), timeout=30)

    @property
    def log(self) -> str:
        return self._log.read_text(encoding="utf-8")

    def get(self, path: str) -> Any:
        return self.client.get(path).json()

    def end(self, how: signal.Signals = signal.SIGTERM, *, seconds: float = 60.0) -> int:
        """Its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        code = self.process.wait(seconds)
        self.client.close()
        if self.process.stdout is not None:
            self.process.stdout.close()
        return code


class Shared:
    """A configuration's folder, the servers that it names, and its processes."""

    def __init__(self, folder: Path, kafka: KafkaServer, redis: RedisServer, *, partitions: int = 2, **sections: Any) -> None:
        """`sections`: further ones of the configuration."""
        self.folder = folder
        self.kafka = kafka
        self.topic = f"{folder.name}-samples"
        ingest, letters = f"{folder.name}-ingest", f"{folder.name}-letters"
        kafka.create_topics({self.topic: partitions, ingest: 1, letters: 1})
        brokers = {
            "brokers": [kafka.bootstrap], "group": folder.name, "ingest_topic": ingest, "dead_letter_topic": letters, "session_seconds": 6,
        }  # fmt: skip
        self.document: dict[str, Any] = {
            "directory": "state",
            "kafka": brokers,
            "redis": {"url": redis.url, "prefix": folder.name},
            "roles": {"lease_seconds": 3},
            "monitors": [monitor("chat", self.topic)],
            **sections,
        }
        self.configure()
        self._roles: list[Role] = []
        with self.opened() as installation:
            build(installation, "chat")

    @property
    def path(self) -> Path:
        return self.folder / "driftgate.yaml"

    def configure(self, text: str | None = None) -> None:
        """Replaces the file as an editor does."""
        draft = self.path.with_suffix(".draft")
        draft.write_text(yaml.safe_dump(self.document) if text is None else text, encoding="utf-8")
        draft.replace(self.path)

    @contextmanager
    def opened(self) -> Iterator[Installation]:
        """As a command sees it."""
        with opened(load(self.path), config=self.path) as installation:
            yield installation

    def start(self, role: str, *, directory: Path | None = None) -> Role:
        """`directory`: in place of the configuration's."""
        started = Role(role, self.folder, len(self._roles), directory=directory)
        self._roles.append(started)
        return started

    def produce(self, rows: NDArray[np.float32], prefix: str, *, seconds: float = 0.0) -> None:
        """Samples into the monitor's topic, spread over its partitions and over some time."""
        producer = KafkaProducer(bootstrap_servers=self.kafka.bootstrap)
        for number, row in enumerate(rows):
            body = json.dumps({"id": f"{prefix}-{number}", "vector": row.tolist()})
            producer.send(self.topic, key=f"{prefix}-{number}".encode(), value=body.encode())
            time.sleep(seconds / len(rows))
        producer.flush()
        producer.close()

    def command(self, *arguments: str, code: int = 0) -> str:
        """A command beside the running processes."""
        program = [sys.executable, "-c", "from service.cli import main; main()", *arguments]
        done = subprocess.run(program, cwd=self.folder, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == code, done.stderr
        return done.stdout

    def status(self, name: str = "chat") -> Mapping[str, Any]:
        with self.opened() as installation:
            return installation.store.status(name)

    def close(self) -> None:
        for role in self._roles:
            role.end(signal.SIGKILL)


def build(installation: Installation, name: str, *, seed: int = 1) -> None:
    """A reference of 1,200 rows, in force."""
    samples = [Sample(name, f"r{i}", float(i), row) for i, row in enumerate(draw(1_200, seed))]
    embedder = installation.embedder(name)
    installation.references.build(installation.effective(name), embed_rows(samples, embedder), Origin(embedder.fingerprint, 1.0))


def bodies(rows: NDArray[np.float32], prefix: str) -> Sequence[Mapping[str, Any]]:
    """As HTTP takes them."""
    return [{"id": f"{prefix}-{i}", "vector": row.tolist()} for i, row in enumerate(rows)]
