"""Labels, errors and what is taken for what, as a terminal shows them."""

from __future__ import annotations

from io import StringIO
from typing import Any

from rich.console import Console, RenderableType

from service.records import Alarm, AlarmState, Confusion, Family, Measured, Severity
from service.screens import alarm_explanation
from service.screens.truth import delivery_screen, errors_line, truth_screen

RATE = {"estimate": 0.12, "low": 0.1, "high": 0.15}
STREAM = {
    "segment": "all",
    "labels": 900,
    "errors": 108,
    "error_rate": RATE,
    "expected": None,
    "evidence": None,
    "threshold": None,
    "alarm": None,
}
FIGURES: dict[str, Any] = {**STREAM, "first_labels": 1_000, "delay": {"median": 86_400.0, "most": 172_800.0}, "streams": [STREAM]}
TESTED = {**STREAM, "expected": RATE, "evidence": 2.0, "threshold": 4.0, "alarm": "a7"}


def drawn(screen: RenderableType) -> str:
    shown = StringIO()
    Console(file=shown, width=140).print(screen)
    return shown.getvalue()


def test_before_the_first_label_it_says_how_they_come() -> None:
    assert "driftgate truth add --monitor chat" in drawn(truth_screen("chat", None))


def test_until_it_is_known_what_to_compare_with_it_says_how_many_labels_it_takes() -> None:
    assert errors_line(FIGURES) == "900 labels, half of them within 1.0 days; wrong 12.0 % (10.0 to 15.0); tested from 1,000 labels on"


def test_every_stream_has_its_evidence_and_alarm() -> None:
    screen = drawn(
        truth_screen("chat", {**FIGURES, **TESTED, "first_labels": 0, "streams": [TESTED, {**TESTED, "segment": "locale=\x1b[31mde"}]})
    )
    assert "! open alarm a7" in screen
    assert "2.0 / 4.0" in screen
    assert "\x1b[31m" not in screen


def test_a_delivery_is_told_by_what_became_of_it() -> None:
    screen = drawn(delivery_screen({"taken": 2, "unknown": 1}, [("m-9", "no sample")]))
    assert "2 taken" in screen
    assert "1 of unknown samples" in screen
    assert "m-9" in screen


def test_an_alarm_of_changed_answers_names_what_is_taken_for_what() -> None:
    alarm = Alarm(
        id="a7", monitor="chat", segment="all", family=Family.CONCEPT, reference_version=1, kind="answers changed",
        severity=Severity.WARNING, state=AlarmState.OPEN, at_sample=9, at_sequence=3, opened=50.0, window_samples=226, window_start=40.0,
        effect=Measured(0.1, 0.05, 0.2), novel_share=Measured(0.0, 0.0, 0.1), channel="errors",
        confusions=(Confusion("refund", "invoice", 0.2, 0.05, Measured(0.15, 0.1, 0.2)),),
        label_delay=Measured(60.0, 30.0, 120.0), judged=860, run_length=6_000.0,
    )  # fmt: skip
    screen = drawn(alarm_explanation(alarm))
    assert "over 226 labels" in screen
    assert "shares of the latest 860 labels" in screen
    assert "one false alarm in 6,000 samples of this stream" in screen
    assert "more of the answers wrong" in screen
    assert "+15.0 (+10.0 to +20.0)" in screen
    assert "1.0 min after their samples" in screen
