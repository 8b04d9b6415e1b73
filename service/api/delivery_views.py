"""Deliveries of labels as JSON."""

from __future__ import annotations

from pydantic import AliasChoices, Field

from service.api.schemas import PageView, Time, View
from service.records import DeliveryState


class Received(View):
    """Kept, and worked off within a second or two."""

    delivery: str = Field(description="Under which its outcome is asked for.", validation_alias=AliasChoices("delivery", "id"))
    state: DeliveryState


class Told(View):
    """What a tool told is kept."""

    deliveries: tuple[str, ...] = Field(description="Under which the outcomes are asked for; none where it told of no answer.")


class DeliveryView(View):
    """Labels of one batch that came in together, and what they did."""

    id: str
    monitor: str
    batch: str
    source: str = Field(description="How they came: `webhook`, `file`, or a destination's name.")
    created: Time
    state: DeliveryState
    count: int = Field(description="Labels in it.")
    changed: int = Field(description="Labels that were new or said something else than before.")
    unknown: tuple[str, ...] = Field(description="Ids that are not in the batch; their labels were dropped.")
    unresolved: tuple[str, ...] = Field(description="Answers that are no class of the scheme, nor an alias of one; they count for nothing.")
    proposed: tuple[str, ...] = Field(description="Names of new classes that were proposed.")
    conflicting: int = Field(description="Labels by which an annotator says something else than before; the newest counts.")
    late: int = Field(description="Labels that came after the batch had ended; they are kept all the same.")
    error: str = Field(description="Why it was refused.")


class Deliveries(PageView):
    """Newest first."""

    deliveries: tuple[DeliveryView, ...]
