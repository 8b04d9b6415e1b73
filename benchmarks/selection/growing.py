"""DCD in rounds: a rival of our own making, with the advantage that answers give."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from detectors.selection import ONCE, REJECTED, Known, Pick, Pool, Turn
from detectors.selection.dcd import FailureDistance


@dataclass(frozen=True, slots=True)
class GrowingFailures:
    """Answers that contradict the model join the failures for the next round."""

    def pick(
        self,
        pool: Pool,
        known: Known,
        *,
        budget: int,
        rng: np.random.Generator,
        turn: Turn = ONCE,
        progress: Callable[[float], None] = lambda _: None,
    ) -> tuple[Pick, ...]:
        """Equal shares for all classes that are known to fail by then."""
        return FailureDistance().pick(pool, _joined(known), budget=budget, rng=rng, turn=turn, progress=progress)


def _joined(known: Known) -> Known:
    if known.answered is None or known.answers is None or known.answered_predicted is None:
        return known
    if known.failures is None or known.failure_labels is None:
        return known
    failed = (known.answers != REJECTED) & (known.answers != known.answered_predicted)
    rows = np.concatenate([known.failures, known.answered[failed]])
    return replace(known, failures=rows, failure_labels=np.concatenate([known.failure_labels, known.answers[failed]]))
