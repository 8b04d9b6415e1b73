"""A monitor's sets and its recent traffic as the checks see them, for the sections on data quality and leakage."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from service.checking import Check, Outcome, Rows, of_set
from service.datasets import DataSet, Role
from service.records import Pooled, Sample
from service.report.material import Material
from service.report.parts import Cell, Missing, Standing

SETS: tuple[Role, ...] = ("train", "golden", "challenge")


def sets_of(material: Material) -> tuple[list[Rows], list[Missing]]:
    """The labelled sets that there are, and why the others are missing."""
    found = {role: material.data_set(role) for role in SETS}
    known = [material.likeness.legible(of_set(role, each)) for role, each in found.items() if isinstance(each, DataSet)]
    return known, [each for each in found.values() if isinstance(each, Missing)]


def traffic_of(material: Material) -> Rows | Missing:
    """Recent samples whose payload was kept; where samples bring their embedding, it is the payload."""
    vectors = material.settings.embedder.input == "none"
    kept = [sample for row in material.production if (sample := _sample(row, vectors=vectors)) is not None]
    if kept:
        embeddings = None if len(kept) < len(material.production) else material.embeddings("production")
        fingerprint = material.reference.fingerprint if material.reference else ""
        return material.likeness.legible(Rows("production", tuple(kept), embeddings, fingerprint=fingerprint))
    if material.production:
        return Missing("production", "no payload of recent samples was kept", "set pool.keep_payloads: true")
    return Missing("production", "no recent samples are kept", "let traffic come; the monitor's pool keeps it")


def standing_of(checks: Sequence[Check]) -> Standing:
    """By the worst of them."""
    outcomes = {check.outcome for check in checks}
    if Outcome.FAIL in outcomes:
        return Standing.ACT
    if Outcome.WARN in outcomes:
        return Standing.WATCH
    return Standing.FINE if Outcome.PASS in outcomes else Standing.UNKNOWN


def failing(checks: Sequence[Check]) -> list[Check]:
    """Those beyond a limit, failures first."""
    beyond = [check for check in checks if check.outcome in {Outcome.FAIL, Outcome.WARN}]
    return sorted(beyond, key=lambda check: (check.outcome != Outcome.FAIL, -_excess(check)))


def shown(text: str) -> Cell:
    """Other people's text, cut."""
    return text if len(text) <= 120 else text[:119] + "…"


def _excess(check: Check) -> float:
    return (check.value or 0.0) - check.limit.warn


def _sample(row: Pooled, *, vectors: bool) -> Sample | None:
    payload = row.embedding.astype(np.float32) if vectors else row.payload
    return None if payload is None else Sample(row.monitor, row.id, row.time, payload, row.segments, row.output, row.label)
