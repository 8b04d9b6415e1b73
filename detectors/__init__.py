"""Drift detection on embeddings: calibrated, sequential, mergeable. Pure numpy and scipy, usable without the service."""

from detectors.base import Effect, Evidence
from detectors.classical import TestResult, TwoSampleTest, benjamini_hochberg, holm
from detectors.panes import Summary
from detectors.scan import DriftScan
from detectors.summarizer import Described, Summarizer

__all__ = [
    "Described",
    "DriftScan",
    "Effect",
    "Evidence",
    "Summarizer",
    "Summary",
    "TestResult",
    "TwoSampleTest",
    "benjamini_hochberg",
    "holm",
]
