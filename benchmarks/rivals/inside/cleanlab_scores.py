"""cleanlab's rankings of labels by how likely they are wrong, from probabilities that an .npz file brings."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TypeAlias

import numpy as np
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_scores
from numpy.typing import NDArray

Scores: TypeAlias = dict[str, NDArray[np.float64]]


def scores(labels: NDArray[np.int64], probabilities: NDArray[np.float32]) -> Scores:
    """(n,) of each ranking that its documentation offers, largest for the worst label."""
    found: Scores = {}
    for method, adjusted in (
        ("self_confidence", False),
        ("self_confidence", True),
        ("normalized_margin", False),
        ("normalized_margin", True),
        ("confidence_weighted_entropy", False),
    ):
        quality = get_label_quality_scores(labels, probabilities, method=method, adjust_pred_probs=adjusted)
        found[method + (", adjusted" if adjusted else "")] = -np.asarray(quality, np.float64)
    issues = np.asarray(find_label_issues(labels, probabilities, n_jobs=1), np.float64)
    for method in ("self_confidence", "normalized_margin"):
        found[f"issues first, {method}"] = found[method] + 10 * issues
    return found


def main(given: Path, out: Path) -> None:
    """Cells are `labels:NAME` and `probabilities:NAME`; the answers `NAME:RANKING`."""
    with np.load(given, allow_pickle=False) as arrays:
        names = [name.removeprefix("labels:") for name in arrays.files if name.startswith("labels:")]
        found = {name: scores(arrays[f"labels:{name}"], arrays[f"probabilities:{name}"]) for name in names}
    np.savez(out, allow_pickle=False, **{f"{name}:{ranking}": value for name, told in found.items() for ranking, value in told.items()})


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
