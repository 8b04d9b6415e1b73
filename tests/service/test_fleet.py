"""All streams side by side: who stands, who is apart, and how it reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from rich.console import Console

from service import fleet
from service.budget import DAY
from service.figures import describe_status
from service.records.fleet import Fleet
from service.screens.fleet import fleet_screen
from service.settings import BudgetSettings
from service.streams import MonitorStreams
from tests.service.conftest import World

BUDGET = BudgetSettings()
RATE = 1e6 / (30 * DAY)
"""A million samples in a patience."""


def stream(segment: str, e_log10: float | None, **changes: Any) -> Mapping[str, Any]:
    effect = {"estimate": 0.2, "low": 0.1, "high": 0.3}
    return {
        "segment": segment, "regime": "active", "samples": 5_000, "e_log10": e_log10, "traffic_per_second": RATE, "effect": effect,
        "alarm": None, **changes,
    }  # fmt: skip


def compared(*streams: Mapping[str, Any], inflation: float = 1.0) -> Fleet:
    return fleet.compare({"chat": {"streams": list(streams), "inflation": inflation}, "new": {}}, BUDGET)


def shown(found: Fleet) -> str:
    console = Console(width=140)
    with console.capture() as capture:
        console.print(fleet_screen(found))
    return " ".join(capture.get().split())


def test_evidence_is_counted_per_patience_and_sorted() -> None:
    found = compared(stream("calm", 2.0), stream("drifting", 8.0), stream("silent", 9.0, traffic_per_second=None))
    assert [line.segment for line in found.streams] == ["drifting", "calm", "silent"]
    assert [line.log10_e for line in found.streams] == [pytest.approx(2.0), pytest.approx(-4.0), None]
    assert [line.stands for line in found.streams] == [True, False, False]  # 100 is at least 3 streams / 0.1


def test_a_stream_that_would_not_stand_alone_stands_beside_others() -> None:
    """Of 4 at a tenth: alone 40 is needed, two need 20 each."""
    calm = [stream("calm", 0.0), stream("calm too", 0.0)]
    assert not any(line.stands for line in compared(stream("a", 7.4), stream("b", 6.0), *calm).streams)  # 25
    assert sum(line.stands for line in compared(stream("a", 7.4), stream("b", 7.4), *calm).streams) == 2


@pytest.mark.parametrize("regime", ["advisory", "shadow"])
def test_streams_outside_the_budget_are_apart_and_cost_the_others_nothing(regime: str) -> None:
    found = compared(stream("small", 300.0, regime=regime), stream("large", 7.1))
    assert [(line.segment, line.stands) for line in found.streams] == [("large", True)]
    assert [(line.segment, line.stands) for line in found.outside] == [("small", False)]
    assert "outside the budget" in shown(found)


def test_the_screen_says_what_the_number_means_and_where_it_holds_about() -> None:
    screen = shown(compared(stream("locale=de", 12.0, alarm="5b0d"), stream("locale=en", 1.0), inflation=3.0))
    assert "1 of 2 streams stand together" in screen
    assert "at most 10.0 % for each 30 days watched" in screen
    assert "6.0* together 20.0 % 5,000 5b0d" in screen
    assert "holds about, not exactly" in screen
    assert "holds about" not in shown(compared(stream("locale=de", 12.0)))


def test_a_stream_that_hardly_has_traffic_gains_nothing_by_it() -> None:
    (line,) = compared(stream("rare", 2.0, traffic_per_second=1e-9)).streams
    assert line.log10_e == 2.0


def test_what_another_version_wrote_is_not_shown() -> None:
    older = {name: value for name, value in stream("old", 2.0).items() if name != "e_log10"}
    assert [line.segment for line in compared(older, stream("new", 2.0)).streams] == ["new"]
    assert fleet.compare({"chat": {"streams": [stream("all", 2.0)]}}, BUDGET).streams


def test_before_anything_is_decided() -> None:
    found = fleet.compare({"chat": {}}, BUDGET)
    assert (found.streams, found.outside) == ((), ())
    assert shown(found) == "no stream has decided anything yet"


def test_a_monitors_evidence_is_decided_with_its_panes_and_outlives_a_checkpoint(world: World) -> None:
    streams, again = (MonitorStreams(world.settings, world.reference) for _ in range(2))
    panes = world.panes(world.drifted(960, seed=4))
    for pane in panes[:30]:
        streams.apply(pane)
    assert again.restore(streams.checkpoint())
    for pane in panes[30:]:
        streams.apply(pane)
        again.apply(pane)
    first, second = (fleet.compare({"chat": describe_status(each)}, BUDGET) for each in (streams, again))
    assert first == second
    (whole,) = [line for line in (*first.streams, *first.outside) if line.segment == "all"]
    assert whole.log10_e is not None
    assert whole.log10_e > 0
