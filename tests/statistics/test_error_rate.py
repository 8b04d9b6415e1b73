"""Labels until a false alarm, and coverage of the increase's interval at the alarm."""

from collections.abc import Iterator
from itertools import islice

import numpy as np
import pytest

from detectors.error_rate import ErrorRateTest

RUN_LENGTH, STREAMS = 1_500, 40


def alarms(rate: float, labels: int, block: int, rng: np.random.Generator) -> int:
    """Of one stream of three run lengths; what raised one is accepted."""
    test, count = ErrorRateTest(int(rng.binomial(labels, rate)), labels, run_length=RUN_LENGTH), 0
    for errors in rng.binomial(block, rate, 3 * RUN_LENGTH // block).tolist():
        if test.update(block, errors).alarm:
            count += 1
            test.reset(accept=True)
    return count


@pytest.mark.parametrize(("rate", "labels", "block"), [(0.01, 10_000, 3), (0.05, 200, 3), (0.3, 200, 10)])
def test_run_length_is_what_was_asked(rate: float, labels: int, block: int) -> None:
    """Between .8 and 2 times, give or take what so few streams show."""
    rng = np.random.default_rng(17)
    found = [alarms(rate, labels, block, rng) for _ in range(STREAMS)]
    ratio, error = 3 * STREAMS / sum(found), 2 * np.std(found) / np.sqrt(STREAMS) / np.mean(found)
    assert 0.8 * (1 - error) < ratio < 2 * (1 + error)


REFERENCE, CHANGE, BLOCK = 500, 300, 5
TOLERANCE = 0.01


def looks(before: float, after: float, seed: int) -> Iterator[tuple[ErrorRateTest, bool]]:
    """One stream, block by block, and whether the interval has the increase of the stated window over what came before it, whatever of
    either lies before the change."""
    rng = np.random.default_rng(seed)
    test, seen = ErrorRateTest(int(rng.binomial(REFERENCE, before)), REFERENCE, run_length=RUN_LENGTH), 0
    while True:
        test.update(BLOCK, int(rng.binomial(BLOCK, after if seen >= CHANGE else before)))
        seen += BLOCK
        window, changed = test.evidence.scale, max(seen - CHANGE, 0)
        inside = min(changed, window)
        increase = (after - before) * (inside / window - (changed - inside) / (REFERENCE + seen - window))
        yield test, test.evidence.effect.low <= increase <= test.evidence.effect.high


@pytest.mark.parametrize(("before", "after"), [(0.05, 0.05), (0.05, 0.15), (0.02, 0.2)])
def test_the_interval_covers_the_increase_at_the_alarm(before: float, after: float) -> None:
    found = [next(covers for test, covers in looks(before, after, seed) if test.evidence.alarm) for seed in range(120)]
    assert np.mean(found) >= 0.95


@pytest.mark.parametrize(("after", "within"), [(0.1, 900), (0.15, 180), (0.3, 50)])
def test_an_increase_is_soon_surely_above_the_tolerance(after: float, within: float) -> None:
    """Labels after the change, in the median; and the interval is as true then. With an unlucky reference it takes for ever."""
    delays, found = list[float](), list[bool]()
    for seed in range(60):
        for test, covers in islice(looks(0.05, after, seed), 400):
            if test.evidence.above and test.evidence.effect.low > TOLERANCE:
                delays.append(test.evidence.samples - CHANGE)
                found.append(covers)
                break
        else:
            delays.append(np.inf)
    assert np.median(delays) < within
    assert np.mean(found) >= 0.95
