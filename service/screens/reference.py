"""What a reference learned of its rows, for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.text import Text

from service.screens.drawing import count, span

_FOLLOWS = {
    "none": "nothing: no time of day stands out of these rows, or they have no times over three days",
    "hour of day": "the hour of the day (UTC)",
    "weekday and weekend": "the hour of the day on weekdays and on weekends (UTC)",
}


def learned(manifest: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Name and finding, of a version's manifest; nothing from versions that were made before it was kept."""
    if "profile" not in manifest:
        return
    yield "neighbours", _neighbours(manifest)
    yield "expects by", _FOLLOWS[manifest["profile"]]
    asked, need = manifest["asked_run_length"], manifest["rows_needed"]
    yield "run length", f"{count(asked)} asked, for which {count(need)} such rows are needed; {count(manifest['rows'])} were given"
    longest = manifest["longest_window"]
    covers = "" if longest["seconds"] is None else f", {span(longest['seconds'])} at the rate at which these rows came"
    yield "longest window", f"{count(longest['samples'])} samples{covers}"


def warned(manifest: Mapping[str, Any]) -> list[Text]:
    """A line for each warning that the build gave."""
    return [Text(f"warning: {warning}", "yellow") for warning in manifest.get("warnings", ())]


def _neighbours(manifest: Mapping[str, Any]) -> str:
    if manifest["order"] == "iid":
        return "taken as independent (detection.order: iid)"
    if manifest["block"] == 1:
        return "measured as independent"
    at_least = "about" if manifest["inflation_measured"] else "more than"
    return f"depend on each other: {at_least} {manifest['inflation']:.3g} rows are worth one; blocks of {count(manifest['block'])}"
