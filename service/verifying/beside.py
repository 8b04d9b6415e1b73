"""What is told beside a verdict and decides nothing: calibration, latency, and whether the new model learned too much or too little."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.performance import Reliability, gap, share
from service.ports import Embedder
from service.records import Payload
from service.verifying.answers import Answers, Model
from service.verifying.judging import Judged
from service.verifying.unusable import blamed

_RESAMPLED = 60
_TIMED, _SECONDS = 64, 5.0
"""Rows that are timed, and how long that may take."""
_WARMED = 3
_MATTERS = 0.05
"""Accuracy that is surely lost from what was learned to what was not, from which a model is said to have learned too much."""
_LEARNED = 0.05
"""By which the accuracy on what was learned is surely below the old model's on golden, where it is said to have learned too little."""


def beside(  # noqa: PLR0913 - options by keyword, after what is told of
    judged: Judged,
    old: Model,
    new: Model,
    payloads: Sequence[Payload],
    *,
    rng: np.random.Generator,
    clock: Callable[[], float],
    run: Mapping[str, Any] = MappingProxyType({}),
    train: Answers | None = None,
) -> dict[str, Any]:
    """To be kept with the verdict. `payloads`: that are timed; `run` and `train` as `fitting` takes them."""
    return {
        "calibration": calibration(judged.golden, rng=rng) if judged.looked else None,
        "latency": latency(old.embedder, new.embedder, payloads, clock=clock),
        "fitting": fitting(run, judged.verification, train),
    }


def calibration(answers: Answers, *, rng: np.random.Generator) -> dict[str, Any] | None:
    """Each model's expected calibration error with its interval, its bins, and by how much the error changes on the same rows; None
    below 20 rows with confidences. `by_chance`: what bins of this size show even of a perfect confidence."""
    if answers.old_confidence is None or answers.new_confidence is None:
        return None
    sides = {"old": (answers.old_confidence, answers.right[0]), "new": (answers.new_confidence, answers.right[1])}
    found = {name: Reliability.of(*side) for name, side in sides.items()}
    if None in found.values():
        return None
    drawn = np.array([_errors(sides, rows) for rows in rng.integers(0, len(answers), (_RESAMPLED, len(answers)))])
    spread = 1.96 * np.nanstd(np.column_stack([drawn, drawn[:, 1] - drawn[:, 0]]), axis=0)
    told = {name: _reliable(each, float(spread[at])) for at, (name, each) in enumerate(found.items()) if each is not None}
    change = told["new"]["error"] - told["old"]["error"]
    return {**told, "change": {"estimate": change, "low": change - float(spread[2]), "high": change + float(spread[2])}}


def _errors(sides: Mapping[str, tuple[NDArray[np.float32], NDArray[np.bool_]]], rows: NDArray[np.int64]) -> list[float]:
    """Of the old and the new model on these rows."""
    found = [Reliability.of(confidence[rows], right[rows]) for confidence, right in sides.values()]
    return [float("nan") if each is None else each.error for each in found]


def _reliable(found: Reliability, spread: float) -> dict[str, Any]:
    bins = [[each.confidence, each.right.estimate, each.rows] for each in found.bins]
    error = found.error
    return {"error": error, "low": max(error - spread, 0.0), "high": min(error + spread, 1.0), "by_chance": found.by_chance, "bins": bins}


def latency(old: Embedder, new: Embedder, payloads: Sequence[Payload], *, clock: Callable[[], float]) -> dict[str, Any] | None:
    """Seconds that one payload by itself takes each model, by turns on the same machine, and their ratio with its interval: medians, so
    that what else the machine does counts little. None without payloads."""
    timed = list(payloads[:_TIMED])
    if not timed:
        return None
    for payload in timed[:_WARMED]:
        _seconds(old, payload, clock)
        _new_seconds(new, payload, clock)
    began, pairs = clock(), []
    taking = partial(_seconds, old), partial(_new_seconds, new)
    for at, payload in enumerate(timed):
        first, second = (each(payload, clock) for each in (taking if at % 2 else taking[::-1]))
        pairs.append((first, second) if at % 2 else (second, first))
        if clock() - began > _SECONDS:
            break
    return _medians(np.array(pairs))


def _seconds(model: Embedder, payload: Payload, clock: Callable[[], float]) -> float:
    began = clock()
    model.embed([payload])
    return clock() - began


def _new_seconds(model: Embedder, payload: Payload, clock: Callable[[], float]) -> float:
    with blamed():
        return _seconds(model, payload, clock)


def _medians(pairs: NDArray[np.float64]) -> dict[str, Any]:
    """The interval of a median lies between order statistics: ranks n/2 ± .98 √n."""
    ratios = np.sort(pairs[:, 1] / np.maximum(pairs[:, 0], 1e-9))
    n, reach = len(ratios), 0.98 * np.sqrt(len(ratios))
    low, high = (ratios[int(np.clip(np.floor(n / 2 + side * reach), 0, n - 1))] for side in (-1, 1))
    old, new = np.median(pairs, axis=0)
    ratio = {"estimate": float(np.median(ratios)), "low": float(low), "high": float(high)}
    return {"rows": n, "old_seconds": float(old), "new_seconds": float(new), "ratio": ratio}


def fitting(run: Mapping[str, Any], found: Mapping[str, Any], train: Answers | None = None) -> dict[str, Any]:
    """Accuracies of the new model on what it learned from, on what its training held out, and on golden, with what they say together.

    run : how it was made (`Artefact.run`), whose `figures` name `train` and `validation` {`accuracy`, `rows`}. `found`: the verification.
    train : what both say of the training set, where the run does not tell.
    """
    figures = {name: _told(run, name) for name in ("train", "validation")}
    if figures["train"] is None and train is not None and len(train):
        right = int(train.right[1].sum())
        figures["train"] = (right, len(train))
    golden = found.get("golden")
    figures["golden"] = (round(golden["new_accuracy"] * golden["rows"]), golden["rows"]) if golden else None
    shares = {name: share(*each) for name, each in figures.items() if each}
    told = {
        name: {"rows": (figures[name] or (0, 0))[1], "accuracy": each.estimate, "interval": [each.low, each.high]}
        for name, each in shares.items()
    }
    fits, says = _fits(figures, golden)
    return {"fits": fits, "says": says, **told}


def _told(run: Mapping[str, Any], name: str) -> tuple[int, int] | None:
    """(right, rows) as the run says; what was trained elsewhere may say anything, or nothing."""
    figures = run.get("figures")
    told = figures.get(name) if isinstance(figures, Mapping) else None
    accuracy, rows = (told.get("accuracy"), told.get("rows")) if isinstance(told, Mapping) else (None, None)
    if not isinstance(accuracy, int | float) or not isinstance(rows, int) or not 0 <= accuracy <= 1 or rows < 1:
        return None
    return round(accuracy * rows), rows


def _fits(figures: Mapping[str, tuple[int, int] | None], golden: Mapping[str, Any] | None) -> tuple[str, str]:
    train, others = figures["train"], {name: figures[name] for name in ("validation", "golden")}
    if train is None or golden is None:
        return "not known", "how it answers what it learned from is not known: a run's figures or a training set would tell"
    for name, other in others.items():
        lost = gap(*train, *other) if other else None
        if lost is not None and lost.low > _MATTERS:
            return (
                "over",
                f"accuracy falls by {100 * lost.estimate:.1f} points from what it learned from to {name}: it learned too much by heart",
            )
    if share(*train).high < golden["old_accuracy"] - _LEARNED:
        return "under", "it answers what it learned from worse than the old model answers golden: it learned too little"
    return "well", "no sign of too much or too little learned"
