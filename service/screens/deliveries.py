"""Deliveries of labels on a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import RenderableType
from rich.text import Text

from service.records import Delivery
from service.screens.drawing import columns, count, excerpt, moment, word

_NAMED = 3
_RIGHT = ("labels", "new")


def deliveries_screen(deliveries: Sequence[Delivery]) -> RenderableType:
    """Newest first, each with what stands in the way of its labels."""
    table = columns("delivery", "came", "from", "batch", "labels", "new", "state", right=_RIGHT)
    for each in deliveries:
        what = Text.assemble(each.id, *(f"\n  {line}" for line in _remarks(each)))
        new = count(each.changed) if each.changed or each.state == "taken" else ""
        table.add_row(what, moment(each.created), excerpt(each.source), each.batch, count(each.count), new, word(each.state))
    return table if deliveries else Text("no labels have come in yet")


def _remarks(delivery: Delivery) -> list[str]:
    named = (
        ("not in the batch", delivery.unknown),
        ("no class of the scheme", delivery.unresolved),
        ("proposed as new", delivery.proposed),
    )
    counted = (
        ("late: the batch had ended", delivery.late),
        ("say something else than the same annotator before", delivery.conflicting),
    )
    remarks = [f"{count(len(words))} {what}: {_some(words)}" for what, words in named if words]
    remarks += [f"{count(number)} {what}" for what, number in counted if number]
    return [*remarks, excerpt(delivery.error, 200)] if delivery.error else remarks


def _some(words: Sequence[str]) -> str:
    more = ", …" if len(words) > _NAMED else ""
    return ", ".join(excerpt(each) for each in words[:_NAMED]) + more
