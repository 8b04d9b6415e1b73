"""Paths of every method on every stream, computed once: thresholds and delays come from them afterwards."""

from __future__ import annotations

import ast
import hashlib
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path as FilePath

import numpy as np
from numpy.typing import NDArray

from benchmarks.figures import Progress
from benchmarks.grid import methods, scenarios, worlds
from benchmarks.grid.methods import METHODS, OURS, UNORDERED, Fitted, Path, Shipped
from benchmarks.public_sets import CACHE
from detectors import DriftScan

FOLDER = CACHE / "grid"
"""`<set>/<method>/<seed>.npz`."""

_FIRST = scenarios.WARM_UP + 1024
"""Rows of a cell that are followed at first."""
_BEYOND = 2.0
"""Times the largest statistic of a trial's stream without drift: no threshold lies there."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a method costs on one thread of this machine."""

    row_seconds: float
    fit_seconds: float
    state_bytes: int


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """What is known of a method on one trial: the records of its path on "null" and on each cell, what it costs, and what it gives
    as shipped where it comes with thresholds."""

    paths: Mapping[str, Path]
    cost: Cost
    shipped: Shipped | None = None

    def save(self, file: FilePath, version: str) -> None:
        """Arrays without pickle: `rows:<stream>`, `statistic:<stream>`, `cost`, `shipped`, `version`."""
        arrays: dict[str, NDArray[np.generic]] = {"version": np.array(version)}
        for stream, path in self.paths.items():
            kept = path.records() if stream == "null" else path.records(scenarios.WARM_UP)
            arrays |= {f"rows:{stream}": kept.rows_seen, f"statistic:{stream}": kept.statistic}
        arrays["cost"] = np.array([self.cost.row_seconds, self.cost.fit_seconds, self.cost.state_bytes])
        if self.shipped is not None:
            arrays["shipped"] = np.array([self.shipped.samples, self.shipped.alarms, self.shipped.run_length])
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = file.with_name(f"{file.stem}.{os.getpid()}.draft.npz")
        np.savez_compressed(draft, allow_pickle=False, **arrays)
        draft.replace(file)

    @classmethod
    def load(cls, file: FilePath) -> Kept:
        """What `save` wrote."""
        with np.load(file, allow_pickle=False) as arrays:
            streams = [name.removeprefix("rows:") for name in arrays.files if name.startswith("rows:")]
            paths = {name: Path(arrays[f"rows:{name}"], arrays[f"statistic:{name}"]) for name in streams}
            row_seconds, fit_seconds, state_bytes = arrays["cost"].tolist()
            shipped = arrays["shipped"].tolist() if "shipped" in arrays.files else None
        cost = Cost(row_seconds, fit_seconds, int(state_bytes))
        return cls(paths, cost, Shipped(int(shipped[0]), int(shipped[1]), shipped[2]) if shipped else None)


def kept_at(name: str, method: str, seed: int) -> FilePath:
    """Where a trial of a set and method is kept."""
    return FOLDER / name / method / f"{seed}.npz"


def kept(name: str) -> dict[str, dict[int, Kept]]:
    """By method and seed, all that the cache holds of a set and that is not stale, installed rivals included."""
    found: dict[str, dict[int, Kept]] = {}
    for file in sorted((FOLDER / name).glob("*/*.npz")):
        method = file.parent.name
        if file.stem.isdigit() and _fresh(file, version(method)):
            found.setdefault(method, {})[int(file.stem)] = Kept.load(file)
    return found


def _fresh(file: FilePath, wanted: str) -> bool:
    if not file.exists():
        return False
    with np.load(file, allow_pickle=False) as arrays:
        return str(arrays["version"]) == wanted


def version(method: str) -> str:
    """Of what a path depends on: the scenarios, and for our detector and what is written here also the code."""
    name = method.split(",", maxsplit=1)[0]
    if name == OURS:
        return f"{scenarios.VERSION} {_DETECTORS}"
    return f"{scenarios.VERSION} {_METHODS}" if name in METHODS else scenarios.VERSION


