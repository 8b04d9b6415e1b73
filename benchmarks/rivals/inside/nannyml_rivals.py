"""nannyml's reconstruction error after principal components."""

from __future__ import annotations

from collections.abc import Mapping

import nannyml
import numpy as np
import pandas as pd

from .batches import WINDOW, Batches
from .serving import Fit, Reference, Rows


def reconstruction(reference: Reference) -> Batches:
    """The statistic is the error's distance to the middle of its two thresholds, which lie three standard deviations apart from it."""
    names = [f"d{column}" for column in range(reference.rows.shape[1])]
    calculator = nannyml.DataReconstructionDriftCalculator(column_names=names, chunk_size=WINDOW)
    whole = len(reference.rows) // WINDOW * WINDOW
    calculator.fit(pd.DataFrame(reference.rows[:whole].astype(np.float64), columns=names))
    middle = (calculator.lower_threshold_value + calculator.upper_threshold_value) / 2

    def test(rows: Rows) -> tuple[float, bool]:
        found = calculator.calculate(pd.DataFrame(rows.astype(np.float64), columns=names)).filter(period="analysis").to_df()
        last = found["reconstruction_error"].iloc[-1]
        return float(abs(last["value"] - middle)), bool(last["alert"])

    return Batches(reference.rows, test, calculator)


FITS: Mapping[str, Fit] = {"reconstruction": reconstruction}
