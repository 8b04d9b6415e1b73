"""What the model fails on, for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from service.records import Measured
from service.screens.drawing import NONE, columns, count, excerpt, interval, level_bar

Document: TypeAlias = Mapping[str, Any]

_CLUSTERS, _TOLD = 20, 5
"""Clusters that are listed, and of which it is told what speaks for a cause; of one alone, what speaks against one as well."""
_MARKS = {"for": ("▲", "bold red"), "unsure": ("?", "yellow"), "against": ("·", "dim"), "cannot say": (NONE, "dim")}
"""Colours repeat what the marks say."""


def failures_screen(document: Document) -> RenderableType:
    """`document` as `GET /v1/monitors/{monitor}/failures` gives it."""
    clusters = document["clusters"]
    if not clusters:
        return Group(
            Text(f"monitor {document['monitor']}: no failure is known under reference {document['reference_version']}"), *_rest(document)
        )
    top = max(cluster["weight"] for cluster in clusters)
    parts: list[RenderableType] = [_table(clusters, top)]
    for cluster in clusters[: _CLUSTERS if clusters[0]["failures"] else _TOLD]:
        parts += [Text(), *_evidence(cluster, whole=len(clusters) == 1)]
        if cluster["failures"]:
            parts.append(Padding(_samples(cluster), (0, 0, 0, 2)))
    return Group(*parts, *_rest(document))


def _table(clusters: list[Document], top: float) -> Table:
    table = columns("cluster", "right", "answered", "words", "samples", "loss", "size × loss", "likely cause", right=("samples", "loss"))
    for each in clusters[:_CLUSTERS]:
        what = each["name"].removeprefix(each["label"] or "").removeprefix(": ")
        names = (Text(each["id"]), *(Text(excerpt(name or NONE, 40)) for name in (each["label"], each["answer"], what)))
        copies = each["samples"] - each["distinct"]
        samples = f"{count(each['distinct'])}{f' (+{count(copies)})' if copies else ''}"
        weight = f"{level_bar(each['weight'], top, 8)} {each['weight']:.1f}"
        table.add_row(*names, samples, f"{each['loss']:.2f}", weight, each["cause"] or NONE)
    if len(clusters) > _CLUSTERS:
        table.caption, table.caption_justify = f"… and {len(clusters) - _CLUSTERS:,} more", "left"
    return table


def _evidence(cluster: Document, *, whole: bool) -> Iterator[RenderableType]:
    yield Text(f"{cluster['id']}  {excerpt(cluster['name'], 60)}", "bold")
    table = Table.grid(padding=(0, 2, 0, 0))
    for each in cluster["evidence"]:
        if not whole and each["speaks"] != "for":
            continue
        sign, style = _MARKS[each["speaks"]]
        share = "" if each["share"] is None else interval(Measured(**each["share"]))
        table.add_row(Text(sign, style), Text(each["cause"], style), Text(share), Text(excerpt(each["says"], 300)))
    yield Padding(table if table.row_count else Text("nothing speaks for a cause", "dim"), (0, 0, 0, 2))


def _samples(cluster: Document) -> Table:
    table = columns("sample", "loss", "right", "answered", "marked by", "text", right=("loss",))
    for each in cluster["failures"]:
        told = excerpt(each["text"], 80) + "".join(f" [{excerpt(why, 60)}]" for why in each["suspects"])
        copies = f" ×{count(each['count'])}" if each["count"] > 1 else ""
        names = (Text(excerpt(each[name] or NONE, 40)) for name in ("label", "answer", "marked_by"))
        table.add_row(Text(excerpt(each["id"], 60) + copies), f"{each['loss']:.2f}", *names, Text(told))
    return table


def _rest(document: Document) -> Iterator[Text]:
    if document["older"]:
        yield Text(f"\n{count(document['older'])} failures under earlier references say nothing of the model in force", "dim")
    if document["unkept"]:
        yield Text(f"\n{count(document['unkept'])} marked samples are kept nowhere any more: mark them again with --input FILE", "yellow")