def code_version(module: str, within: str) -> str:
    """Hash of what a module says and of all that it imports, directly or not, `within` a package; comments and layout do not count."""
    found: dict[str, str] = {}
    todo = {module}
    while todo:
        name = todo.pop()
        origin = (spec := find_spec(name)) and spec.origin
        tree = ast.parse(FilePath(origin).read_text(encoding="utf-8")) if origin else ast.Module([], [])
        found[name] = ast.unparse(tree)
        imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
        todo |= {other for other in imported if f"{other}.".startswith(f"{within}.")} - set(found)
    return hashlib.sha256("".join(f"{name}\n{found[name]}\n" for name in sorted(found)).encode()).hexdigest()[:12]


def _until_clear(fitted: Fitted, embeddings: methods.Rows, ceilings: Mapping[str, float]) -> tuple[int, Mapping[str, Path]]:
    """(rows followed, paths by variant): a drift that lifts every variant far beyond all that came without one, its `ceilings`, soon
    after the change needs no following to the end."""
    taken = 0
    for length in (_FIRST, len(embeddings)) if ceilings and len(embeddings) > _FIRST else (len(embeddings),):
        paths, taken = fitted.paths(embeddings[:length]), taken + length
        late = {variant: path.statistic[path.rows_seen > scenarios.WARM_UP] for variant, path in paths.items()}
        if all(late[variant].max(initial=0.0) > ceilings.get(variant, np.inf) for variant in paths):
            break
    return taken, paths


_DETECTORS, _METHODS = code_version(DriftScan.__module__, "detectors"), code_version(methods.__name__, methods.__name__)
"""Read when the code is, so that a long run is not labelled with what was written since."""


def compute(sets: Sequence[str], streams: int, progress: Progress) -> None:
    """Fills the cache, on every core with one thread each; what is there already and not stale is not computed again."""
    todo = [(seed, name, missing) for seed in range(streams) for name in sets if (missing := _missing(name, seed))]
    done = 0
    with ProcessPoolExecutor(len(os.sched_getaffinity(0)), mp_context=get_context("spawn")) as pool:
        for future in as_completed([pool.submit(_compute, version(OURS), name, seed, missing) for seed, name, missing in todo]):
            future.result()
            done += 1
            progress(f"{done} of {len(todo)} trials")


def _missing(name: str, seed: int) -> list[str]:
    wanted = [method for method in METHODS if method != UNORDERED or name in worlds.SESSIONS]
    return [method for method in wanted if not _fresh(kept_at(name, method, seed), version(method))]


def _compute(expected: str, name: str, seed: int, missing: Sequence[str]) -> None:
    if version(OURS) != expected:
        raise RuntimeError("detectors/ changed while the grid was starting: run it again, on a copy that nobody edits")
    trial = scenarios.trial(name, seed)
    for method in missing:
        for variant, found in _followed(trial, method, seed):
            if variant and method == UNORDERED:
                continue  # one part left out at a time
            found.save(kept_at(name, f"{method}, {variant}" if variant else method, seed), version(method))


def _followed(trial: scenarios.Trial, method: str, seed: int) -> Iterator[tuple[str, Kept]]:
    """A method and its variants over a trial's streams; the method itself comes last, so that its file says that all are there."""
    started = time.process_time()
    fitted = METHODS[method](trial.reference, seed, trial.order)
    fit_seconds, rows = time.process_time() - started, 0
    started = time.process_time()
    found: dict[str, dict[str, Path]] = {}
    ceilings: dict[str, float] = {}
    for stream, embeddings in trial.streams():
        taken, paths = _until_clear(fitted, embeddings, ceilings)
        rows += taken
        ceilings = ceilings or {variant: _BEYOND * float(path.statistic.max()) for variant, path in paths.items()}
        for variant, path in paths.items():
            found.setdefault(variant, {})[stream] = path
    cost = Cost((time.process_time() - started) / rows, fit_seconds, fitted.state_bytes)
    for variant in sorted(found, reverse=True):
        yield variant, Kept(found[variant], cost, None if variant else fitted.shipped(trial.null))
