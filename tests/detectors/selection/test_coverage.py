"""Facility location: the lazy way is the plain way."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from detectors.selection.coverage import FacilityLocation, company
from detectors.selection.kernel import Scales

SCALES = Scales(duplicate=0.99, zero=0.1, half=0.5)


def unit(seed: int, rows: int) -> NDArray[np.float32]:
    drawn = np.random.default_rng(seed).standard_normal((rows, 4))
    return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True), np.float32)


def plainly(
    rows: NDArray[np.float32], weight: NDArray[np.float32], merit: NDArray[np.float32], able: NDArray[np.int64], steps: int
) -> list[float]:
    """Gains of greedy steps that look at every candidate each time."""
    kernel, covered, left, gains = SCALES.kernel(rows, rows), np.zeros(len(rows), np.float32), list(able), list[float]()
    for _ in range(min(steps, len(left))):
        worth = [merit[i] * float(np.maximum(kernel[i] - covered, 0) @ weight) for i in left]
        best = left.pop(int(np.argmax(worth)))
        gains.append(max(worth))
        covered = np.maximum(covered, kernel[best])
    return gains


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 1000), rows=st.integers(1, 90), steps=st.integers(1, 20), weighed=st.booleans())
def test_lazy_steps_gain_what_plain_ones_gain(seed: int, rows: int, steps: int, weighed: bool) -> None:
    rng, points = np.random.default_rng(seed), unit(seed, rows)
    weight = rng.random(rows).astype(np.float32)
    merit = rng.random(rows).astype(np.float32) if weighed else np.ones(rows, np.float32)
    able = np.sort(rng.choice(rows, rng.integers(1, rows + 1), replace=False))
    places = FacilityLocation(points, weight, scales=SCALES, candidates=able, merit=merit if weighed else None)
    taken = [found for found in (places.step() for _ in range(steps)) if found is not None]
    assert len({row for row, _ in taken}) == len(taken) == min(steps, len(able))
    assert {row for row, _ in taken} <= set(able.tolist())
    assert np.allclose([gain for _, gain in taken], plainly(points, weight, merit, able, steps), atol=1e-4)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000))
def test_gains_never_grow_also_when_merits_are_discounted(seed: int) -> None:
    rng = np.random.default_rng(seed)
    places = FacilityLocation(unit(seed, 60), rng.random(60).astype(np.float32), scales=SCALES)
    gains = list[float]()
    while (found := places.step()) is not None:
        gains.append(found[1])
        places.discount(rng.random(60).astype(np.float32))
    assert len(gains) == 60
    assert (np.diff(gains) <= 1e-5).all()


def test_what_is_covered_already_is_not_chosen_again() -> None:
    rows = np.repeat(np.eye(2, 4, dtype=np.float32), [9, 2], axis=0)
    places = FacilityLocation(rows, np.ones(11, np.float32), scales=SCALES)
    places.cover(rows[:1])
    assert places.step() == (9, 2.0)


def test_company_is_the_sum_of_the_kernel() -> None:
    rows, weight = unit(2, 700), np.random.default_rng(2).random(700).astype(np.float32)
    assert np.allclose(company(rows, rows, SCALES, weight), SCALES.kernel(rows, rows) @ weight, rtol=1e-4)
    assert company(rows[:0], rows, SCALES).shape == (0,)
    assert (company(rows, rows[:0], SCALES) == 0).all()
