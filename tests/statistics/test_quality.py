"""Quality measures and predicted classes cost no false alarms beyond those asked for, and change what is seen."""

import numpy as np
import pytest
from numpy.typing import NDArray

from detectors.kinds import name_kind
from detectors.model import ScanModel, fit_model
from detectors.stream import StreamScan
from detectors.summarizer import Extras

ASKED, STREAMS, LENGTH, PANE = 1_000.0, 4, 16_000, 16
"""64 false alarms are expected; with the references' own scatter a relative error of 30 %."""


def drawn(n: int, rng: np.random.Generator, *, typos: float = 0.0) -> tuple[NDArray[np.float32], Extras]:
    """Two topics with a class each; one measure is heavy-tailed, one seldom differs from zero."""
    topic = rng.integers(0, 2, n)
    rows = (rng.standard_normal((n, 8)) + 2 * topic[:, None]).astype(np.float32)
    spoilt = rng.random(n) < typos
    quality = {
        "spelling": (rng.exponential(size=n) + 4 * spoilt).astype(np.float32),
        "symbols": (rng.random(n) < 0.01).astype(np.float32),
    }
    classes = np.where(rng.random(n) < 0.9, np.array(["a", "b"])[topic], "c")
    return rows, Extras(rng.beta(8, 2, n).astype(np.float32), classes, quality)


@pytest.fixture(scope="module")
def models() -> list[ScanModel]:
    found = []
    for seed in range(STREAMS):
        rows, extras = drawn(3_000, np.random.default_rng(seed))
        found.append(fit_model(rows, seed=seed, pane=PANE, extras=extras))
    return found


def alarms(model: ScanModel, rows: NDArray[np.float32], extras: Extras, run_length: float) -> list[tuple[int, str]]:
    """(samples, kind) of each alarm."""
    described = model.summarizer.describe(rows, confidence=extras.confidence, predicted=extras.predicted, quality=extras.columns)
    scan, found = StreamScan(model, run_length=run_length), list[tuple[int, str]]()
    for end in range(PANE, len(rows) + 1, PANE):
        if scan.update(model.summarizer.summarize(described, slice(end - PANE, end))).alarm:
            found.append((end, name_kind(scan.signs())))
            scan.reset()
    return found


def test_false_alarms_come_as_rarely_as_asked(models: list[ScanModel]) -> None:
    found = [alarms(model, *drawn(LENGTH, np.random.default_rng(100 + s)), ASKED) for s, model in enumerate(models)]
    measured = STREAMS * LENGTH / max(sum(map(len, found)), 1)
    assert 0.5 < measured / ASKED < 2.6  # the bar's 0.8 and 2, each with a relative error of 30 %


def test_a_measure_that_never_varies_neither_alarms_nor_costs() -> None:
    rows, _ = drawn(3_000, np.random.default_rng(0))
    flat = Extras(quality={"flat": np.zeros(3_000, np.float32)})
    without, model = (fit_model(rows, seed=0, pane=PANE, extras=extras) for extras in (Extras(), flat))
    for run_length in (1_000.0, 10_000.0):
        curve = model.calibration.curve
        level = curve.threshold(run_length)
        assert abs(level - without.calibration.curve.threshold(run_length)) < 2 * curve.uncertainty(level)

    fresh, _ = drawn(8_000, np.random.default_rng(100))
    own = np.zeros(8_000, np.float32)
    own[[2_000, 6_000]] = 1  # what the reference never held may come up now and then
    expected = [end for end, _ in alarms(without, fresh, Extras(), 10_000.0)]
    assert [end for end, _ in alarms(model, fresh, Extras(quality={"flat": own}), 10_000.0)] == expected


def test_spoilt_inputs_are_seen_and_named(models: list[ScanModel]) -> None:
    for seed, model in enumerate(models):
        (first, kind), *_ = alarms(model, *drawn(2_000, np.random.default_rng(200 + seed), typos=0.2), 7_000.0)
        assert first < 1_000
        assert kind == "quality loss: spelling high"
