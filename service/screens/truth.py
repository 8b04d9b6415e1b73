"""How often the model was wrong, and what became of labels, for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from service.records import Alarm, Confusion, Measured
from service.screens.drawing import NONE, columns, count, cut, excerpt, interval, level_bar, percent, points, span

Figures = Mapping[str, Any]

_NAMED, _STREAMS = 20, 20

_SAID = {
    "taken": "taken",
    "repeated": "known already",
    "corrected": "corrected: the newest stands, and is not counted again",
    "outdated": "outdated: a newer one stands",
    "unknown": "of unknown samples: they may be sent again",
    "outside": "no class of the monitor",
    "malformed": "no labels",
}


def delivery_screen(counts: Mapping[str, int], named: Sequence[tuple[str, str]]) -> RenderableType:
    """What became of labels; named : (where or of which sample, why) of those that need a look."""
    lines = [Text(f"{count(counts[fate])} {said}") for fate, said in _SAID.items() if counts.get(fate)]
    table = columns("label", "why it needs a look")
    for label, why in named[:_NAMED]:
        table.add_row(Text(excerpt(label, 80)), Text(excerpt(why, 300)))
    return Group(*lines, *([cut(table, _NAMED, len(named))] if named else []))


def truth_screen(monitor: str, figures: Figures | None) -> RenderableType:
    """The `truth` of a monitor's status document."""
    if figures is None:
        return Text(f"monitor {monitor}: no label has come yet; `driftgate truth add --monitor {monitor} --input FILE` takes some")
    return Group(Text(excerpt(monitor), "bold"), Text(errors_line(figures)), _streams(figures["streams"]))


def answers_changed(alarm: Alarm) -> Iterator[tuple[str, RenderableType]]:
    """What an alarm of changed answers shows besides its effect, each part under its title."""
    if alarm.confusions:
        yield f"what is taken for what: shares of the latest {count(alarm.judged)} labels", confusion_table(alarm.confusions)
    if alarm.label_delay is not None:
        delay = alarm.label_delay
        came = f"{span(delay.estimate)} after their samples, eight of ten within {span(delay.low)} to {span(delay.high)}"
        yield "when labels came", Text(came)


def confusion_table(confusions: Sequence[Confusion]) -> Table:
    """Shares of all labels."""
    table = columns("truth", "taken for", "before", "now", "points", right=("before", "now", "points"))
    for each in confusions:
        change = f"{points(each.change.estimate)} ({points(each.change.low)} to {points(each.change.high)})"
        figures = (percent(each.before_share), percent(each.window_share), change)
        table.add_row(Text(excerpt(each.truth, 60)), Text(excerpt(each.answer, 60)), *figures)
    return table


def errors_line(figures: Figures) -> str:
    """Labels so far, and the error rate."""
    delay = figures["delay"]
    parts = [f"{count(figures['labels'])} labels, half of them within {span(delay['median'])}", f"wrong {_rate(figures['error_rate'])}"]
    if figures["first_labels"]:
        parts.append(f"tested from {count(figures['first_labels'])} labels on")
    else:
        parts.append(f"expected {_rate(figures['expected'])}")
    if figures["alarm"]:
        parts.append(f"! open alarm {figures['alarm']}")
    return "; ".join(parts)


def _streams(streams: Sequence[Figures]) -> Table:
    """The whole on top, then those with most labels."""
    table = columns("", "stream", "labels", "wrong %", "expected %", "evidence / threshold", right=("labels",))
    for stream in [*streams[:1], *sorted(streams[1:], key=lambda each: -each["labels"])][:_STREAMS]:
        evidence, threshold = stream["evidence"], stream["threshold"]
        bar = NONE if threshold is None else f"{level_bar(evidence or 0.0, threshold, 10)} {evidence or 0.0:4.1f} / {threshold:.1f}"
        figures = (count(stream["labels"]), _rate(stream["error_rate"]), _rate(stream["expected"]))
        table.add_row("!" if stream["alarm"] else "", Text(excerpt(stream["segment"], 80)), *figures, bar)
    return cut(table, _STREAMS, len(streams))


def _rate(measured: Figures | None) -> str:
    return NONE if measured is None else interval(Measured(**measured))
