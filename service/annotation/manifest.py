"""What a batch asked, in one canonical form with one checksum: what was sent can be shown, and held against it, ever after."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from service.records import AnnotationBatch, Candidate


def manifest(batch: AnnotationBatch) -> Mapping[str, Any]:
    """Everything that was decided of a batch before it left; nothing of it changes later. Gold is among the items, in order of ids."""
    items = sorted((_item(item) for item in (*batch.items, *batch.gold)), key=lambda item: (item["id"], item["purpose"]))
    return {
        "batch": batch.id,
        "monitor": batch.monitor,
        "cycle": batch.cycle,
        "round": batch.round,
        "reference_version": batch.reference_version,
        "scheme": batch.scheme,
        "items": items,
    }


def canonical_json(document: Mapping[str, Any]) -> str:
    """Keys in order, no white space, ASCII: the same content is the same bytes."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)


def checksum(document: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical form."""
    return hashlib.sha256(canonical_json(document).encode()).hexdigest()


def sealed(batch: AnnotationBatch) -> AnnotationBatch:
    """With the checksum of its manifest."""
    return replace(batch, manifest=checksum(manifest(batch)))


def is_intact(batch: AnnotationBatch) -> bool:
    """Whether what is stored is what was sealed; batches of former versions have no seal."""
    return batch.manifest == checksum(manifest(batch))


def _item(item: Candidate) -> dict[str, Any]:
    return {
        "id": item.id,
        "purpose": item.purpose.value,
        "reason": item.reason,
        "risk": round(item.risk, 6),
        "segment": item.segment,
        "payload": item.digest,
        "answers": item.answers,
        "again": item.again,
    }
