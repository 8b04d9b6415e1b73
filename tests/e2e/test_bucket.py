"""Roles that share a bucket and no folder: each has an empty directory of its own, as pods have."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.e2e.roles import Role, Shared, draw, until
from tests.servers.kafka_server import KafkaServer
from tests.servers.redis_server import RedisServer
from tests.servers.s3_server import S3Server

pytestmark = pytest.mark.server("redis-server", "kafka", "versitygw")


@pytest.fixture
def bucket(tmp_path: Path) -> Iterator[S3Server]:
    server = S3Server(tmp_path / "server").start()
    yield server
    server.kill()


@pytest.fixture
def shared(tmp_path: Path, kafka_broker: KafkaServer, redis_server: RedisServer, bucket: S3Server) -> Iterator[Shared]:
    secret = tmp_path / "link-secret"
    secret.write_text(f"{'of the tests ' * 4}\n".replace(" ", "-"), encoding="utf-8")
    site = Shared(tmp_path, kafka_broker, redis_server, storage=dict(bucket.storage()), server={"link_secret_file": str(secret)})
    yield site
    site.close()


class Pods:
    """Processes with a directory each."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._numbers = count()
        self.directories = list[Path]()

    def start(self, role: str) -> Role:
        self.directories.append(self._shared.folder / f"pod-{next(self._numbers)}")
        return self._shared.start(role, directory=self.directories[-1])


def ready(role: Role) -> bool:
    return bool(role.client.get("/readyz").status_code == 200)


def test_pods_share_a_bucket_and_no_folder(shared: Shared, bucket: S3Server) -> None:
    pods = Pods(shared)
    worker, controller, api = pods.start("worker"), pods.start("controller"), pods.start("api")
    until(lambda: ready(worker), what="partitions")
    shared.produce(draw(320, 2), "a")
    until(lambda: api.get("/v1/monitors/chat")["samples"] == 320, what="the first samples")
    assert api.client.post("/v1/monitors/chat/report").status_code in (200, 201, 202)
    until(lambda: list((bucket.objects / "driftgate" / "published" / "reports" / "chat").glob("*.json")), what="the report")

    bucket.kill()
    until(lambda: not ready(worker) and "s3://" in worker.client.get("/readyz").text, what="the worker to say so")
    shared.produce(draw(160, 3), "b")
    worker.end(signal.SIGKILL)
    bucket.start()
    worker = pods.start("worker")
    until(lambda: api.get("/v1/monitors/chat")["samples"] == 480, what="what came while the bucket was away")
    until(lambda: ready(worker) and ready(api) and ready(controller))

    with shared.opened() as installation:  # in one more directory
        assert len(installation.store.pool("chat")) == 480
        assert not installation.store.dead_letters()
        assert installation.references.load("chat").version == 1
    for directory in pods.directories:
        assert {path.name for path in directory.iterdir()} <= {".copies", "references", "logs", "models", "datasets", "reports"}
    assert [role.end() for role in (api, worker, controller)] == [0, 0, 0]
