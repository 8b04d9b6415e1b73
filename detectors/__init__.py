"""Drift detection on embeddings: calibrated, sequential, mergeable. Pure numpy and scipy, usable without the service.

Most need one class: `DriftScan`, rows in and evidence out. What it is made of, each usable alone:

- **describing** `summarizer` (rows to what is kept of them), with `features`, `clustering`, `ranks`, `predictions`, `accuracy`;
  `panes` (sums that merge)
- **learning** `model` (what a reference teaches), with `learning`, `spectrum`, `dependence`, `timeofday`, `steadiness`
- **calibrating** `calibration` (streams resampled from the reference), `law` (tails of one window), `thresholds` (of all together)
- **scanning** `scan` (rows), `stream` (summaries), `windows` and `rows` (what is summed), `effects` and `bounds` (how far, with
  intervals), `kinds` (which kind of drift)
- **many streams** `fleet` (e-detectors)
- **beside the scan** `classical` (two-sample tests), `reservoir` (which rows to keep), `selection` (what to annotate),
  `comparison` (a new model against the old one), `noninferiority` (surely no worse by more than a margin), `switch` (both of them,
  with a bound)
- **explaining** `attribution` (what moved), `onset` (since when), `terms` (which words show it), `projection` (a picture of it)
- **blind spots** `coverage` (what a set covers of traffic), `label_errors` (wrong labels; with `heads`,
  `label_noise`, `cells`), `consensus` (what several annotators come to), `influence` (what a layer would say without a row),
  `neighbours` (the nearest rows), `mining` (those of a large pool to a few), `evenly` (a part that stands for
  all rows), `occlusion` (what an answer stands on),
  `error_rate` (answers that became wrong), `performance` (how well a model
  answers), `slices` (where it fails), `failure_clusters` (failures of one kind), `copies` (rows of one set that are copies of another's)
"""

from detectors.base import Effect, Evidence
from detectors.classical import TestResult, TwoSampleTest, benjamini_hochberg, holm
from detectors.fleet import EDetector, e_benjamini_hochberg
from detectors.model import ScanModel, fit_model
from detectors.panes import Summary
from detectors.scan import DriftScan
from detectors.stream import StreamScan
from detectors.summarizer import Described, Extras, Summarizer

__all__ = [
    "Described",
    "DriftScan",
    "EDetector",
    "Effect",
    "Evidence",
    "Extras",
    "ScanModel",
    "StreamScan",
    "Summarizer",
    "Summary",
    "TestResult",
    "TwoSampleTest",
    "benjamini_hochberg",
    "e_benjamini_hochberg",
    "fit_model",
    "holm",
]
