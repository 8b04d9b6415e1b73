"""Intervals of effects by simulation, at alarms and at a fixed time: where nothing has changed and where a known share has."""

import numpy as np
import pytest
from numpy.typing import NDArray

from detectors import Effect
from detectors.model import ScanModel, fit_model
from detectors.stream import StreamScan

REFERENCES, STREAMS = 3, 30
LEAST = 0.85
"""At a coverage of .95 fewer than 85 % of 150 intervals cover with probability 1e-6, were they independent; those of one reference
share its error, which about triples the variance: .001."""
WIDEST, SURE = 0.7, 0.6
"""Of the median interval, at an alarm or after 256 samples, where .4 to .55 are found; and the share of intervals that exclude no change
where a fifth of the traffic is new, where .73 are found. Chance moves either by less than .1."""


def topics(n: int, rng: np.random.Generator, share: float = 0.0) -> NDArray[np.float32]:
    """Rows of 8 topics, a share of them of 4 others."""
    centres = np.random.default_rng(99).standard_normal((12, 16)) * 1.5
    which = np.where(rng.random(n) < share, rng.integers(8, 12, n), rng.integers(0, 8, n))
    return (centres[which] + rng.standard_normal((n, 16))).astype(np.float32)


@pytest.fixture(scope="module")
def models() -> list[ScanModel]:
    return [fit_model(topics(2000, np.random.default_rng(s)), seed=s) for s in range(REFERENCES)]


def of_new_content(model: ScanModel, rng: np.random.Generator) -> NDArray[np.float64]:
    """(M,) true effect of new content alone in each channel."""
    ordinary, new = (model.summarizer.describe(topics(30_000, rng, share)) for share in (0.0, 1.0))
    shift = ((new.features.mean(0) - ordinary.features.mean(0)) @ model.spectrum.basis).astype(np.float64)
    norms = np.sqrt(model.spectrum.weights @ np.square(shift))
    return np.concatenate([norms, np.maximum(new.scalars.mean(0) - ordinary.scalars.mean(0), 0.0)]) / model.units


def measured(model: ScanModel, share: float, rng: np.random.Generator) -> list[tuple[str, Effect]]:
    """(channel told, effect) at the alarm, if it comes within 1,024 samples, and after 256."""
    scan, found = StreamScan(model, run_length=300.0), []
    described = model.summarizer.describe(topics(1024, rng, share))
    for at in range(0, 1024, model.pane):
        evidence = scan.update(model.summarizer.summarize(described, slice(at, at + model.pane)))
        found += [(evidence.effect_channel, evidence.effect)] * (evidence.alarm + (evidence.samples == 256))
    return found


@pytest.mark.parametrize("share", [0.0, 0.2])
def test_intervals_cover_the_true_effect(models: list[ScanModel], share: float) -> None:
    """And say something: an interval of everything would cover too."""
    covered, widths, sure = [], [], []
    for seed, model in enumerate(models):
        rng = np.random.default_rng(100 + seed)
        truth = dict(zip(model.channels, share * of_new_content(model, rng), strict=True))
        for _ in range(STREAMS):
            for channel, effect in measured(model, share, rng):
                covered.append(effect.low <= truth[channel] <= effect.high)
                widths.append(effect.high - effect.low)
                sure.append(effect.low > 0)
    assert len(covered) >= 1.6 * REFERENCES * STREAMS
    assert np.mean(covered) >= LEAST
    assert np.median(widths) < WIDEST
    assert np.mean(sure) > SURE if share else np.mean(sure) <= 1 - LEAST
