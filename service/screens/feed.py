"""What a monitor's input has lost, as `driftgate status` says it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from service.feed import NOT_KEYED
from service.losses import LATE
from service.screens.drawing import count, excerpt, percent, span

Figures = Mapping[str, Any]


def feed_lines(feed: Figures) -> Iterator[str]:
    """A line for each thing that is worth one; none of a feed that loses nothing."""
    if feed.get("blind"):
        came = count(_came(feed["window"]))
        yield f"blind, so that no drift is told: {percent(feed['lost_share'])} of the latest {came} samples are lost"
    if feed.get("silent"):
        yield f"no traffic, for longer than {span(feed.get('silence_after'))}"
    for alarm in feed.get("alarms") or ():
        yield f"! open alarm {alarm} on its feed"
    for name, said in (("window", "in the latest window"), ("day", "in the last day")):
        reasons = dict((feed.get(name) or {}).get("reasons") or {})
        late = reasons.pop(LATE, 0)
        if reasons:
            yield f"could not use {said}, of {count(_came(feed[name]))} samples: {_reasons(reasons)}"
        if late:
            yield f"{count(late)} samples {said} came more than an hour behind the log and count from then on: `backfill` reads history"
    if (feed.get("unmatched_share") or 0.0) > NOT_KEYED:
        yield f"{percent(feed['unmatched_share'])} of the answers match no request: is the topic keyed by the event's id?"


def _came(loss: Figures) -> int:
    return int(loss["samples"]) + int(loss["lost"])


def _reasons(reasons: Mapping[str, int]) -> str:
    """Most first."""
    listed = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{excerpt(reason, 40)} {count(number)}" for reason, number in listed)
