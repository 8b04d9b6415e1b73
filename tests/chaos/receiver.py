"""A webhook receiver with bad days: it refuses, says nothing, or answers twice, and remembers what it was sent."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
REFUSED = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
HANGS = b""
TWICE = OK + OK
Mood: TypeAlias = Callable[[int], bytes]
"""Number of the delivery → what is answered; where that is empty, nothing until the sender gives up."""
GIVES_UP = 30.0


def content(number: int) -> bytes:
    """Takes everything."""
    return OK


@dataclass(slots=True)
class Inbox:
    """What arrived: (webhook-id, body) in order."""

    mood: Mood = content
    url: str = ""
    deliveries: list[tuple[str, bytes]] = field(default_factory=list)

    def take(self, id: str, body: bytes) -> bytes:
        """Remembers a delivery; what to answer."""
        self.deliveries.append((id, body))
        return self.mood(len(self.deliveries))

    @property
    def ids(self) -> list[str]:
        """Of the deliveries, with repetitions."""
        return [name for name, _ in self.deliveries]


@contextmanager
def receiving() -> Iterator[Inbox]:
    """A receiver on loopback."""
    inbox = Inbox()

    class Conversation(socketserver.StreamRequestHandler):
        """One request; the connection ends with it."""

        timeout = GIVES_UP

        def handle(self) -> None:
            headers = dict(_headers(self.rfile.readline, self.rfile.readline()))
            received = self.rfile.read(int(headers["content-length"]))
            answer = inbox.take(headers["webhook-id"], received)
            if answer:
                self.wfile.write(answer)
            else:
                self.rfile.read(1)

    class Receiver(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True

        def handle_error(self, request: object, client_address: object) -> None:
            """A sender that was killed half-way is no failure here."""

    with Receiver(("127.0.0.1", 0), Conversation) as server:
        inbox.url = f"http://127.0.0.1:{server.server_address[1]}/"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
        thread.start()
        yield inbox
        server.shutdown()


def _headers(read: Callable[[], bytes], _request: bytes) -> Iterator[tuple[str, str]]:
    while line := read().strip():
        name, _, value = line.decode("latin-1").partition(":")
        yield name.lower(), value.strip()
