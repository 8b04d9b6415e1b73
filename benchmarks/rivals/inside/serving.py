"""Fits a rival and follows streams with it, told what to do by lines of JSON on standard input; arrays go through .npz files."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, TextIO, TypeAlias

import numpy as np
from numpy.typing import NDArray

Rows: TypeAlias = NDArray[np.float32]


class Rival(Protocol):
    """A fitted detector, at the beginning of a stream."""

    step: int
    """Rows that it decides on together."""

    @property
    def state_bytes(self) -> int:
        """Of one stream, besides what the reference taught."""

    def restart(self) -> None:
        """Forgets the stream, keeps the reference."""

    def score(self, rows: Rows) -> tuple[float, bool]:
        """Its statistic after (step, d) more rows, large under drift, and whether it raises an alarm."""


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """What a rival is fitted on."""

    rows: Rows
    topics: NDArray[np.int64]
    """(n,) classes that a model of the user's would tell apart."""
    seed: int
    shipped: bool
    """With the thresholds that it comes with; else only its statistic counts, with the least of calibration."""


Fit: TypeAlias = Callable[[Reference], Rival]


@dataclass(slots=True)
class Followed:
    """What a stream has shown so far."""

    seen: list[int] = field(default_factory=list)
    statistic: list[float] = field(default_factory=list)
    alarms: list[int] = field(default_factory=list)
    cut_at: float = np.inf
    """The statistic beyond which it was followed no further."""

    def add(self, rows: int, statistic: float, *, alarm: bool) -> None:
        """One step more."""
        self.seen.append(rows)
        self.statistic.append(statistic)
        if alarm:
            self.alarms.append(rows)


@dataclass(frozen=True, slots=True)
class Task:
    """One line: a fit, and streams to follow until they end or the CPU seconds are spent."""

    method: str
    seed: int
    shipped: bool
    rows: str
    streams: list[str]
    out: str
    version: str
    seconds: float | None = None
    ceiling: float | None = None
    """A statistic above which nothing more needs to be known of a stream, from row `cut_after` on."""
    cut_after: int = 0
    cut_short: bool = False
    """Whether a stream that time runs out on counts as far as it went; else it is left out."""


def run(task: Task, fits: Mapping[str, Fit]) -> float:
    """Does it; the CPU seconds that it took."""
    started = time.process_time()
    with np.load(task.rows, allow_pickle=False) as arrays:
        given = {name: arrays[name] for name in ("reference", "topics", *task.streams)}
    np.random.seed(task.seed)  # noqa: NPY002 - libraries draw from numpy's global generator
    loaded = time.process_time()
    rival = fits[task.method](Reference(given["reference"], given["topics"], task.seed, task.shipped))
    fitted = time.process_time()
    until = np.inf if task.seconds is None else started + task.seconds
    found = {stream: path for stream in task.streams if (path := _follow(rival, given[stream], task, until)) is not None}
    rows = sum(path.seen[-1] for path in found.values() if path.seen)
    spent = time.process_time() - started
    cost = [(time.process_time() - fitted) / max(rows, 1), fitted - loaded, rival.state_bytes]
    _write(task, found, np.array([*cost, spent, held_bytes(rival)]))
    return spent


def _follow(rival: Rival, rows: Rows, task: Task, until: float) -> Followed | None:
    """None if time ran out on it."""
    rival.restart()
    found = Followed()
    for end in range(rival.step, len(rows) + 1, rival.step):
        if time.process_time() > until:
            return found if task.cut_short and found.seen else None
        statistic, alarm = rival.score(rows[end - rival.step : end])
        found.add(end, statistic, alarm=alarm)
        if task.ceiling is not None and statistic > task.ceiling and end > task.cut_after:
            found.cut_at = statistic
            break
    return found


def _write(task: Task, found: Mapping[str, Followed], cost: NDArray[np.float64]) -> None:
    arrays: dict[str, Any] = {"version": np.array(task.version), "cost": cost, "asked": np.array(task.streams)}
    for stream, path in found.items():
        arrays[f"rows:{stream}"] = np.array(path.seen, np.int64)
        arrays[f"statistic:{stream}"] = np.array(path.statistic, np.float64)
        arrays[f"alarms:{stream}"] = np.array(path.alarms, np.int64)
        arrays[f"cut:{stream}"] = np.array(path.cut_at)
    draft = Path(task.out).with_name(f"{Path(task.out).stem}.{os.getpid()}.draft.npz")
    np.savez_compressed(draft, allow_pickle=False, **arrays)
    draft.replace(task.out)


def held_bytes(thing: object, known: set[int] | None = None) -> int:
    """Bytes of all arrays and tensors that an object holds, each counted once."""
    known = set() if known is None else known
    if id(thing) in known or isinstance(thing, (str, bytes, int, float, type)) or callable(getattr(thing, "__get__", None)):
        return 0
    known.add(id(thing))
    size = getattr(thing, "nbytes", None)
    if isinstance(size, int):
        return size
    parts = thing.values() if isinstance(thing, dict) else thing if isinstance(thing, (list, tuple, set)) else None
    if parts is None:
        parts = list(getattr(thing, "__dict__", {}).values())
    return sum(held_bytes(part, known) for part in parts)


def main(module: str, tasks: TextIO, replies: TextIO) -> None:
    """Until the input ends. A rival that fails says how; that is an answer too."""
    fits: Mapping[str, Fit] = import_module(module).FITS
    for line in tasks:
        try:
            reply: dict[str, Any] = {"spent": run(Task(**json.loads(line)), fits)}
        except Exception as error:  # noqa: BLE001 - whatever foreign code raises is told to the one who asked
            reply = {"error": f"{type(error).__name__}: {error}"}
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


if __name__ == "__main__":
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print is no answer
    main(sys.argv[1], sys.stdin, answers)
