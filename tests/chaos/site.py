"""An installation on a broker and a Redis, and the processes that work on it until something ends them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from service.app import Installation, opened
from service.errors import DriftgateError
from service.records import Sample
from service.reference import Origin
from service.reference_rows import embed_rows
from service.settings import Settings, load
from tests.chaos.receiver import Inbox
from tests.chaos.traffic import DIMENSION, LOCALES, RATE, Feed, draw, ends
from tests.servers.kafka_server import KafkaServer
from tests.servers.redis_server import RedisServer

MONITOR, HOOK = "chat", "hook"
PATIENCE = 300.0
"""Seconds until work that does not end counts as stuck."""
SESSION_SECONDS = 3.0
SECRET = "whsec_" + "Y2hhb3MgY2hhb3MgY2hhb3MgY2hhb3Mh"


@dataclass(frozen=True, slots=True)
class Program:
    """Which driftgate is run: the one of this tree, or another."""

    code: str = "from service.cli import main; main()"
    tree: Path | None = None
    config: str = "driftgate.yaml"

    def command(self, *arguments: str) -> Sequence[str]:
        """To be run by the tests' own interpreter."""
        return [sys.executable, "-c", self.code, *arguments]

    @property
    def environment(self) -> Mapping[str, str]:
        """With the tree that it is imported from."""
        tree = {} if self.tree is None else {"PYTHONPATH": str(self.tree)}
        threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        return {**os.environ, "HOOK_SECRET": SECRET, "DRIFTGATE_CONFIG": self.config, **threads, **tree}


PRESENT = Program()


