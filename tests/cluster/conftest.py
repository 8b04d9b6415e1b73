"""One cluster for the tests of a process: each test has a namespace of its own."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.release import Release
from tests.servers.kubernetes_server import KubernetesCluster


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubernetesCluster]:
    """About 15 seconds."""
    running = KubernetesCluster(tmp_path_factory.mktemp("cluster"))
    yield running.start()
    running.kill()


@pytest.fixture
def release(cluster: KubernetesCluster, tmp_path: Path, request: pytest.FixtureRequest) -> Release:
    """Not installed yet."""
    words = re.findall("[a-z0-9]+", request.node.name.lower())
    return Release(cluster, f"{'-'.join(words[1:])[:50]}-{secrets.token_hex(2)}", tmp_path)
