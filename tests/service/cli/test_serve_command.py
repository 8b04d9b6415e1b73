"""`serve` as a process: it listens, takes samples beside other commands, and ends cleanly."""

from __future__ import annotations

import fcntl
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import Request, urlopen

import pytest

if TYPE_CHECKING:
    from tests.service.cli.conftest import Desk

pytestmark = pytest.mark.long


def get(address: str) -> Any:
    with urlopen(address, timeout=10) as answer:  # noqa: S310 - the test's own server
        return json.load(answer)


def send(address: str, path: Path) -> int:
    body = path.read_bytes()
    request = Request(address, body, {"content-type": "application/x-ndjson"})  # noqa: S310 - the test's own server
    with urlopen(request, timeout=30) as answer:  # noqa: S310 - the test's own server
        return int(answer.status)


def until(ready: Callable[[], Any]) -> Any:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if found := ready():
            return found
        time.sleep(0.1)
    raise AssertionError("waited for a minute")


def test_served_beside_other_commands_and_stopped(watching: Desk) -> None:
    command = [sys.executable, "-c", "from service.cli import main; main()", "serve"]
    with (watching.folder / "log").open("w") as log:
        server = subprocess.Popen(command, cwd=watching.folder, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        assert server.stdout is not None
        first = server.stdout.readline()
        assert first.startswith("Listening on http://127.0.0.1:")
        address = first.removeprefix("Listening on ").strip()
        assert get(f"{address}/healthz")["status"] == "alive"
        assert send(f"{address}/v1/monitors/chat/samples", watching.folder / "traffic.jsonl") == 202
        alarm = until(lambda: watching.json("alarm", "list")["alarms"])[0]["id"]
        assert watching.json("alarm", "ack", alarm)["state"] == "acknowledged"
        assert get(f"{address}/v1/alarms/{alarm}")["state"] == "acknowledged"
        assert watching.json("alarm", "verdict", alarm, "false")["state"] == "resolved"
        until(lambda: get(f"{address}/v1/monitors/chat")["state"] == "watching")
        until(lambda: list(watching.folder.glob("inbox/alarm.resolved-*.json")))
        server.send_signal(signal.SIGTERM)
        assert server.wait(60) == 0
        assert server.stdout.read() == f"The console is at {address}/console\n"
    finally:
        server.kill()
        server.wait()
        if server.stdout is not None:
            server.stdout.close()
    lines = [json.loads(line) for line in (watching.folder / "log").read_text(encoding="utf-8").splitlines()]
    assert {"event": "listening", "address": address}.items() <= next(line for line in lines if line["event"] == "listening").items()
    assert [line for line in lines if line["level"] == "error"] == []
    ended = {line["loop"] for line in lines if line["event"] == "loop stopped" and line["clean"]}
    assert ended >= {"worker", "lease", "controller", "silence", "truth", "budget", "refresh", "outbox", "upkeep", "declarations"}


def test_a_taken_port_is_told_at_once(watching: Desk) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        watching.configure(lambda document: document.update(server={"port": port}))
        assert f"port {port}" in watching.run("serve", code=2).stderr


def test_a_second_one_in_the_same_directory_is_refused(watching: Desk) -> None:
    directory = next(watching.folder.rglob("driftgate.sqlite")).parent
    with (directory / "serve.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert "another `driftgate serve` works in it" in watching.run("serve", code=2).stderr