class Process:
    """A role of driftgate, with a log that is shown when a test fails."""

    def __init__(self, role: str, folder: Path, log: Path, program: Program) -> None:
        self.role = role
        self.log = log
        self.program = program
        with log.open("ab") as output:
            command = ["setpriv", "--pdeathsig", "KILL", *program.command(role)]
            self._process = subprocess.Popen(command, cwd=folder, env=program.environment, stdout=output, stderr=output)

    def kill(self) -> None:
        """Without a warning."""
        self._process.kill()
        self._process.wait()

    def ask_to_stop(self) -> None:
        """As an operator does."""
        self._process.terminate()

    def stop(self) -> int:
        """Asks, and waits; its exit code."""
        self.ask_to_stop()
        return self._process.wait(60)

    def pause(self) -> None:
        """It does nothing until it is woken, and does not know."""
        self._process.send_signal(signal.SIGSTOP)

    def wake(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def says(self, text: str) -> bool:
        """Whether its log has the text."""
        return text in self.log.read_text(encoding="utf-8", errors="replace")


class Site:
    """One monitor on one topic."""

    def __init__(
        self,
        folder: Path,
        kafka: KafkaServer,
        redis: RedisServer,
        *,
        partitions: int,
        inbox: Inbox,
        begin: Callable[[Site], object] | None = None,
    ) -> None:
        self.folder = folder
        self.kafka = kafka
        self.redis = redis
        self.inbox = inbox
        self.topic = folder.name
        self.letters = f"{self.topic}-letters"
        self.processes: list[Process] = []
        self._started = 0
        kafka.create_topics({self.topic: partitions, self.letters: 1})
        self.configure("driftgate.yaml", self.document())
        (begin or _begin)(self)

    def configure(self, name: str, document: Mapping[str, Any]) -> None:
        """Writes a configuration."""
        (self.folder / name).write_text(yaml.safe_dump(document), encoding="utf-8")

    def start(self, role: str, program: Program = PRESENT) -> Process:
        """Another process of the role."""
        self._started += 1
        process = Process(role, self.folder, self.folder / f"{self._started:03}-{role}.log", program)
        self.processes.append(process)
        return process

    def run(self, program: Program, *arguments: str, codes: Sequence[int] = (0,)) -> str:
        """A command that ends, with one of the exit codes; what it says, its errors where it has only these."""
        done = subprocess.run(
            program.command(*arguments),
            cwd=self.folder,
            env=program.environment,
            check=False,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert done.returncode in codes, f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout or done.stderr

    def replace(self, process: Process, *, stop: Callable[[Process], object] = Process.kill, by: Program | None = None) -> Process:
        """Ends a process and starts another of its role, of the same program or another."""
        stop(process)
        self.processes.remove(process)
        return self.start(process.role, by or process.program)

    def of(self, role: str) -> Sequence[Process]:
        """The processes of a role that nobody has ended."""
        return [process for process in self.processes if process.role == role]

    def feed(self, rate: float = RATE) -> Feed:
        """Traffic, as long as it is entered."""
        return Feed(self.kafka.bootstrap, self.topic, rate)

    @contextmanager
    def opened(self) -> Iterator[Installation]:
        """The installation, from outside of its processes."""
        with opened(self.settings) as installation:
            yield installation

    @property
    def settings(self) -> Settings:
        return load(self.folder / "driftgate.yaml")

    def offsets(self) -> Mapping[int, int]:
        """Partition → how far it is read."""
        with self.opened() as installation:
            return {p.partition.number: p.offset for p in installation.store.positions() if p.partition.topic == self.topic}

    def advance(self, records: int = 1) -> None:
        """Waits until so many more records are read."""
        before = sum(self.offsets().values())
        self.until(lambda: sum(self.offsets().values()) >= before + records, f"{records} records more")

    def settle(self) -> None:
        """Waits until everything that the log holds is read, decided and delivered."""
        self.until(lambda: self.offsets() == ends(self.kafka.bootstrap, self.topic), "everything is read")
        with self.opened() as installation:
            store = installation.store
            self.until(lambda: not store.undecided(), "everything is decided")
            self.until(lambda: not store.outbox(states=["pending"]), "everything is delivered")
            self.until(lambda: not store.unsent(1), "dead letters have arrived")

    def until(self, holds: Callable[[], bool], what: str) -> None:
        """Waits; a process that ended by itself fails the test at once, and so does one that shows no progress for long."""
        end = time.monotonic() + PATIENCE
        while not _held(holds):
            ended = [process.log.name for process in self.processes if not process.running]
            assert not ended, f"{ended} ended by themselves while waiting until {what}\n{self.logs()}"
            assert time.monotonic() < end, f"waited {PATIENCE:.0f} s until {what}: {self.offsets()}\n{self.logs()}"
            time.sleep(0.2)

    def close(self) -> None:
        """Ends what runs."""
        for process in self.processes:
            process.kill()

    def logs(self) -> str:
        """The last lines of those that run."""
        tails = {p.log.name: p.log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:] for p in self.processes}
        return "\n".join(f"--- {name}\n" + "\n".join(lines) for name, lines in tails.items())

    def document(self) -> Mapping[str, Any]:
        kafka = {
            "brokers": [self.kafka.bootstrap],
            "group": self.topic,
            "ingest_topic": None,
            "dead_letter_topic": self.letters,
            "session_seconds": SESSION_SECONDS,
            "handover_seconds": 5,
        }
        hook = {"type": "webhook", "name": HOOK, "url": self.inbox.url, "secret_env": "HOOK_SECRET", "timeout": 2}
        return {
            "directory": "state",
            "server": {"port": 0},
            "kafka": kafka,
            "redis": {"url": self.redis.url},
            "roles": {"lease_seconds": 2},
            "outbound": {"allow": ["127.0.0.0/8"]},
            "destinations": [hook],
            "monitors": [{**monitor(self.topic), "notify": [HOOK]}],
        }


def monitor(topic: str) -> Mapping[str, Any]:
    """Small panes, which close by time as well, in three streams."""
    return {
        "name": MONITOR,
        "embedder": {"input": "none", "dimension": DIMENSION},
        "topic": {"name": topic},
        "segments": {"tags": ["locale"]},
        "detection": {"run_length": 4_000, "pane_samples": 16, "pane_seconds": 0.05},
        "refresh": {"automatic": False},
    }


def _begin(site: Site) -> None:
    with site.opened() as installation:
        build_reference(installation)


def build_reference(installation: Installation) -> None:
    """Of traffic as it is before it drifts."""
    samples = [Sample(MONITOR, f"r{i}", float(i), row, {"locale": LOCALES[i % 2]}) for i, row in enumerate(draw(2_400, 10**6))]
    embedder = installation.embedder(MONITOR)
    origin = Origin(embedder.fingerprint, 1.0)
    installation.references.build(installation.settings.monitor(MONITOR), embed_rows(samples, embedder), origin)


def _held(holds: Callable[[], bool]) -> bool:
    """A server that does not answer has shown nothing yet."""
    try:
        return holds()
    except DriftgateError:
        return False
