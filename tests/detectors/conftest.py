"""One small scan, fitted once."""

import numpy as np
import pytest
from numpy.typing import NDArray

from detectors import DriftScan


def draw(n: int, seed: int) -> NDArray[np.float32]:
    """n rows of 8 topics in 16 dimensions."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).standard_normal((8, 16)) * 1.5
    return (centres[rng.integers(0, 8, n)] + rng.standard_normal((n, 16))).astype(np.float32)


@pytest.fixture(scope="session")
def fitted() -> DriftScan:
    return DriftScan.fit(draw(3000, seed=1), run_length=5000, seed=2)


@pytest.fixture
def scan(fitted: DriftScan) -> DriftScan:
    fitted.reset()
    return fitted
