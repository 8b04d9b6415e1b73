"""What `driftgate explain --sample` shows: the sample, its neighbours, what taught the model, and what its answer stands on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from service.screens.drawing import NONE, columns, cut, excerpt, level_bar, moment, percent

Document: TypeAlias = Mapping[str, Any]

_PARTS, _TEXT, _WORD = 10, 800, 40
_SHADES = "·░▒▓█"
_MARKS = ((2 / 3, "▲▲", "bold red"), (1 / 3, "▲", "yellow"), (-1 / 3, "", ""), (-2 / 3, "▼", "cyan"), (-2.0, "▼▼", "bold blue"))
"""From which share of the largest weight on a part is marked how; colours repeat what the marks say."""

_SIDES = {"reference": "nearest reference samples", "train": "nearest training samples"}
_NOVELTIES = {
    "reference": "by the nearest reference rows",
    "train": "by the nearest training rows",
    "stream": "by the stream's prototypes",
    "residual": "by what the leading directions leave",
}


def sample_explanation(document: Document) -> RenderableType:
    """The sample in full; `document` as `GET /v1/monitors/{monitor}/samples/{id}/explanation` gives it."""
    parts: list[RenderableType] = [_title(f"sample {excerpt(document['id'], 60)} of {document['monitor']}"), _headline(document)]
    if document["novelty"]:
        parts += [_title("how new it is: percentile among their own rows"), _novelty(document)]
    if document["attribution"]:
        parts += _attribution(document["attribution"], document["answer"])
    for side, title in _SIDES.items():
        if document["near"].get(side):
            parts += [_title(title), _near_table(document["near"][side])]
    if document["supporting"] or document["opposing"]:
        parts += [_title("training samples behind the answer"), _taught_table(document["supporting"], document["opposing"])]
    if document["missing"]:
        parts += [_title("what can't be said"), *map(_missing, document["missing"])]
    return Group(*parts)


def _headline(document: Document) -> Text:
    answer, time = document["answer"], document["time"]
    tags = ", ".join(f"{name}={value}" for name, value in document["segments"].items())
    where = ", ".join(filter(None, [document["place"], _moment(time), excerpt(tags, 120)]))
    said = excerpt(answer["given"] or answer["now"], 60) or "not known"
    sure = "" if answer["confidence"] is None else f" ({percent(answer['confidence'])})"
    changed = f", now {excerpt(answer['now'], 60)}" if answer["given"] and answer["now"] not in {"", answer["given"]} else ""
    label = f"; label {excerpt(document['label'], 60)}" if document["label"] else ""
    lines = [f"found in {where}", f"the model's answer: {said}{sure}{changed}{label}"]
    cluster, nearest = (excerpt(document["placed"][name], 60) for name in ("cluster", "nearest"))
    if cluster:
        lines.append(f"cluster: {cluster}" + (f", nearest to {nearest}" if cluster != nearest else ""))
    marked = document["attribution"] is not None and document["attribution"]["unit"] == "words"
    shown = [Text(excerpt(document["text"], 400), "bold"), Text("\n")] if document["text"] and not marked else []
    return Text.assemble(*shown, "\n".join(lines))


def _novelty(document: Document) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    for name, meaning in _NOVELTIES.items():
        share = document["novelty"][name]
        if share is not None:
            table.add_row(percent(share), level_bar(share, 1.0), meaning)
    return table


def _attribution(found: Document, answer: Document) -> list[RenderableType]:
    of = found["of"]
    what = f"the logit of {excerpt(answer['explained'], 60)}" if of == "answer" else "the distance to the nearest of the reference"
    top = max((abs(part[of]) for part in found["parts"] if part[of] is not None), default=0.0)
    drawn = {"words": _words, "patches": _patches}.get(found["unit"])
    picture = [drawn(found, top)] if drawn and top > 0 else []
    return [_title(f"what it stands on: {what}, {found['whole']:.2f}"), *picture, _part_table(found, top), *_together(found), _dim(found)]


def _words(found: Document, top: float) -> Text:
    """The text, its weightiest words marked."""
    text, length = Text(), 0
    for part in found["parts"]:
        mark, style = _mark(part[found["of"]], top)
        text.append(excerpt(part["text"], _WORD) + mark, style).append(" ")
        length += min(len(part["text"]), _WORD)
        if length > _TEXT:
            return text.append("…")
    return text


def _mark(weight: float | None, top: float) -> tuple[str, str]:
    share = (weight or 0.0) / top
    return next((mark, style) for least, mark, style in _MARKS if share >= least)


def _patches(found: Document, top: float) -> Text:
    """The grid: the darker a patch, the more it takes away; `-` where leaving it out adds."""
    text, side = Text(), found["side"]
    for at, part in enumerate(found["parts"]):
        share = (part[found["of"]] or 0.0) / top
        shade = "-" if share < -0.1 else _SHADES[min(int(max(share, 0.0) * len(_SHADES)), len(_SHADES) - 1)]
        text.append(shade * 2, _mark(part[found["of"]], top)[1])
        text.append("\n" if at % side == side - 1 and at + 1 < len(found["parts"]) else "")
    return text


def _part_table(found: Document, top: float) -> Table:
    """The weightiest parts, those that speak against it last; how the absence of each moves the novelty stands beside the answer's."""
    of = found["of"]
    known = [part for part in found["parts"] if part[of] is not None]
    weightiest = sorted(known, key=lambda part: -abs(part[of]))[:_PARTS]
    beside = ["of the novelty"] if of == "answer" else []
    table = columns("weight", "", found["unit"], *beside, right=("weight", *beside))
    for part in sorted(weightiest, key=lambda part: -part[of]):
        bar = level_bar(abs(part[of]), top, 12).replace("█", "█" if part[of] >= 0 else "▒")
        novelty = [_signed(part["novelty"])] if beside else []
        table.add_row(_signed(part[of]), bar, Text(excerpt(part["text"], _WORD)), *novelty)
    return cut(table, min(_PARTS, len(known)), len(known) + found["left_out"])


