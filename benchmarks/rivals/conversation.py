"""A rival's process, and the tasks it is given one at a time."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import IO, Any, Self

from benchmarks.rivals import environments
from benchmarks.rivals.inside.serving import Task


class RivalError(Exception):
    """A rival can't do what it is asked, or its process has ended."""


class Conversation(AbstractContextManager["Conversation"]):
    """Starts when a task is given, and anew if it has ended; ends with the block. It may last: some take a minute to import."""

    def __init__(self, python: Path, module: str, log: Path) -> None:
        self._command = [str(python), "-m", "inside.serving", module]
        self._log = log
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._end(self._process)

    def ask(self, task: Task) -> float:
        """CPU seconds that it took."""
        process = self._process = self._process or self._start()
        stdin, stdout = self._pipe(process.stdin), self._pipe(process.stdout)
        with suppress(BrokenPipeError):
            stdin.write(json.dumps({name: getattr(task, name) for name in task.__slots__}) + "\n")
            stdin.flush()
        line = stdout.readline()
        if not line:
            raise RivalError(self._end(process))
        reply: Mapping[str, Any] = json.loads(line)
        if "error" in reply:
            raise RivalError(str(reply["error"]))
        return float(reply["spent"])

    def _start(self) -> subprocess.Popen[str]:
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("w", encoding="utf-8") as log:
            pipe, where = subprocess.PIPE, environments.variables()
            return subprocess.Popen(self._command, stdin=pipe, stdout=pipe, stderr=log, text=True, env=where, cwd=self._log.parent)

    def _end(self, process: subprocess.Popen[str]) -> str:
        self._process = None
        with suppress(BrokenPipeError):
            self._pipe(process.stdin).close()
        code = process.wait()
        self._pipe(process.stdout).close()
        return f"its process ended with {code}: {self._log.read_text(encoding='utf-8', errors='replace').strip()[-300:]}"

    @staticmethod
    def _pipe(pipe: IO[str] | None) -> IO[str]:
        assert pipe is not None  # noqa: S101 - both ends are asked for at the start
        return pipe
