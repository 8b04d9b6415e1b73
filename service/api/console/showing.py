"""Samples as pages show them: text as text, images as small pictures, and a word where nothing is kept."""

from __future__ import annotations

import base64
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from service.api.context import Service
from service.exhibits import image_type
from service.records import Payload, Pooled
from service.reference import Reference
from service.reference_rows import answer, sureness
from service.report.pictures import small_png
from service.settings import MonitorSettings

_MOST_BYTES = 200_000
"""Of an image that is shown as it came, where nothing here can make it small."""

NOT_KEPT = "its payload is not kept: pool.keep_payloads is off, it gave way to newer ones, or it was taken out"
_NO_IMAGE = "a reference keeps texts alone, no images"


@dataclass(frozen=True, slots=True)
class Shown:
    """A payload. `text` says in words what a picture shows nobody who can't see it."""

    kind: Literal["text", "image", "vector", "nothing"]
    text: str
    picture: str = ""
    """Its address: the picture itself."""


def shown(payload: Payload | None, id: str, *, why: str = NOT_KEPT) -> Shown:
    """`why`: what to say where there is none."""
    if isinstance(payload, np.ndarray):
        return Shown("vector", f"a vector of {payload.size:,} numbers, which says nothing to the eye")
    if not payload:
        return Shown("nothing", why)
    if isinstance(payload, str):
        return Shown("text", payload)
    return _image(payload, id)


def _image(content: bytes, id: str) -> Shown:
    """Made small and anew; as it came only where that can't be done and it is of a format that holds no script."""
    png, found = small_png(content), image_type(content)
    if png is not None:
        return Shown("image", f"picture of sample {id}", _address("image/png", png))
    if found.media.startswith("image/") and len(content) <= _MOST_BYTES:
        return Shown("image", f"picture of sample {id}", _address(found.media, content))
    return Shown("nothing", f"{len(content):,} bytes that can't be shown as a picture; driftgate[image] reads more formats")


def _address(media: str, content: bytes) -> str:
    return f"data:{media};base64,{base64.b64encode(content).decode()}"


# --- samples at hand --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Card:
    """A sample with what is known of it; '' and None where nothing is."""

    id: str
    side: str
    """`recent`, `reference 3`, or where else it was found."""
    shown: Shown
    time: float | None = None
    segments: Mapping[str, str] = field(default_factory=dict)
    label: str | None = None
    answer: str = ""
    confidence: float | None = None
    novelty: float | None = None
    cluster: str = ""


def card_of(row: Pooled, settings: MonitorSettings, *, side: str = "recent", truth: str | None = None) -> Card:
    """Of a sample that is kept; `settings`: with the model in force."""
    sure, said = sureness(row.output), answer(row.output, None, settings.classes)
    vector = settings.embedder.input == "none" and row.payload is None
    payload = row.embedding.astype(np.float32) if vector else row.payload
    known = None if np.isnan(sure) else sure
    return Card(row.id, side, shown(payload, row.id), row.time, row.segments, truth or row.label, said, known, row.novelty)


def cards(service: Service, monitor: str, ids: Collection[str], *, version: int | None = None) -> Mapping[str, Card]:
    """Those of the ids that are among the recent samples, rows of the reference (the one in force), or in a data set."""
    settings = effective(service, monitor)
    recent = service.store.pool(monitor, ids=ids)
    known = service.store.known_truth(monitor, [row.id for row in recent])
    truths = {sample: judged.truth for sample, judged in known.items() if judged is not None}
    found: dict[str, Card] = {row.id: card_of(row, settings, truth=truths.get(row.id)) for row in recent}
    missing = set(ids) - found.keys()
    number = service.references.active(monitor) if version is None else version
    if missing and number is not None:
        found |= {card.id: card for card in _of_reference(service.references.load(monitor, number), missing)}
    return found | _of_sets(service, monitor, set(ids) - found.keys())


def _of_sets(service: Service, monitor: str, ids: Collection[str]) -> dict[str, Card]:
    kept = service.exhibits.kept(monitor, ids) if ids else {}
    return {
        name: Card(name, "a data set", shown(sample.payload, name), sample.time or None, sample.segments, sample.label)
        for name, sample in kept.items()
    }


def effective(service: Service, monitor: str) -> MonitorSettings:
    """A monitor's settings with the classes of the model in force."""
    settings, (_, classes) = service.declaring.declared[monitor].settings, service.references.model(monitor)
    return settings.model_copy(update={"classes": classes}) if classes else settings


def _of_reference(reference: Reference, ids: Collection[str]) -> Iterator[Card]:
    rows = reference.rows
    for at in (at for at, name in enumerate(rows.ids) if name in ids):
        sure = float(rows.confidence[at])
        yield Card(
            rows.ids[at],
            f"reference {reference.version}",
            shown(rows.texts[at], rows.ids[at], why=_NO_IMAGE),
            None if rows.times is None or np.isnan(rows.times[at]) else float(rows.times[at]),
            rows.segments[at],
            rows.labels[at],
            rows.predicted[at] if rows.predicted else "",
            None if np.isnan(sure) else sure,
            None,
            reference.cluster_names[int(reference.clusters[at])] if reference.clusters[at] < len(reference.cluster_names) else "",
        )
