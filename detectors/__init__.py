"""Drift detection on embeddings: calibrated, sequential, mergeable. Pure numpy and scipy, usable without the service."""

from detectors.panes import Summary

__all__ = ["Summary"]
