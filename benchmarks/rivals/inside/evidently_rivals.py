"""evidently's four ways to see drift in embeddings, with their default thresholds."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import pandas as pd
from evidently.legacy.metrics.data_drift.embedding_drift_methods import DriftMethod, distance, mmd, model, ratio

from .batches import Batches
from .serving import Fit, Reference, Rows


def fit(method: DriftMethod, reference: Reference) -> Batches:
    """What its report calls, without the report: some methods write a column into the frames that they are given."""
    frame = pd.DataFrame(reference.rows)

    def test(rows: Rows) -> tuple[float, bool]:
        score, detected, _ = method(pd.DataFrame(rows), frame.copy())
        return float(score), bool(detected)

    return Batches(reference.rows, test, reference.rows)


FITS: Mapping[str, Fit] = {
    "model": lambda reference: fit(model(bootstrap=len(reference.rows) < 1000), reference),  # as its report chooses
    "distance": partial(fit, distance()),
    "ratio": partial(fit, ratio()),
    "mmd": partial(fit, mmd()),
}
