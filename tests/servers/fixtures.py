"""Servers for tests: one of each shared by a process's tests, and as many of its own as a test asks for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from tests.servers.alertmanager_server import AlertmanagerServer
from tests.servers.certificates import Certificate, certify
from tests.servers.kafka_server import KafkaServer
from tests.servers.label_studio_server import LabelStudioServer
from tests.servers.prometheus_server import PrometheusServer
from tests.servers.redis_server import RedisServer
from tests.servers.s3_server import S3Server

StartRedis: TypeAlias = Callable[..., RedisServer]
"""Takes the options of `RedisServer`; returns it started."""
StartKafka: TypeAlias = Callable[..., KafkaServer]
"""Takes the options of `KafkaServer`; returns it started."""
StartPrometheus: TypeAlias = Callable[..., PrometheusServer]
"""Takes the options of `PrometheusServer`; returns it started."""
StartAlertmanager: TypeAlias = Callable[[Mapping[str, Any]], AlertmanagerServer]
"""Takes a configuration; returns it started."""


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """Shared: each test keeps to a key prefix of its own and changes no configuration."""
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    yield server.start()
    server.stop()


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """Shared: each test keeps to a prefix of its own."""
    server = S3Server(tmp_path_factory.mktemp("s3"))
    yield server.start()
    server.stop()


@pytest.fixture(scope="session")
def kafka_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    """Shared: each test creates topics and groups of its own."""
    server = KafkaServer(tmp_path_factory.mktemp("kafka"))
    yield server.start()
    server.kill()


@pytest.fixture(scope="session")
def label_studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabelStudioServer]:
    """Shared: each test keeps to monitors of its own. About 15 seconds."""
    server = LabelStudioServer(tmp_path_factory.mktemp("label-studio"))
    yield server.start()
    server.stop()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """For servers with TLS."""
    return certify(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def start_redis(tmp_path: Path) -> Iterator[StartRedis]:
    """A Redis of the test's own, which it may kill, pause and configure."""
    with ExitStack() as stack:

        def start(**options: object) -> RedisServer:
            server = RedisServer(_own_folder(tmp_path, "redis"), **options)  # type: ignore[arg-type]  # checked where they are named
            stack.callback(server.kill)
            return server.start()

        yield start


@pytest.fixture
def start_kafka(tmp_path: Path) -> Iterator[StartKafka]:
    """A broker of the test's own: about 8 seconds, and 13 after a kill."""
    with ExitStack() as stack:

        def start(**options: object) -> KafkaServer:
            server = KafkaServer(_own_folder(tmp_path, "kafka"), **options)  # type: ignore[arg-type]  # checked where they are named
            stack.callback(server.kill)
            return server.start()

        yield start


@pytest.fixture(scope="session")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartPrometheus]:
    """A Prometheus of the caller's own (a test, or a fixture of any scope), stopped when the tests end: half a second."""
    with ExitStack() as stack:

        def start(**options: object) -> PrometheusServer:
            server = PrometheusServer(tmp_path_factory.mktemp("prometheus"), **options)  # type: ignore[arg-type]  # checked where they are named
            stack.callback(server.kill)
            return server.start()

        yield start


@pytest.fixture(scope="session")
def alertmanager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartAlertmanager]:
    """An Alertmanager of the caller's own, stopped when the tests end: half a second."""
    with ExitStack() as stack:

        def start(configuration: Mapping[str, Any]) -> AlertmanagerServer:
            server = AlertmanagerServer(tmp_path_factory.mktemp("alertmanager"), configuration)
            stack.callback(server.kill)
            return server.start()

        yield start


def _own_folder(folder: Path, name: str) -> Path:
    return folder / f"{name}-{len(list(folder.glob(f'{name}-*')))}"