def _signed(weight: float | None) -> str:
    return NONE if weight is None else f"{weight:+.{2 if abs(weight) >= 1 else 3}f}"


def _together(found: Document) -> list[Text]:
    """Whether parts stand in for each other."""
    chosen = [found["parts"][at] for at in found["strongest"]]
    if len(chosen) < 2 or found["together"] is None:
        return []
    names, apart = ", ".join(excerpt(part["text"], _WORD) for part in chosen), sum(part[found["of"]] for part in chosen)
    return [Text(f"left out together ({names}): {_signed(found['together'])}; one by one they add up to {_signed(apart)}")]


def _dim(found: Document) -> Text:
    legend = "▲ holds it up, ▼ speaks against it: without that part it would be more; doubled from two thirds of the largest on. "
    return Text(f"{legend if found['unit'] == 'words' else ''}{found['caveat']}", "dim")


def _near_table(rows: Sequence[Document]) -> Table:
    table = columns("distance", "label", "", "sample", "text", right=("distance",))
    for row in rows:
        same = {True: Text("same", "green"), False: Text("other", "bold red"), None: Text("")}[row["same"]]
        label = Text(excerpt(row["label"] or NONE, 40))
        table.add_row(f"{row['distance']:.3f}", label, same, Text(excerpt(row["id"], 40)), Text(excerpt(row["text"]) or NONE))
    return table


def _taught_table(supporting: Sequence[Document], opposing: Sequence[Document]) -> Table:
    table = columns("nats", "", "label", "sample", "text", right=("nats",))
    for what, style, rows in (("for", "green", supporting), ("against", "bold red", opposing)):
        for row in rows:
            shown = (Text(excerpt(row["label"] or NONE, 40)), Text(excerpt(row["id"], 40)), Text(excerpt(row["text"]) or NONE))
            table.add_row(f"{row['nats']:+.2g}", Text(what, style), *shown)
    return table


def _missing(gap: Document) -> Text:
    remedy = f"; {excerpt(gap['remedy'], 200)}" if gap["remedy"] else ""
    return Text(f"{gap['what']}: {excerpt(gap['why'], 300)}{remedy}", "yellow")


def _moment(time: str | None) -> str:
    return "" if time is None else moment(datetime.fromisoformat(time).timestamp())


def _title(text: str) -> RenderableType:
    return Padding(Rule(Text(text, "bold"), align="left", characters="─"), (1, 0, 0, 0))
