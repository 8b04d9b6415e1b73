"""How often a monitor's answers were wrong, as `driftgate status` and the API show it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from detectors.performance import share
from service.records import WHOLE
from service.truth.watching import Concept, ErrorWatch


def describe_answers(concept: Concept) -> Mapping[str, Any] | None:
    """Labels so far and the error rate with its interval, over all and stream by stream; None before the first label."""
    if not concept.begun:
        return None
    median, most = concept.delay
    whole = concept.watches[WHOLE]
    return {
        **_counted(whole),
        "first_labels": concept.settings.first_labels if whole.test is None else 0,
        "labels_per_alarm": None if whole.test is None else whole.test.run_length,
        "delay": {"median": median, "most": most},
        "streams": [{"segment": segment, **_counted(watch)} for segment, watch in concept.watches.items()],
    }


def _counted(watch: ErrorWatch) -> Mapping[str, Any]:
    """Measured once for as long as nothing moves."""
    stands = (watch.labels, watch.episode, watch.test and watch.test.evidence)
    if watch.shown is None or watch.shown[0] != stands:
        watch.shown = stands, _measured(watch)
    return watch.shown[1]


def _measured(watch: ErrorWatch) -> Mapping[str, Any]:
    test = watch.test
    evidence = None if test is None else test.evidence
    return {
        "labels": watch.labels,
        "errors": watch.errors,
        "error_rate": asdict(share(watch.errors, watch.labels)) if watch.labels else None,
        "expected": None if test is None else asdict(test.rate),
        "evidence": None if evidence is None else max(evidence.surprise, 0.0),
        "threshold": None if evidence is None else evidence.threshold,
        "alarm": watch.episode.alarm or None,
        "opened": watch.episode.opened,
    }
