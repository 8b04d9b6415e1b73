"""A process says that it runs, so that nobody takes a step of an upgrade that it can't follow."""

from __future__ import annotations

import os
import socket
from importlib.metadata import version

from service.adapters.redis_store import Process, Server, announce, leave, newest_level

EVERY_SECONDS = 5.0


class Presence:
    """Of this process, in the state that it shares with others."""

    def __init__(self, server: Server, role: str) -> None:
        self._server = server
        self._process = Process(f"{socket.gethostname()}-{os.getpid()}", role, version("driftgate"), newest_level())

    def step(self) -> int:
        """Says it again."""
        announce(self._server, self._process)
        return 0

    def end(self) -> None:
        """Nobody need wait until its word is over."""
        leave(self._server, self._process.name)
