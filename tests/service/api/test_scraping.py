"""Metrics on a port of their own: for Prometheus, with a token where one is set, and for nobody's browser."""

from __future__ import annotations

from pathlib import Path

import httpx2
import pytest
from fastapi.testclient import TestClient
from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from service.api.scraping import create_metrics
from service.app.metrics_server import serving_metrics
from service.errors import ConfigurationError
from service.metrics import Metrics
from service.settings import Settings
from tests.servers.process import free_port

TOKEN = "0123456789abcdef"


@pytest.fixture
def registry() -> CollectorRegistry:
    registry = CollectorRegistry()
    Metrics(registry, ["chat"], version="1")
    return registry


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"authorization": f"Bearer {TOKEN}x"}, 401),
        ({"authorization": f"Basic {TOKEN}"}, 401),
        ({"authorization": f"Bearer {TOKEN}"}, 200),
    ],
)
def test_with_a_token_it_is_asked_for(registry: CollectorRegistry, headers: dict[str, str], status: int) -> None:
    answer = TestClient(create_metrics(registry, lambda: TOKEN, loopback=True)).get("/metrics", headers=headers)
    assert answer.status_code == status
    assert ("driftgate_build_info" in answer.text) is (status == 200)
    assert TOKEN not in answer.text


@pytest.mark.parametrize(
    ("host", "loopback", "status"), [("localhost:9", True, 200), ("evil.example", True, 403), ("pod.local", False, 200)]
)
def test_without_one_a_web_page_that_names_this_machine_is_refused(
    registry: CollectorRegistry, host: str, loopback: bool, status: int
) -> None:
    client = TestClient(create_metrics(registry, None, loopback=loopback))
    assert client.get("/metrics", headers={"host": host}).status_code == status


def test_nothing_else_is_there(registry: CollectorRegistry) -> None:
    client = TestClient(create_metrics(registry, None, loopback=False))
    assert [client.get(path).status_code for path in ("/", "/docs", "/openapi.json", "/v1/monitors", "/healthz")] == [404] * 5


def test_the_port_is_served_from_the_start_and_its_token_comes_from_a_file(registry: CollectorRegistry, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n", encoding="utf-8")
    port = free_port()
    settings = Settings.model_validate({"server": {"metrics_port": port, "metrics_token_file": tmp_path / "token"}})
    url = f"http://127.0.0.1:{port}/metrics"
    with serving_metrics(settings, registry):
        assert httpx2.get(url).status_code == 401
        assert httpx2.get(url, headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(url)


def test_a_token_without_its_port_is_a_mistake(registry: CollectorRegistry) -> None:
    settings = Settings().model_copy(update={"metrics_token": SecretStr(TOKEN)})
    with pytest.raises(ConfigurationError, match=r"server\.metrics_port, which is not set"), serving_metrics(settings, registry):
        pass
