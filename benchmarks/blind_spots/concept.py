"""The error-rate test: labels until a false alarm, and delay beside river's detectors at equal measured run length.

What has a bar is the stationary average delay (`error_cycles`). Beside it stands the delay shortly after the reference, by the grid's
rules (`benchmarks/grid/verdicts.py`): every method is a path that is never reset, its threshold is where its own measured run length is
10,000 labels, a stream that crosses before the change is left out, and a miss counts as 5,000. All learn the reference's labels first.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path as FilePath
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from benchmarks.blind_spots.error_cycles import BEFORE, OURS, RIVALS, Cycled, cycled
from benchmarks.blind_spots.error_streams import REFERENCE, Flags, Labelled, Trial, drawn, real, sets
from benchmarks.figures import Figure, Progress
from benchmarks.grid.methods import Path
from benchmarks.grid.paths import Cost, Kept
from benchmarks.grid.scenarios import WARM_UP
from benchmarks.grid.verdicts import Streams, geometric_mean
from benchmarks.rivals import environments
from benchmarks.rivals.conversation import Conversation
from benchmarks.rivals.inside.serving import Task
from benchmarks.trials import Estimate, run_length, spread
from detectors.error_rate import ErrorRateTest

EARLY_RIVALS = ("PageHinkley", "PageHinkley .025", "DDM", "ADWIN")
TRIALS, EARLY_TRIALS = 24, 8
SEED = 3_000
"""Of the first trial: none of those that the test was developed on."""
LOW, HIGH = 0.8, 2.0

Rates: TypeAlias = Mapping[str, Callable[[NDArray[np.int64]], NDArray[np.float64]]]

DRAWN: Mapping[float, Sequence[float]] = MappingProxyType({0.05: (0.08, 0.1, 0.2), 0.1: (0.15, 0.2, 0.3)})
"""Error rate before the change → after it."""
GRADUAL = 2_000
"""Labels over which an error rate grows by half of itself, twice itself, or as much as the middle one of the steps."""
SHARES = MappingProxyType({"5 % of labels permuted": 0.05, "15 % of labels permuted": 0.15, "30 % of labels permuted": 0.3})

RUN_LENGTHS: Sequence[tuple[float, int, float, int]] = (
    (0.01, 200, 2_000, 1), (0.01, 10_000, 2_000, 1), (0.05, 200, 2_000, 1), (0.05, 1_000, 20_000, 8), (0.05, 10_000, 200_000, 32),
    (0.1, 500, 1e6, 128), (0.1, 500, 1e7, 1_024), (0.3, 200, 2_000, 1), (0.3, 10_000, 20_000, 8),
)  # fmt: skip
"""Error rate, labels of the reference, run length asked for, and labels that arrive together."""
LOST, MEAN_DELAY, DELIVERED = 0.4, 1_500.0, 64
"""Share of the labels that never come, how many samples later the others do in the mean, and how many are delivered together."""
REAL_RUN_LENGTH = 2_000.0
_FREE = Cost(0.0, 0.0, 0)
"""Not measured here."""


@dataclass(frozen=True, slots=True)
class Quiet:
    """What came of streams without a change, one by one; what raised an alarm is accepted, as after a verdict."""

    samples: float
    alarms: int


def run(progress: Progress) -> Sequence[Figure]:
    """CONCEPT_RUNS makes it smaller (1; 0.2 follows a fifth of the trials)."""
    trials = max(int(TRIALS * float(os.environ.get("CONCEPT_RUNS", "1"))), 4)
    given = sets(progress)
    return [*_run_lengths(given, trials, progress), *_delays(given, trials, progress)]


# --- labels until a false alarm --------------------------------------------------------------------------------------


def _run_lengths(given: Mapping[str, Labelled], trials: int, progress: Progress) -> list[Figure]:
    figures = []
    for case in RUN_LENGTHS:
        rate, labels, asked, block = case
        found = spread(partial(_drawn_quiet, case), range(SEED, SEED + 2 * trials), progress, unit=f"quiet streams at {rate:.0%}")
        name = f"run length over {asked:,.0f}: {rate:.0%} wrong, {labels:,} reference labels, {block} at a time"
        figures.append(_ratio(name, found, asked))
    for name, rows in given.items():
        found = spread(partial(_real_quiet, rows), range(SEED, SEED + trials), progress, unit=f"quiet streams of {name}")
        figures.append(_ratio(f"run length over {REAL_RUN_LENGTH:,.0f}: {name}, {LOST:.0%} of the labels lost, the others late", found))
    return figures


def _ratio(name: str, found: Sequence[Quiet], asked: float = REAL_RUN_LENGTH) -> Figure:
    ratio = run_length([each.samples for each in found], [each.alarms for each in found], asked)
    alarms = sum(each.alarms for each in found)
    return Figure(
        name, f"{_shown(ratio)}, {alarms} alarms", f"not wholly outside {LOW:g}–{HIGH:g}", ratio.high >= LOW and ratio.low <= HIGH
    )


def _drawn_quiet(case: tuple[float, int, float, int], seed: int) -> Quiet:
    rate, labels, asked, block = case
    rng = np.random.default_rng(seed)
    test = ErrorRateTest(int(rng.binomial(labels, rate)), labels, run_length=asked)
    blocks = rng.binomial(block, rate, int(2 * asked) // block)
    return Quiet(float(len(blocks) * block), _alarms(test, blocks.tolist(), block))


def _real_quiet(given: Labelled, seed: int) -> Quiet:
    """Each sample's label is lost or late by itself; those that arrived are delivered a few at a time."""
    trial, rng = real(given, {}, WARM_UP, seed), np.random.default_rng(seed)
    wrong = trial.streams["null"]
    arrives = np.arange(len(wrong)) + rng.exponential(MEAN_DELAY, len(wrong))
    kept = wrong[np.argsort(arrives)[rng.random(len(wrong)) >= LOST]]
    whole = kept[: len(kept) // DELIVERED * DELIVERED].reshape(-1, DELIVERED)
    test = ErrorRateTest(int(trial.reference.sum()), REFERENCE, run_length=REAL_RUN_LENGTH)
    size = max(1, DELIVERED // 128)
    return Quiet(float(whole.size), _alarms(test, whole.reshape(-1, size).sum(1).tolist(), size))


def _alarms(test: ErrorRateTest, blocks: Sequence[int], block: int) -> int:
    count = 0
    for errors in blocks:
        if test.update(block, errors).alarm:
            count += 1
            test.reset(accept=True)
    return count


# --- delay -----------------------------------------------------------------------------------------------------------


def _delays(given: Mapping[str, Labelled], trials: int, progress: Progress) -> list[Figure]:
    figures, logs = list[Figure](), dict[str, list[NDArray[np.float64]]]({rival: [] for rival in RIVALS})
    for name, make in _worlds(given, BEFORE).items():
        found = cycled(name, [make(seed) for seed in range(SEED, SEED + trials)], progress)
        figures.append(_lengths(name, found))
        for cell in found.delays[OURS]:
            figures.append(_stationary(name, found, cell))
            for rival in RIVALS:
                logs[rival].append(found.log_ratios(rival, cell))
    return [*figures, *_verdicts(logs), *_early(given, max(trials * EARLY_TRIALS // TRIALS, 4), progress)]


def _worlds(given: Mapping[str, Labelled], change: int) -> dict[str, Callable[[int], Trial]]:
    """By name, what makes a trial of a seed."""
    worlds: dict[str, Callable[[int], Trial]] = {f"drawn, {rate:.0%} wrong": partial(drawn, rate, _rates(rate), change) for rate in DRAWN}
    return worlds | {name: partial(real, rows, SHARES, change) for name, rows in given.items()}


def _lengths(name: str, found: Cycled) -> Figure:
    each = ", ".join(f"{method} {found.run_length[method]:,.0f}" for method in (OURS, *RIVALS))
    return Figure(f"labels until a false alarm, {name}", f"{each}; {found.alarms} alarms of ours")


def _stationary(name: str, found: Cycled, cell: str) -> Figure:
    rest = ", ".join(f"{rival} {found.mean(rival, cell).value:,.0f}" for rival in RIVALS)
    ours = found.mean(OURS, cell)
    return Figure(f"stationary delay, {name}, {cell}", f"{ours.value:,.0f} [{ours.low:,.0f}, {ours.high:,.0f}]; {rest}")


def _early(given: Mapping[str, Labelled], trials: int, progress: Progress) -> list[Figure]:
    """Shortly after the reference, all else forgotten."""
    figures, logs = list[Figure](), dict[str, list[NDArray[np.float64]]]({rival: [] for rival in EARLY_RIVALS})
    for name, make in _worlds(given, WARM_UP).items():
        streams = _followed(name, make, range(SEED, SEED + trials), progress)
        for cell in streams.methods[OURS].cells:
            figures.append(_cell(f"early delay, {name}, {cell}", streams, cell))
            for rival in EARLY_RIVALS:
                logs[rival].append(streams.log_ratios(OURS, rival, cell))
    means = {rival: geometric_mean(found) for rival, found in logs.items()}
    return [*figures, *(Figure(f"early delay over {rival}'s, geometric mean", _shown(mean)) for rival, mean in means.items())]


def _rates(before: float) -> Rates:
    steps: dict[str, Callable[[NDArray[np.int64]], NDArray[np.float64]]] = {
        f"to {after:.0%}": partial(_risen, before, after, 1) for after in DRAWN[before]
    }
    middle = DRAWN[before][1]
    return steps | {f"to {middle:.0%} over {GRADUAL:,} labels": partial(_risen, before, middle, GRADUAL)}


def _risen(before: float, after: float, over: int, since: NDArray[np.int64]) -> NDArray[np.float64]:
    return before + (after - before) * np.minimum((since + 1) / over, 1.0)


def _followed(world: str, make: Callable[[int], Trial], seeds: range, progress: Progress) -> Streams:
    """All methods on the same trials."""
    made = {seed: make(seed) for seed in seeds}
    ours = spread(_path, list(made.values()), progress, unit=f"trials of {world}")
    kept: dict[str, dict[int, Kept]] = {OURS: dict(enumerate(ours))}
    log = (environments.FOLDER / "found" / "errors.txt").resolve()
    with TemporaryDirectory() as folder, Conversation(environments.interpreter("river", progress), "inside.error_rivals", log) as river:
        for rival in EARLY_RIVALS:
            progress(f"{rival} on {world}")
            kept[rival] = {at: _asked(river, rival, trial, FilePath(folder)) for at, trial in enumerate(made.values())}
    return Streams(kept, seed=0)


def _path(trial: Trial) -> Kept:
    """Ours: evidence after each label; a stream is followed no further than the highest value without a change."""
    null = _evidence(trial.reference, trial.streams["null"], np.inf)
    paths = {name: _evidence(trial.reference, flags, 8.0) for name, flags in trial.streams.items() if name != "null"}
    return Kept({"null": null, **paths}, _FREE)


def _evidence(reference: Flags, flags: Flags, until: float) -> Path:
    test, found = ErrorRateTest(int(reference.sum()), len(reference), run_length=1e6), list[float]()
    for wrong in flags.tolist():
        found.append(test.update(1, int(wrong)).surprise)
        if found[-1] > until and len(found) > WARM_UP:
            break
    return Path(np.arange(1, len(found) + 1), np.array(found))


def _asked(river: Conversation, rival: str, trial: Trial, folder: FilePath) -> Kept:
    arrays = {"reference": trial.reference, **trial.streams}
    np.savez(folder / "rows.npz", allow_pickle=False, topics=np.zeros(1, np.int64), **{k: _column(v) for k, v in arrays.items()})
    river.ask(Task(rival, 0, False, str(folder / "rows.npz"), list(trial.streams), str(folder / "out.npz"), ""))
    with np.load(folder / "out.npz", allow_pickle=False) as out:
        paths = {name: Path(out[f"rows:{name}"], out[f"statistic:{name}"]) for name in trial.streams}
    return Kept(paths, _FREE)


def _column(flags: Flags) -> NDArray[np.float32]:
    return flags.astype(np.float32)[:, None]


def _cell(name: str, streams: Streams, cell: str) -> Figure:
    """In brackets the share of trials in which a rival had crossed before the change."""
    rest = ", ".join(f"{rival} {streams.delay(rival, cell).value:,.0f} ({_crossed(streams, rival, cell):.0%})" for rival in EARLY_RIVALS)
    found = streams.delay(OURS, cell)
    return Figure(name, f"{found.value:,.0f} [{found.low:,.0f}, {found.high:,.0f}] ({_crossed(streams, OURS, cell):.0%}); {rest}")


def _crossed(streams: Streams, method: str, cell: str) -> float:
    measured = streams.methods[method]
    return measured.left_out(cell) / len(measured.seeds)


def _verdicts(logs: Mapping[str, Sequence[NDArray[np.float64]]]) -> list[Figure]:
    """Beside each rival, and beside the fastest of all in each cell, which no single one is."""
    means = {rival: geometric_mean(found) for rival, found in logs.items()}
    name = "stationary delay over {}, geometric mean"
    figures = [Figure(name.format(f"{rival}'s"), _shown(mean), "≤ 1", mean.value <= 1) for rival, mean in means.items()]
    fastest = geometric_mean([np.max(cell, axis=0) for cell in zip(*logs.values(), strict=True)])
    return [*figures, Figure(name.format("the fastest rival's of each cell"), _shown(fastest))]


def _shown(found: Estimate) -> str:
    return f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}]"
