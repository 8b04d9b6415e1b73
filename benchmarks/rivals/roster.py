"""The rivals that are installed: where each runs, how it is set, and whether its time is rationed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Rival:
    """`name` is that of the tables; `method` that of its module inside the environment."""

    name: str
    environment: str
    method: str
    setting: str
    """As it is told in the results."""
    shipped: Literal["apart", "with", "none"] = "with"
    """Whether its own thresholds need a fit of their own, come with its statistic, or don't exist."""
    run_length: float = 0.0
    """Configured as shipped; 0 where it knows no such thing."""
    weight: float = 1.0
    """Of its share in the time that all rationed ones have together; 0 if it costs so little that all streams are followed."""

    @property
    def module(self) -> str:
        return f"inside.{self.environment.removesuffix('_detect')}_rivals"


_BATCH = "batches of 200 rows"
_BOOTSTRAPS = "window of 50; its statistic with the fewest bootstraps it accepts (177)"

ROSTER: tuple[Rival, ...] = (
    Rival("river PageHinkley", "river", "PageHinkley", "distance to the centroid, defaults", "apart", weight=0.0),
    Rival("river ADWIN", "river", "ADWIN", "distance to the centroid, default level .002; 97 levels for the delay", "apart", weight=0.0),
    Rival("evidently distance", "evidently", "distance", f"{_BATCH}, threshold .2", weight=0.0),
    Rival(
        "alibi ClassifierUncertaintyDrift",
        "alibi_detect",
        "ClassifierUncertaintyDrift",
        f"{_BATCH}, p < .05, entropy of topics",
        weight=0.0,
    ),
    Rival("nannyml PCA reconstruction", "nannyml", "reconstruction", f"{_BATCH}, 3 standard deviations", weight=4.0),
    Rival("evidently model", "evidently", "model", f"{_BATCH}, ROC AUC above .55", weight=2.0),
    Rival("menelaus KdqTreeBatch", "menelaus", "KdqTreeBatch", f"{_BATCH}, 500 bootstraps, level .01", "apart"),
    Rival("alibi ClassifierDrift", "alibi_detect", "ClassifierDrift", f"{_BATCH}, p < .05, logistic regression"),
    Rival("river KSWIN", "river", "KSWIN", "distance to the centroid, defaults", "apart"),
    Rival("alibi LSDDDriftOnline", "alibi_detect", "LSDDDriftOnline", _BOOTSTRAPS, "apart", 500.0, 2.0),
    Rival("alibi MMDDriftOnline", "alibi_detect", "MMDDriftOnline", _BOOTSTRAPS, "apart", 500.0, 8.0),
    Rival("alibi LSDDDrift", "alibi_detect", "LSDDDrift", f"{_BATCH}, p < .05, 100 permutations over 1,000 rows of the reference", "apart"),
    Rival("alibi KSDrift", "alibi_detect", "KSDrift", f"{_BATCH}, p < .05 with Bonferroni's correction"),
    Rival("alibi MMDDrift", "alibi_detect", "MMDDrift", f"{_BATCH}, p < .05, 100 permutations over 1,000 rows of the reference", "apart"),
    Rival("evidently ratio", "evidently", "ratio", f"{_BATCH}, a fifth of the dimensions with a Wasserstein distance above .1"),
    Rival("evidently MMD", "evidently", "mmd", f"{_BATCH}, threshold .015"),
    Rival(
        "frouros MMDStreaming",
        "frouros",
        "MMDStreaming",
        "window of 50, 500 rows of the reference; it has no threshold",
        "none",
        weight=2.0,
    ),
)
"""Cheapest first."""
