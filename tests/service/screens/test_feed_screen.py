"""What a monitor does not see is said in words, and nothing of one that sees all."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO
from typing import Any

from rich.console import Console, RenderableType

from service.feed import lost
from service.losses import LATE, UNMATCHED, Loss
from service.records import Alarm, AlarmState, Family, Finding, Measured, Regime, Severity, Step
from service.screens import alarm_explanation, alarm_list
from service.screens.feed import feed_lines

NOTHING = {"samples": 320, "lost": 0, "reasons": {}}
CLEAR: dict[str, Any] = {
    "blind": False, "silent": False, "alarms": [], "lost_share": 0.0, "unanswered_share": 0.0, "unmatched_share": 0.0,
    "window": NOTHING, "day": NOTHING, "total": {}, "silence_after": 60.0,
}  # fmt: skip
BLIND = Alarm(
    id="f1", monitor="chat", segment="all", family=Family.FEED, reference_version=1, kind="blind: 34 % lost (type)",
    severity=Severity.CRITICAL, state=AlarmState.OPEN, at_sample=5, at_sequence=5, opened=1_000.0, window_samples=320, window_start=900.0,
    effect=Measured(0.0, 0.0, 1.0), novel_share=Measured(0.0, 0.0, 1.0), channel="feed", regime=Regime.ACTIVE,
    findings=tuple(lost(Loss({"type": 109, LATE: 3}, 211))), history=(Step("open", "a window lost more", 1_000.0),), version=1,
)  # fmt: skip


def words(screen: RenderableType) -> str:
    out = StringIO()
    Console(file=out, width=100, color_system=None).print(screen)
    return " ".join(out.getvalue().split())


def test_a_feed_that_loses_nothing_needs_no_word() -> None:
    assert list(feed_lines(CLEAR)) == []
    assert list(feed_lines({})) == []


def test_what_is_lost_is_said_by_reason() -> None:
    window, day = {"samples": 211, "lost": 109, "reasons": {"type": 100, "time": 9}}, {"samples": 9_000, "lost": 0, "reasons": {LATE: 3}}
    blind = {**CLEAR, "blind": True, "alarms": ["f1"], "lost_share": 109 / 320, "window": window, "day": day}
    assert list(feed_lines(blind)) == [
        "blind, so that no drift is told: 34.1 % of the latest 320 samples are lost",
        "! open alarm f1 on its feed",
        "could not use in the latest window, of 320 samples: type 100, time 9",
        "3 samples in the last day came more than an hour behind the log and count from then on: `backfill` reads history",
    ]


def test_silence_and_a_topic_that_is_not_keyed_are_said() -> None:
    (silent,) = feed_lines({**CLEAR, "silent": True})
    assert silent == "no traffic, for longer than 1.0 min"
    (unmatched,) = feed_lines({**CLEAR, "unmatched_share": 0.2})
    assert "keyed" in unmatched
    assert list(feed_lines({**CLEAR, "unmatched_share": 0.01})) == []


def test_an_alarm_of_the_feed_shows_no_effect_and_what_to_do() -> None:
    listed, explained = words(alarm_list([BLIND], now=1_100.0)), words(alarm_explanation(BLIND))
    assert "blind: 34 % lost (type)" in listed
    assert "100.0" not in listed
    assert "effect" not in explained
    assert "type 34.1 %" in explained
    assert "driftgate dlq list" in explained
    drift = replace(BLIND, family=Family.INPUT, findings=(Finding(UNMATCHED, 0.1, 0.0, "key it"),))
    assert "effect" in words(alarm_explanation(drift))
