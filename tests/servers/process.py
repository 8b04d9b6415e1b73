"""A server as a child of the tests: awaited by a probe, ended by its process id, its log shown when it fails."""

from __future__ import annotations

import random
import resource
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Self

PORTS = range(12_000, 32_000)
"""Below those that Linux gives to clients: a client that knocks at a stopped server's port could be given that very port."""
LOG_LINES = 40


class StartError(RuntimeError):
    """The server ended, or did not answer in time; the message ends with its log."""


class Server(ABC):
    """One server on loopback with a folder and port of its own, which outlive its process: `start` goes on where `kill` cut off."""

    patience = 60.0
    """Seconds until a start counts as failed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def command(self) -> Sequence[str]:
        """What starts it; writes its configuration."""

    @abstractmethod
    def answers(self) -> bool:
        """Whether it can be used now."""

    def start(self) -> Self:
        """Returns once it answers."""
        self.launch()
        return self.started()

    def launch(self) -> None:
        """Returns at once, so that several can be started side by side."""
        command = self.command()
        with self._log.open("ab") as log:
            # It goes with the thread that started it, however the tests end; a full file is an error to it, as a full disk is.
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *command], stdout=log, stderr=log, cwd=self.folder, restore_signals=False
            )

    def started(self) -> Self:
        """Once it answers what was launched."""
        end = time.monotonic() + self.patience
        while not self.answers():
            code = self._running.poll()
            if code is not None or time.monotonic() > end:
                self.kill()
                what = f"did not answer within {self.patience:.0f} s" if code is None else f"ended with {code}"
                raise StartError(f"{type(self).__name__} {what}:\n{self.log()}")
            time.sleep(0.05)
        return self

    def stop(self, timeout: float = 30.0) -> None:
        """As an operator stops it."""
        self._end(signal.SIGTERM, timeout)

    def kill(self) -> None:
        """Without a warning."""
        self._end(signal.SIGKILL, 10.0)

    def restart(self) -> None:
        self.stop()
        self.start()

    def pause(self) -> None:
        """It keeps its connections and answers nothing until `resume`."""
        self._running.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._running.send_signal(signal.SIGCONT)

    def limit_files(self, size: int) -> None:
        """No file of its grows beyond `size` bytes until it is started anew: a full disk, without one."""
        resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (size, size))

    def ended(self, timeout: float) -> bool:
        """Whether it ends by itself within the time."""
        try:
            self._running.wait(timeout)
        except subprocess.TimeoutExpired:
            return False
        return True

    @property
    def pid(self) -> int:
        return self._running.pid

    def log(self) -> str:
        """Its last lines."""
        return "\n".join(self._log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES:])

    @property
    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise StartError(f"{type(self).__name__} is not started")
        return self._process

    @property
    def _log(self) -> Path:
        return self.folder / "server.log"

    def _end(self, how: signal.Signals, timeout: float) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        process.send_signal(signal.SIGCONT)
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port() -> int:
    """Nobody listens there now."""
    chance = random.SystemRandom()
    while True:
        port = chance.choice(PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


def listens(port: int) -> bool:
    """Whether a connection is taken there."""
    with socket.socket() as client:
        client.settimeout(1)
        return client.connect_ex(("127.0.0.1", port)) == 0
