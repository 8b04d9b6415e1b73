"""The switch keeps its promise under laws of flips that are known: the true rate exceeds α no oftener than δ allows."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import binom

from detectors.comparison import spent
from detectors.switch import OUTCOMES, THRESHOLDS, calibrate

ALPHA, DELTA, RUNS = 0.01, 0.1, 1000


def steady(t: float) -> float:
    """Flips become rarer the surer the new model is."""
    return 0.05 * (1 - t) ** 2


def heavy(t: float) -> float:
    """A tenth of the rows flips, hardly fewer where the new model is sure."""
    return 0.1 * (1 - 0.9 * t)


def step(t: float) -> float:
    """The hardest law there is: just above α from one threshold on, and as good as nothing before."""
    return 0.010001 if t < 0.5 else 1e-5


@pytest.mark.parametrize("law", [steady, heavy, step])
@pytest.mark.parametrize(("rows", "use"), [(400, 1), (1000, 1), (3000, 1), (3000, 2)])
def test_the_true_rate_exceeds_alpha_no_oftener_than_delta(law: Callable[[float], float], rows: int, use: int) -> None:
    rng = np.random.default_rng(rows + use)
    error = spent(DELTA, use, outcomes=OUTCOMES)
    exceeded = sum(_exceeds(law, rows, error, rng) for _ in range(RUNS))
    assert exceeded <= binom.ppf(0.99, RUNS, error)


def test_the_hardest_law_uses_up_what_is_allowed() -> None:
    """Else the simulation could not have failed."""
    rng = np.random.default_rng(5)
    exceeded = sum(_exceeds(step, 1000, 0.05, rng) for _ in range(RUNS))
    assert exceeded >= binom.ppf(0.01, RUNS, 0.02)


def _exceeds(law: Callable[[float], float], rows: int, error: float, rng: np.random.Generator) -> bool:
    """Draws rows whose flips have rate law(t) above each threshold t, calibrates, and looks at the true rate."""
    rates = np.array([law(t) for t in THRESHOLDS])
    place = np.searchsorted(rates, rng.random(rows))  # the first threshold, on the way down, above which the row flips
    flips = place < len(THRESHOLDS)
    above = np.append(np.array(THRESHOLDS), 0.0) + 0.0125
    found = calibrate(above[place].astype(np.float32), np.ones(rows, bool), ~flips, alpha=ALPHA, error=error)
    return found.threshold is not None and law(found.threshold) > ALPHA
