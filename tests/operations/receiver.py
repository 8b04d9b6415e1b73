"""Who is told: a local HTTP server in the place of a pager, a ticket system and a dead man's switch."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class Receiver:
    """What arrived: (moment on the monotonic clock, path, document) in order."""

    url: str = ""
    refuses: bool = False
    """It answers 503, and takes nothing."""
    arrived: list[tuple[float, str, Any]] = field(default_factory=list)

    def told(self, path: str) -> list[Any]:
        """The documents that came to that path."""
        return [document for _, where, document in list(self.arrived) if where == path]

    def alerts(self, path: str, **labels: str) -> list[dict[str, Any]]:
        """Of Alertmanager's messages there: the alerts with these labels (`alertname` as `name`), with their `status`."""
        wanted = {"alertname" if key == "name" else key: value for key, value in labels.items()}
        sent = [alert for message in self.told(path) for alert in message["alerts"]]
        return [alert for alert in sent if wanted.items() <= alert["labels"].items()]

    def is_told(self, path: str, status: str, **labels: str) -> bool:
        """Whether one with these labels has come there as `firing` or `resolved`."""
        return any(alert["status"] == status for alert in self.alerts(path, **labels))


@contextmanager
def receiving() -> Iterator[Receiver]:
    """One on loopback."""
    receiver = Receiver()

    class Conversation(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if not receiver.refuses:
                receiver.arrived.append((time.monotonic(), self.path, json.loads(body)))
            self.send_response(503 if receiver.refuses else 202)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: a test says what it misses."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Conversation) as server:
        server.daemon_threads = True
        receiver.url = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()
        yield receiver
        server.shutdown()


def until(look: Callable[[], T], *, timeout: float = 60.0, what: str = "it") -> T:
    """What `look` gives once it gives something."""
    end = time.monotonic() + timeout
    while not (found := look()):
        assert time.monotonic() < end, f"waited {timeout:.0f} s for {what}"
        time.sleep(0.1)
    return found
