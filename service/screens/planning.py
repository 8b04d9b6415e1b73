"""What `driftgate plan` shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from service.screens.drawing import columns, count, excerpt


def plan_screen(document: Mapping[str, Any]) -> RenderableType:
    """`monitor`, `asked` {`alpha`, `delta`, `margin`}, `needs` [{`purpose`, `segment`, `least`, `steady`, `have`, `used`, `missing`}],
    `golden_labels`, `golden_least`, `challenge_labels`, `price`, `cost` and `steps`."""
    asked = document["asked"]
    promise = (
        f"a verdict on the next model; behind a switch at most {asked['alpha']:.2%} of answers break (δ {asked['delta']:g}); "
        f"{100 * asked['margin']:g} points of challenge accuracy seen"
    )
    table = columns("for", "segment", "least", "steady", "there", "used", "missing", right=("least", "steady", "there", "used", "missing"))
    for need in document["needs"]:
        figures = (count(need[name]) for name in ("least", "steady", "have", "used", "missing"))
        table.add_row(need["purpose"], Text(excerpt(need["segment"], 40)), *figures)
    steps = [Text(f"{number}. {excerpt(step, 400)}") for number, step in enumerate(document["steps"], 1)]
    return Group(Text(f"{document['monitor']}: {promise}", "bold"), table, Text(_cost(document), "bold"), *steps)


def _cost(document: Mapping[str, Any]) -> str:
    golden, challenge = document["golden_labels"], document["challenge_labels"]
    if not golden + challenge:
        return "\nnothing is missing"
    least = f" ({count(document['golden_least']) if document['golden_least'] else 'none'} at the least)" if golden else ""
    labels = f"\nto be labelled: {count(golden)} golden rows at random{least}, {count(challenge)} challenge rows from what drifts"
    if document["cost"] is None:
        return f"{labels}; no price is set (annotation.price)"
    return f"{labels}: {document['cost']:,.2f} at {document['price']:g} a label"
