"""What the freshness of a test set promises, by simulation: its interval, and ranks that are uniform for what belongs."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import kstest

from detectors.clustering import squared_distances
from detectors.coverage import APART, THIN, Reach, coverage
from detectors.neighbours import nearest_rows

TOPICS, DIMENSION, SESSION = 20, 8, 6
TRAFFIC, HELD, POPULATION, SAMPLES, SETS = 600, 400, 6_000, 30, 3
CENTRES = np.random.default_rng(5).standard_normal((TOPICS, DIMENSION)) * 2


def draw(rng: np.random.Generator, n: int, topics: int, *, session: int = 1) -> NDArray[np.float32]:
    """Rows around the first of the topics, in sessions of one topic each."""
    topic = np.repeat(rng.integers(0, topics, n // session), session)
    return np.asarray(CENTRES[topic] + rng.standard_normal((len(topic), DIMENSION)), np.float32)


def truth(rng: np.random.Generator, held: NDArray[np.float32]) -> float:
    """What the rule says of a large population, where the limit is its own."""
    limit, population = 2 / (THIN * len(held)), draw(rng, POPULATION, TOPICS)
    reach = np.square(nearest_rows(population, held, 2).distance[:, -1])[:, None]
    nearer = np.concatenate([squared_distances(part, population) for part in np.array_split(population, 8)]) < reach
    thin = (nearer.sum(1) - 1) / (POPULATION - 1) >= limit
    own, near = nearest_rows(held, held, 3, same=True), nearest_rows(population, held, 3)
    spacing = own.distance.mean(1)
    usual, found = (each.distance.mean(1) / spacing[each.row].mean(1) for each in (own, near))
    ranks = np.searchsorted(np.sort(usual), found) / (len(held) + 1)
    apart = ranks[nearest_rows(population[thin], population, int(limit * POPULATION)).row].mean(1)
    return 1 - float((apart >= APART).sum()) / POPULATION


@pytest.mark.parametrize(("left_out", "session"), [(0, 1), (3, 1), (3, SESSION)])
def test_the_interval_of_freshness_holds_the_true_share(left_out: int, session: int) -> None:
    """Of 90 intervals at 95 %, 78 or fewer with probability 0.001."""
    rng = np.random.default_rng(left_out + session)
    holds = 0
    for _ in range(SETS):
        held = draw(rng, HELD, TOPICS - left_out)
        true = truth(rng, held)
        shares = [coverage(draw(rng, TRAFFIC, TOPICS, session=session), held, rng=rng, in_order=session > 1).share for _ in range(SAMPLES)]
        holds += sum(low <= true <= high for _, low, high in shares)
    assert holds > 78


def test_percentiles_of_what_belongs_are_uniform() -> None:
    """Over sets and samples together, to what 1,000 rows of each set can tell."""
    rng = np.random.default_rng(0)
    found = np.concatenate([Reach.of(draw(rng, 1_500, TOPICS), rng=rng)(draw(rng, 300, TOPICS)) for _ in range(4)])
    assert kstest(found, "uniform").statistic < 0.05
