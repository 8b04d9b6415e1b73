"""Kafka and Redis on loopback, as the tests start them, and what they were made to do."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

import redis

from benchmarks.figures import Skipped
from service.adapters.blobs import BlobDirectory
from service.adapters.pane_segments import PaneSegments
from service.adapters.redis_store import RedisStore, connect
from service.settings import RedisSettings
from tests.servers.kafka_server import KafkaServer, jars
from tests.servers.redis_server import RedisServer


@contextmanager
def redis_server() -> Iterator[RedisServer]:
    """As durable as production is asked to be: every write is on the disk before its answer."""
    if shutil.which("redis-server") is None:
        raise Skipped("redis-server is missing: `make servers` installs it")
    with TemporaryDirectory(prefix="driftgate-redis-") as folder, ExitStack() as stack:
        server = RedisServer(Path(folder))
        stack.callback(server.kill)
        yield server.start()


@contextmanager
def kafka_broker() -> Iterator[KafkaServer]:
    """One node."""
    if jars() is None or shutil.which("java") is None:
        raise Skipped("Kafka is missing: `make servers` installs it")
    with TemporaryDirectory(prefix="driftgate-kafka-") as folder, ExitStack() as stack:
        server = KafkaServer(Path(folder))
        stack.callback(server.kill)
        yield server.start()


@contextmanager
def redis_store(server: RedisServer, folder: Path, *, prefix: str = "bench") -> Iterator[RedisStore]:
    """With blobs and old panes in the folder."""
    with closing(BlobDirectory(folder / "blobs", cap_bytes=10**9)) as blobs:
        store = RedisStore(
            connect(RedisSettings(url=server.url, prefix=prefix)), blobs=blobs, archive=lambda state: PaneSegments(folder / "panes" / state)
        )
        try:
            yield store
        finally:
            store.close()


@dataclass(frozen=True, slots=True)
class RedisWork:
    """What a server has done since it began; a difference is what it did between two looks."""

    commands: int
    received: int
    sent: int
    memory: int
    processor: float
    """Seconds."""

    @classmethod
    def of(cls, server: RedisServer) -> Self:
        """Now. The look itself is two commands."""
        with closing(redis.Redis.from_url(server.url)) as client:
            told = client.info()
        work = told["total_commands_processed"], told["total_net_input_bytes"], told["total_net_output_bytes"], told["used_memory"]
        return cls(*work, told["used_cpu_sys"] + told["used_cpu_user"])

    def since(self, before: RedisWork) -> RedisWork:
        """What lies between; the memory is what was added."""
        return RedisWork(
            self.commands - before.commands,
            self.received - before.received,
            self.sent - before.sent,
            self.memory - before.memory,
            self.processor - before.processor,
        )


def processor_seconds(pid: int) -> float:
    """That a process has used in all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
