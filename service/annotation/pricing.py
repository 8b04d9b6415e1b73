"""What a batch costs, and whether a person has to agree to it."""

from __future__ import annotations

from service.records import AnnotationBatch
from service.settings import AnnotationSettings


def labels_asked(batch: AnnotationBatch) -> int:
    """Answers that are paid for: several of some candidates, and those of gold."""
    return sum(item.answers for item in (*batch.items, *batch.gold))


def price_of(batch: AnnotationBatch, price: float | None) -> float | None:
    """None without a price per label."""
    return None if price is None else round(price * labels_asked(batch), 2)


def waits_for(batch: AnnotationBatch, settings: AnnotationSettings) -> str:
    """Why the batch does not leave by itself, for people; '' where it does."""
    if not settings.destination:
        return "no annotation.destination is set: name a webhook or a folder, then approve it"
    if settings.approval == "operator":
        return "annotation.approval is operator: a person approves every batch"
    labels, cost = labels_asked(batch), price_of(batch, settings.price)
    if settings.automatic_labels is not None and labels > settings.automatic_labels:
        return f"it asks for {labels:,} answers, and annotation.automatic_labels lets {settings.automatic_labels:,} leave by themselves"
    if settings.automatic_cost is not None and cost is not None and cost > settings.automatic_cost:
        most = f"{settings.automatic_cost:,.2f} leave by itself, or its team has no more left (teams.quotas.label_cost)"
        return f"it costs {cost:,.2f}, and annotation.automatic_cost lets {most}"
    return ""
