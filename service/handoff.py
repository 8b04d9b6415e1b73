"""An annotation batch as it is handed over: by links to its samples, or with the samples in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import msgspec

from service.annotation.preparing import MOST_TEXT
from service.datasets import payload_field
from service.errors import DeliveryError
from service.exhibits import Exhibits
from service.links import Kind, Links
from service.records import OutboxItem, Sample

BATCH = "annotation.batch"

THIN_BYTES = 20_000
"""Of a body with links, as Standard Webhooks recommends; a larger one names the whole list by one link."""

WHOLE_BYTES = 20_000_000
"""Of a body with the samples themselves."""


def by_link(item: OutboxItem, links: Links) -> OutboxItem:
    """The batch without its samples: a link to each, or where they are too many to the list."""
    if item.kind != BATCH:
        return item
    thin = linked(item.payload, links, item.created)
    if len(msgspec.json.encode(thin)) > THIN_BYTES:
        batch, count = str(item.payload["batch"]), len(item.payload["candidates"])
        plain = {name: value for name, value in item.payload.items() if isinstance(value, str | int | float | None)}
        thin = {**plain, "count": count, "link": links.url(Kind.BATCH, batch, expires=expiry(item.payload, links, item.created))}
    return replace(item, payload=thin)


def linked(payload: Mapping[str, Any], links: Links, created: float) -> dict[str, Any]:
    """The batch's list with links in the place of texts; `created` counts where it has no deadline."""
    batch, expires = str(payload["batch"]), expiry(payload, links, created)
    return {
        **payload,
        "candidates": [
            {name: value for name, value in each.items() if name != "text"}
            | {"link": links.url(Kind.SAMPLE, batch, str(each["driftgate_id"]), expires=expires)}
            for each in payload["candidates"]
        ],
    }


def expiry(payload: Mapping[str, Any], links: Links, created: float) -> int:
    """Of a batch's links: they outlive its deadline."""
    deadline = payload.get("deadline")
    return links.expiry(datetime.fromisoformat(deadline).timestamp() if deadline else created)


def to_see(item: OutboxItem, exhibits: Exhibits, links: Links) -> OutboxItem:
    """For a tool that shows samples itself: texts and vectors in the batch, images by a link to each where there are links."""
    if item.kind != BATCH:
        return item
    batch, candidates = str(item.payload["batch"]), item.payload["candidates"]
    without_text = next((str(each["driftgate_id"]) for each in candidates if not each.get("text")), None)
    first = exhibits.samples(batch, [without_text]) if links and without_text is not None else {}
    if not any(isinstance(sample.payload, bytes) for sample in first.values()):
        return by_value(item, exhibits)
    expires = expiry(item.payload, links, item.created)
    seen = [{**each, "link": links.url(Kind.SAMPLE, batch, str(each["driftgate_id"]), expires=expires)} for each in candidates]
    return replace(item, payload={**item.payload, "candidates": seen})


def by_value(item: OutboxItem, exhibits: Exhibits) -> OutboxItem:
    """The batch with its images and vectors beside the texts. A repetition is the same as long as the samples are kept."""
    if item.kind != BATCH:
        return item
    samples = beyond_text(item.payload, exhibits)
    shown = [
        {**each, **payload_field(samples[each["driftgate_id"]].payload)} if each["driftgate_id"] in samples else each
        for each in item.payload["candidates"]
    ]
    whole = {**item.payload, "candidates": shown}
    if samples and len(msgspec.json.encode(whole)) > WHOLE_BYTES:
        raise DeliveryError(
            f"annotation batch {item.payload['batch']}: more than {WHOLE_BYTES:,} bytes with its samples in it; set payload: link and "
            "server.public_url, or ask for fewer at a time, then replay the item",
            retryable=False,
        )
    return replace(item, payload=whole)


def beyond_text(batch: Mapping[str, Any], exhibits: Exhibits) -> Mapping[str, Sample]:
    """The samples of which the batch has no text, or perhaps only the beginning."""
    candidates: Sequence[Mapping[str, Any]] = batch["candidates"]
    lacking = [str(each["driftgate_id"]) for each in candidates if not 0 < len(each.get("text") or "") < MOST_TEXT]
    return exhibits.samples(str(batch["batch"]), lacking) if lacking else {}
