"""One cluster for the tests of a process: each test has a namespace of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers.kubernetes_server import KubernetesCluster


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubernetesCluster]:
    """About 15 seconds."""
    running = KubernetesCluster(tmp_path_factory.mktemp("cluster"))
    yield running.start()
    running.kill()
