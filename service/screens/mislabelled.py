"""What `driftgate dataset errors` shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from service.records import Measured
from service.screens.drawing import columns, count, excerpt, interval, percent

_CLASSES, _IDS = 10, 5


def errors_table(document: Mapping[str, Any]) -> RenderableType:
    """`set`, `rows`, `rate`, `ambiguous`, `likely`, `expected`, `suspects`, `classes`, `outside`, `single`, `unlabelled`: worst rows, worst
    classes, and what could not be judged."""
    suspects: Sequence[Mapping[str, Any]] = document["suspects"]
    table = columns("id", "label", "suggested", "wrong", "heads", "near", "text", right=("wrong", "heads", "near"))
    for one in suspects:
        names = (Text(excerpt(one[name], 40)) for name in ("id", "label", "suggested"))
        shares = (percent(one[name]) for name in ("probability", "heads", "neighbours"))
        table.add_row(*names, *shares, Text(excerpt(one["text"], 60)))
    rate = Measured(**document["rate"])
    wrong = "wrong or ambiguous" if document["ambiguous"] else "wrong"
    verdict = f"{document['set']}: {interval(rate)} of {count(document['rows'])} labels are {wrong}; {count(document['likely'])} rows are "
    verdict += f"likelier so than right. These {len(suspects)} hold about {count(document['expected'])} of them."
    return Group(table, _classes(document["classes"]), *_unjudged(document), Text(f"\n{verdict}", "bold"))


def _classes(classes: Sequence[Mapping[str, Any]]) -> RenderableType:
    table = columns("class", "rows", "wrong", "mostly", right=("rows", "wrong"))
    for one in classes[:_CLASSES]:
        table.add_row(Text(excerpt(one["label"], 40)), count(one["rows"]), f"{one['wrong']:.1f}", Text(excerpt(one["instead"], 40)))
    return Group(Text("\nClasses with most wrong labels, by expectation", "bold"), table)


def _unjudged(document: Mapping[str, Any]) -> list[Text]:
    lines = []
    for label, ids in document["outside"].items():
        shown = ", ".join(excerpt(each, 40) for each in ids[:_IDS])
        lines.append(Text(f"\n{excerpt(label, 40)} is none of the monitor's classes: {count(len(ids))} rows, such as {shown}", "yellow"))
    if document["single"]:
        shown = ", ".join(excerpt(each, 40) for each in document["single"][:_IDS])
        lines.append(Text(f"\nclasses of one row can't be judged: {count(len(document['single']))}, such as {shown}", "yellow"))
    if document["unlabelled"]:
        lines.append(Text(f"\n{count(document['unlabelled'])} rows have no label", "yellow"))
    return lines
