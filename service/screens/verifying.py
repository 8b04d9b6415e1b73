"""A verification in a terminal: both models on the same rows, what broke, and the verdict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from service.screens.drawing import NONE, columns, count, excerpt, percent, points

Figures = Mapping[str, Any]

_SETS = {"golden": "must not regress", "challenge": "shows the drift"}
_SEGMENTS = 12


def verification_table(verification: Figures) -> RenderableType:
    """Old model against new, on the same rows.

    `golden` and `challenge` (either may be missing): `rows`, `old_accuracy`, `new_accuracy`, `gain` {`estimate`, `low`, `high`},
    `positive_flips`, `negative_flips` (rows that the old model got right and the new one wrong) and `negative_flip_bound`; `segments`
    of golden likewise. Beside them: `passed`, `verdict`, `reasons` (texts), `error`, `max_negative_flips`, `lost_classes`, `correction`.
    """
    table = columns("labelled set", "rows", "old", "new", "gain", "mended", "broken", right=("rows", "old", "new", "mended", "broken"))
    for name, meaning in _SETS.items():
        if verification.get(name):
            table.add_row(f"{name}\n{meaning}", *_set_figures(verification[name]))
    passed, verdict = bool(verification.get("passed")), excerpt(str(verification.get("verdict") or NONE))
    outcome = Text.assemble(
        "the new model ", ("passed" if passed else "did not pass", "bold green" if passed else "bold red"), f": {verdict}"
    )
    weighted = [_weighted(challenge)] if (challenge := verification.get("challenge") or {}).get("weighted") else []
    reasons = [Text(f"  • {excerpt(str(reason), 300)}") for reason in verification.get("reasons") or ()]
    return Group(table, *weighted, *_segments(verification), _bound(verification), *_beside(verification), outcome, *reasons)


def _set_figures(found: Figures) -> tuple[str, ...]:
    gain = found.get("gain")
    change = f"{points(gain['estimate'])}\n{points(gain['low'])} to {points(gain['high'])}" if gain else NONE
    accuracies = (percent(found.get("old_accuracy")), percent(found.get("new_accuracy")))
    return (count(found.get("rows")), *accuracies, change, count(found.get("positive_flips")), count(found.get("negative_flips")))


def _weighted(challenge: Figures) -> Text:
    """Why its row does not add up."""
    effective = challenge.get("effective_rows")
    worth = f", worth {effective:,.0f} rows drawn evenly" if effective else ""
    return Text(
        f"challenge: shares are weighted by the chances with which rows were drawn{worth}; mended and broken are counts of rows", "dim"
    )


def _segments(verification: Figures) -> Iterator[RenderableType]:
    """Those of which accuracy changed worst first."""
    found = sorted(verification.get("segments") or (), key=lambda each: each["gain"]["estimate"])
    if not found:
        return
    table = columns("segment of golden", "rows", "old", "new", "gain", "ended", right=("rows", "old", "new"))
    for each in found[:_SEGMENTS]:
        rows, old, new, gain, *_ = _set_figures(each)
        table.add_row(Text(excerpt(each["segment"], 40)), rows, old, new, gain, Text(each["outcome"]))
    yield table
    if len(found) > _SEGMENTS:
        yield Text(f"… and {len(found) - _SEGMENTS:,} more segments")
    if worse := [excerpt(each["segment"], 40) for each in verification.get("worse_segments") or ()]:
        yield Text(f"surely worse (Holm): {', '.join(worse[:_SEGMENTS])}", "bold red")


def _bound(verification: Figures) -> Text:
    """What may have broken, and where that is held against the model, what is allowed."""
    bound, allowed = (verification.get("golden") or {}).get("negative_flip_bound"), verification.get("max_negative_flips")
    error = verification.get("error")
    sure = "" if error is None else f" (at {percent(1 - error)} confidence)"
    return Text(f"broken on golden: at most {percent(bound)}{sure}" + (f", allowed {percent(allowed)}" if allowed else ""))


def _beside(verification: Figures) -> Iterator[Text]:
    if lost := verification.get("lost_classes"):
        yield Text(f"classes that the new model does not know: {excerpt(', '.join(map(str, lost)), 200)}", "yellow")
    if correction := verification.get("correction"):
        yield Text(f"with {count(correction['relabelled'])} golden labels as they were before their correction: {correction['verdict']}")
    if (fitting := verification.get("fitting")) and fitting["fits"] in {"over", "under"}:
        yield Text(excerpt(str(fitting["says"]), 200), "yellow")
    if latency := verification.get("latency"):
        ratio = latency["ratio"]
        yield Text(f"one sample takes {ratio['estimate']:.2f} times as long ({ratio['low']:.2f} to {ratio['high']:.2f}), measured here")
