"""A process that serves: its socket, its lock, and how it runs until it is told to stop."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from service.api import server_for
from service.app.installation import Installation


class Serving:
    """Roles running behind a listening socket."""

    def __init__(self, installation: Installation, server: uvicorn.Server, listening: socket.socket, stop: threading.Event) -> None:
        self.installation = installation
        self._server = server
        self._socket = listening
        self._stop = stop
        host, port = listening.getsockname()[:2]
        self.address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def run(self) -> None:
        """Answers requests until `stop`; signals are left to whoever calls."""
        thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]}, name="http", daemon=True)
        thread.start()
        while thread.is_alive() and not self._stop.wait(1.0):
            pass
        self.stop()
        thread.join()

    def stop(self) -> None:
        """Ends `run`, and every loop after the step that it is in."""
        self._stop.set()
        self._server.should_exit = True


@contextmanager
def answering(app: FastAPI, listening: socket.socket) -> Iterator[None]:
    """Answers requests on the socket for a while, and leaves it open to whoever answers after that."""
    server = server_for(app)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening.dup()]}, name="http meanwhile", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join()
