"""The verdict with and without a correction of golden labels: whether it hangs on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from service.datasets import DataSet, DataSets, payload_digest
from service.errors import NotFoundError
from service.records import Sample
from service.verifying.answers import Answers

CORRECTS = "corrects"
"""Where the manifest of a golden version that does nothing but correct labels names the version before."""


def labels_before(data_sets: DataSets, golden: DataSet) -> Mapping[str, str] | None:
    """By content, as the version had them that this one corrects; None where it corrects none, or that one is gone."""
    corrects = golden.manifest.get(CORRECTS)
    if not isinstance(corrects, int):
        return None
    try:
        return labels_of(data_sets.load(str(golden.manifest["monitor"]), "golden", corrects).samples)
    except NotFoundError:
        return None


def labels_of(samples: Sequence[Sample]) -> dict[str, str]:
    """By content."""
    return {payload_digest(sample.payload): str(sample.label) for sample in samples}


def without_correction(
    samples: Sequence[Sample], golden: Answers, before: Mapping[str, str], decide: Callable[[Answers], Mapping[str, Any]]
) -> dict[str, Any]:
    """What the verdict would be with the labels from before, on the same rows."""
    labels = [before.get(payload_digest(sample.payload), label) for sample, label in zip(samples, golden.labels, strict=True)]
    relabelled = sum(old != new for old, new in zip(labels, golden.labels, strict=True))
    found = decide(replace(golden, labels=labels))
    return {"relabelled": relabelled, "verdict": found["verdict"], "reasons": found["reasons"], "golden": found.get("golden")}
