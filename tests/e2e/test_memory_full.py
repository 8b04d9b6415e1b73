"""A process that starts while Redis takes nothing more: it waits and says so, and goes on once there is room."""

from __future__ import annotations

import threading
from pathlib import Path

import httpx2
import pytest
import redis

from service.app.roles import served
from service.settings import Settings
from service.settings.parts import RedisSettings, ServerSettings
from tests.e2e.roles import until
from tests.servers.fixtures import StartRedis

pytestmark = pytest.mark.server("redis-server")


def test_a_start_while_memory_is_full_is_no_end(start_redis: StartRedis, tmp_path: Path) -> None:
    server = start_redis(options={"maxmemory": "1"})
    settings = Settings(directory=tmp_path, server=ServerSettings(port=0), redis=RedisSettings(url=server.url))
    with served(settings) as serving, httpx2.Client(base_url=serving.address, timeout=30) as client:
        thread = threading.Thread(target=serving.run)
        thread.start()
        try:
            until(lambda: "OOM command not allowed" in client.get("/readyz").json()["reasons"].get("store", ""))
            redis.Redis(port=server.port).config_set("maxmemory", 0)
            until(lambda: client.get("/readyz").json()["status"] == "ready")
        finally:
            serving.stop()
            thread.join(timeout=30)
