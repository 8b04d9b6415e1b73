"""What `driftgate compare` shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from service.screens.drawing import columns, count, excerpt

CAUTION = (
    "One look at these rows, taken as independent of each other (sessions and bursts are not). Repeated on every window, equal traffic "
    "would be called different at this rate for ever: watching is the monitor's job. And p says how surely they differ, not how far."
)
_LISTED = 5


def comparison_table(document: Mapping[str, Any]) -> RenderableType:
    """`against`, `level`, `tests` [{`segment`, `test`, `statistic`, `p_value`, `adjusted_p_value`, `differs`, `detail` {`reference_rows`,
    `window_rows`}}], `left_out` {segment: reason} and `unusable` {input: count}."""
    tests: Sequence[Mapping[str, Any]] = document["tests"]
    table = columns("segment", "test", "rows", "statistic", "p", "adjusted p", "", right=("rows", "statistic", "p", "adjusted p"))
    for tested in tests:
        detail = tested["detail"]
        rows = f"{count(detail['reference_rows'])} : {count(detail['window_rows'])}"
        figures = (f"{tested[name]:.3g}" for name in ("statistic", "p_value", "adjusted_p_value"))
        said = Text("differs", "bold red") if tested["differs"] else Text("no evidence", "dim")
        table.add_row(Text(excerpt(tested["segment"], 40)), tested["test"], rows, *figures, said)
    return Group(table, _verdict(document), *_left_out(document), Text(CAUTION, "dim"))


def _verdict(document: Mapping[str, Any]) -> Text:
    tests = document["tests"]
    differing = sum(tested["differs"] for tested in tests)
    found = f"a difference in {differing} of {len(tests)} tests" if differing else f"no evidence of a difference in {len(tests)} tests"
    return Text(f"{found}, at level {document['level']:g} over the whole look (Holm), against {excerpt(document['against'], 80)}", "bold")


def _left_out(document: Mapping[str, Any]) -> list[RenderableType]:
    segments = list(document["left_out"].items())
    lines: list[RenderableType] = [Text(f"left out: {excerpt(name, 60)}: {why}") for name, why in segments[:_LISTED]]
    if len(segments) > _LISTED:
        lines.append(Text(f"… and {len(segments) - _LISTED:,} more segments left out"))
    return lines + [Text(f"unusable samples in {excerpt(name, 80)}: {number:,}") for name, number in document["unusable"].items() if number]
