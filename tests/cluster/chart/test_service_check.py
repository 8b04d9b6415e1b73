"""What `helm test` runs in a pod, taken from the chart's own manifest and run against a real server."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service.app import served
from service.settings import parse
from tests.cluster.chart.rendering import rendered

pytestmark = pytest.mark.server("helm")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("site")
    (folder / "token").write_text("secret-of-the-release\n", encoding="utf-8")
    document = {
        "directory": "state",
        "server": {"port": 0, "host": "127.0.0.1", "ingest_token_file": "token"},
        "monitors": [{"name": "chat", "embedder": {"input": "none", "dimension": 2}}],
    }
    with served(parse(document, base=folder)) as serving:
        thread = threading.Thread(target=serving.run)
        thread.start()
        yield serving.address
        serving.stop()
        thread.join()


def check(address: str, token: Path, **tests: Any) -> subprocess.CompletedProcess[str]:
    """As the pod's container does it, but for the address and the place of the token."""
    pod = rendered({"existingSecret": "driftgate", "tests": tests}).of("Pod")[0]
    (container,) = pod["spec"]["containers"]
    environment = {entry["name"]: entry["value"] for entry in container["env"]} | {"URL": address, "TOKEN_FILE": str(token)}
    assert container["command"][:2] == ["python3", "-c"]
    command = [sys.executable, "-I", *container["command"][1:]]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)


def test_a_release_that_works_passes(address: str, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("secret-of-the-release", encoding="utf-8")
    done = check(address, token)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["GET /readyz: 200", "GET /v1/monitors without a token: 401", "GET /v1/monitors: 200"]
    sent = check(address, token, monitor="chat", sample={"vector": [0.5, -1.0]})
    assert sent.stderr == ""
    assert sent.stdout.splitlines()[-1] == "POST /v1/monitors/chat/samples: 202"


def test_one_that_does_not_says_why(address: str, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("of-another-release", encoding="utf-8")
    done = check(address, token)
    assert done.returncode == 1
    assert done.stderr.startswith("GET /v1/monitors: expected 200, found 401")
    token.write_text("secret-of-the-release", encoding="utf-8")
    refused = check(address, token, monitor="chat", sample={"text": "no vector"})
    assert refused.returncode == 1
    assert refused.stderr.startswith("POST /v1/monitors/chat/samples: expected 202, found 422")
