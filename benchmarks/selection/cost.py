"""What a choice from a large pool costs, beside one exact nearest-neighbour pass of the same pool over golden: the method alone, and
all that the service does from gathered rows to candidates (risks of the whole pool, audits, reasons)."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from benchmarks.figures import Figure, Progress
from detectors.neighbours import nearest_rows
from detectors.selection import REJECTED, Known, Pool, Selector, Turn
from detectors.selection.dcd import FailureDistance
from detectors.selection.risk import Risk
from service.records import Partition, Pooled
from service.selecting.choosing import Choice, Limits, audits_due
from service.selecting.gathering import Counts, Gathered
from service.selecting.knowing import Ground, Situation
from service.selecting.names import Names
from service.settings import SelectionSettings

POOL, GOLDEN, DIMENSION, CLASSES = 20_000, 5_000, 384, 150
LABELS, ROUNDS, FAILURES = 100, 5, 10
PASSES, MOST_BYTES = 6.0, 300 * 2**20

_NEIGHBOURS, _TIMES = 10, 3
_NEW = 20
"""Classes that the model never saw, among `CLASSES`."""
_SHARES = (0.5, 0.2, 0.2, 0.1)
"""Of the pool: known classes, new ones, junk that is scattered, junk in two clusters."""


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """A made-up pool with what is known, and what would be answered about each row."""

    pool: Pool
    known: Known
    answers: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds of one core, of a choice and of one pass, and the process's memory at its highest."""

    seconds: float
    one_pass: float
    peak_bytes: int
    progressed: int
    """How often the choice told how far it was."""


Chooses: TypeAlias = Callable[[Made, int, Callable[[float], None]], NDArray[np.int64]]
"""All rounds of a choice: the rows that were asked about."""


def run(progress: Progress) -> Sequence[Figure]:
    """Each choice in a process of its own, three times; the median."""
    figures = []
    for name, made, rounds in (("probe and expand", _ours, ROUNDS), ("probe and expand", _ours, 1), ("DCD", FailureDistance, 1)):
        for failures in (True, False) if made is _ours else (True,):
            progress(f"{name}, rounds: {rounds}")
            costs = [_apart(partial(measure, partial(choose, made), rounds, failures=failures)) for _ in range(_TIMES)]
            what = f"{name}, {rounds} × {LABELS // rounds} labels{'' if failures else ', no failure samples'}"
            figures += _figures(what, costs, judged=made is _ours)
    for rounds in (ROUNDS, 1):
        progress(f"the service, rounds: {rounds}")
        costs = [_apart(partial(measure, serve, rounds, failures=True)) for _ in range(_TIMES)]
        figures += _figures(f"the service's choice, {rounds} × {LABELS // rounds} labels", costs, judged=True)
    return figures


def _ours() -> Selector:
    made: Selector = import_module("detectors.selection.probe_expand").ProbeAndExpand()
    return made


def _apart(measured: Callable[[], Cost]) -> Cost:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(measured).result()


def _figures(what: str, costs: Sequence[Cost], *, judged: bool) -> list[Figure]:
    passes = float(np.median([cost.seconds / cost.one_pass for cost in costs]))
    seconds, one_pass = (float(np.median([getattr(cost, part) for cost in costs])) for part in ("seconds", "one_pass"))
    peak = max(cost.peak_bytes for cost in costs)
    told = f"{passes:.2f} passes ({seconds:.2f} s of one core, a pass takes {one_pass:.2f} s)"
    bars = (f"≤ {PASSES:g}", f"≤ {MOST_BYTES / 2**20:.0f} MB") if judged else ("", "")
    return [
        Figure(what, told, bars[0], passes <= PASSES if judged else None),
        Figure(
            f"{what}: the whole process's memory at its highest", f"{peak / 2**20:.0f} MB", bars[1], peak <= MOST_BYTES if judged else None
        ),
        Figure(
            f"{what}: progress told", f"{costs[0].progressed} times", "≥ 1" if judged else "", costs[0].progressed > 0 if judged else None
        ),
    ]


def measure(choice: Chooses, rounds: int, *, failures: bool) -> Cost:
    """All rounds of a choice; then passes, whose memory does not count."""
    given, told = make(failures=failures), list[float]()
    began = time.process_time()
    choice(given, rounds, told.append)
    seconds, peak = time.process_time() - began, peak_bytes()
    passes = []
    for _ in range(_TIMES):
        began = time.process_time()
        nearest_rows(given.pool.embeddings, given.known.reference, _NEIGHBOURS)
        passes.append(time.process_time() - began)
    return Cost(seconds, float(np.median(passes)), peak, len(told))


