"""Classical two-sample tests behind one protocol: one look at two sets of rows, a p-value that is uniform when nothing differs.

They are for reports, for comparing two periods or two files, and for people who ask for them. They are not monitors: repeated on
every window a test at level 0.05 raises one false alarm in twenty windows for ever, which is what `DriftScan` is calibrated not to do.
And a p-value says how surely the samples differ, never how far.

All but chi-squared with ample counts are permutation tests, so their level is exact for every distribution, dimension and sample
size, provided that rows are independent; whatever is learned from rows (components, clusters, centres, bandwidth) is learned from
both samples pooled, or from rows that are then left out. With k tests at level α take at least 2 k / α permutations: the smallest
p-value is 1 / (1 + permutations). `holm` and `benjamini_hochberg` adjust what several tests or segments said.
"""

from collections.abc import Callable, Mapping

from detectors.classical.adjust import benjamini_hochberg, holm
from detectors.classical.base import LEAST_ROWS, TestResult, TwoSampleTest
from detectors.classical.classifier import DomainClassifier
from detectors.classical.components import CramerVonMises, KolmogorovSmirnov
from detectors.classical.counts import ClusterCounts, class_counts
from detectors.classical.density import DensityDifference
from detectors.classical.kernels import EnergyDistance, MaximumMeanDiscrepancy, PreparedReference

TESTS: Mapping[str, Callable[..., TwoSampleTest]] = {
    "ks": KolmogorovSmirnov,
    "cvm": CramerVonMises,
    "energy": EnergyDistance,
    "mmd": MaximumMeanDiscrepancy,
    "clusters": ClusterCounts,
    "classifier": DomainClassifier,
    "lsdd": DensityDifference,
}
"""By short name; each is made with `permutations=`."""

__all__ = [
    "LEAST_ROWS",
    "TESTS",
    "ClusterCounts",
    "CramerVonMises",
    "DensityDifference",
    "DomainClassifier",
    "EnergyDistance",
    "KolmogorovSmirnov",
    "MaximumMeanDiscrepancy",
    "PreparedReference",
    "TestResult",
    "TwoSampleTest",
    "benjamini_hochberg",
    "class_counts",
    "holm",
]
