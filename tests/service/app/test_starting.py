"""A process whose store is away shows that it waits and why; one that the store refuses ends."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from service.app import Serving, installation, served
from service.app.parts import open_state
from service.errors import RefusedError, UnavailableError
from service.settings import Settings, parse


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    monitor = {"name": "chat", "embedder": {"input": "none", "dimension": 3}}
    return parse({"directory": "state", "server": {"port": free_port()}, "monitors": [monitor]}, base=tmp_path)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


class Away:
    """A store that can't be reached until it is back."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
        self._open, self._error = open_state, error
        self.tries, self.back = 0, threading.Event()
        monkeypatch.setattr(installation, "open_state", self)
        monkeypatch.setattr(installation, "_STORE_SECONDS", 0.05)

    def __call__(self, *given: Any) -> Any:
        self.tries += 1
        if not self.back.is_set():
            raise self._error
        return self._open(*given)


@contextmanager
def running(settings: Settings) -> Iterator[httpx2.Client]:
    serving = list[Serving]()

    def run() -> None:
        with served(settings) as made:
            serving.append(made)
            made.run()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        with httpx2.Client(base_url=f"http://127.0.0.1:{settings.server.port}", timeout=10) as client:
            yield client
    finally:
        until(lambda: serving)
        serving[0].stop()
        thread.join()


def until(found: Any) -> Any:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        if answer := found():
            return answer
        time.sleep(0.02)
    raise AssertionError("waited for half a minute")


def test_probes_are_answered_while_the_store_is_away(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    away = Away(monkeypatch, UnavailableError("Redis: Connection refused; see whether it runs"))
    with running(settings) as client:
        until(lambda: away.tries > 2)
        assert client.get("/healthz").json() == {"status": "alive", "stuck": []}
        waiting = client.get("/readyz")
        assert (waiting.status_code, waiting.json()["waiting_for"]) == (503, ["store"])
        assert waiting.json()["reasons"] == {"store": "Redis: Connection refused; see whether it runs"}
        sent = client.post("/v1/monitors/chat/samples", json=[{"vector": [1, 0, 0]}])
        assert (sent.status_code, sent.json()["error"], sent.headers["retry-after"]) == (503, "waiting", "5")
        away.back.set()
        until(lambda: client.get("/readyz").status_code == 200)
        assert client.post("/v1/monitors/chat/samples", json=[{"vector": [1, 0, 0]}]).status_code == 202


def test_a_store_that_refuses_ends_the_process(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    away = Away(monkeypatch, RefusedError("Redis: invalid username-password pair; check redis.user and the password"))
    with pytest.raises(RefusedError, match="password"), served(settings):
        raise AssertionError("it serves")
    assert away.tries == 1