def choose(made: Callable[[], Selector], given: Made, rounds: int, progress: Callable[[float], None]) -> NDArray[np.int64]:
    """Rows that were asked about. The pool stays whole: a selector leaves out what was answered."""
    selector = made()
    asked, rng = np.empty(0, np.int64), np.random.default_rng(0)
    for number in range(1, rounds + 1):
        known = _answered(given, asked)
        picks = selector.pick(given.pool, known, budget=LABELS // rounds, rng=rng, turn=Turn(number, rounds), progress=progress)
        asked = np.concatenate([asked, np.array([pick.row for pick in picks], np.int64)])
    return asked


def serve(given: Made, rounds: int, progress: Callable[[float], None]) -> NDArray[np.int64]:
    """The same by the service's own choice, with its limit of risk and its audits; rows that were asked about are gathered no more."""
    settings, rng = SelectionSettings(), np.random.default_rng(0)
    asked, audited = np.empty(0, np.int64), 0
    for number in range(1, rounds + 1):
        budget = LABELS // rounds
        limits = Limits(budget, settings.risk_limit, audits_due(settings.audit_share, budget, before=len(asked), audited=audited))
        choice = Choice(_ours(), Risk(), Turn(number, rounds), "all", progress)
        found = choice.choose(_ground(given, asked), limits, rng)
        audited += limits.audits
        asked = np.concatenate([asked, np.array([int(item.id) for item in found.candidates], np.int64)])
    return asked


def _ground(given: Made, asked: NDArray[np.int64]) -> Ground:
    """What is known after those rows were answered, over the rows that are left."""
    rows = tuple(
        Pooled("m", str(i), float(i), Partition("log", "0"), i, "", {}, None, None, vector.astype(np.float16), 0.5, 1)
        for i, vector in enumerate(given.pool.embeddings)
    )
    gathered = Gathered(rows, given.pool.embeddings, ((),) * len(rows), np.ones(len(rows), np.float32), Counts())
    known = _answered(given, asked)
    cited = tuple((str(i), "") for i in range(len(known.reference)))
    situation = Situation("vector", given.pool.probabilities is not None, FAILURES, len(asked))
    names = Names([str(i) for i in range(CLASSES)], ())
    ground = Ground(gathered, given.pool, known, names, cited, ("",) * FAILURES, situation)
    return ground.take(np.setdiff1d(np.arange(len(rows)), asked))


def _answered(given: Made, asked: NDArray[np.int64]) -> Known:
    known = given.known
    said = None if given.pool.predicted is None else given.pool.predicted[asked]
    return Known(
        known.reference,
        known.labels,
        known.predicted,
        known.probabilities,
        known.failures,
        known.failure_labels,
        given.pool.embeddings[asked],
        given.answers[asked],
        said,
    )


def make(*, failures: bool, rows: int = POOL, golden: int = GOLDEN) -> Made:
    """Unit rows around 150 means, of which the model knows 130."""
    rng = np.random.default_rng(0)
    means = rng.standard_normal((CLASSES + 2, DIMENSION)).astype(np.float32)
    sizes = [int(share * rows) for share in _SHARES]
    truth = np.concatenate(
        [
            rng.integers(0, CLASSES - _NEW, sizes[0]),
            rng.integers(CLASSES - _NEW, CLASSES, sizes[1]),
            np.full(sizes[2] + sizes[3], REJECTED),
        ]
    )
    topic = truth.copy()
    topic[-sizes[3] :] = rng.integers(CLASSES, CLASSES + 2, sizes[3])
    pool, reference = _around(means, topic, rng), rng.integers(0, CLASSES - _NEW, golden)
    golden_rows, seen = _around(means, reference, rng), means[: CLASSES - _NEW]
    chances, said = _chances(pool, seen), _chances(golden_rows, seen)
    first = sizes[0] + np.arange(FAILURES)
    known = Known(golden_rows, reference, said.argmax(1).astype(np.int64), said)
    if failures:
        known = Known(golden_rows, reference, known.predicted, said, pool[first] + np.float32(0.01), truth[first])
    return Made(Pool(pool, chances, chances.argmax(1).astype(np.int64)), known, truth)


def _around(means: NDArray[np.float32], topic: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.float32]:
    """Rows of a topic, and anything for those of none."""
    rows = rng.standard_normal((len(topic), means.shape[1]), np.float32)
    rows[topic >= 0] *= 0.7
    for at in range(0, len(topic), 1_000):
        some = topic[at : at + 1_000]
        rows[at : at + 1_000][some >= 0] += means[some[some >= 0]]
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def _chances(rows: NDArray[np.float32], means: NDArray[np.float32]) -> NDArray[np.float32]:
    scores = rows @ means.T
    scores -= scores.max(1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(1, keepdims=True)
    return scores


def peak_bytes() -> int:
    """This process's resident memory at its highest. `ru_maxrss` would count the parent's, too."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024
