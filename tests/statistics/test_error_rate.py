"""Labels until a false alarm, and coverage of the increase's interval at the alarm."""

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


@pytest.mark.parametrize(("before", "after"), [(0.05, 0.05), (0.05, 0.15), (0.02, 0.2)])
def test_the_interval_covers_the_increase_at_the_alarm(before: float, after: float) -> None:
    """Of the stated window over what came before it, whatever of either lies before the change."""
    rng, change, block, covered = np.random.default_rng(5), 300, 5, []
    for _ in range(60):
        test, seen = ErrorRateTest(int(rng.binomial(500, before)), 500, run_length=RUN_LENGTH), 0
        while not test.update(block, int(rng.binomial(block, after if seen >= change else before))).alarm:
            seen += block
        samples, window = test.evidence.samples, test.evidence.scale
        changed = max(samples - change, 0)
        inside = min(changed, window)
        increase = (after - before) * (inside / window - (changed - inside) / (500 + samples - window))
        covered.append(test.evidence.effect.low <= increase <= test.evidence.effect.high)
    assert np.mean(covered) >= 0.9
