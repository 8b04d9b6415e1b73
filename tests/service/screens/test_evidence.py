"""What an alarm stands on, as a terminal shows it."""

from __future__ import annotations

from dataclasses import replace

from rich.console import Group

from service.records import ClusterChange, Contribution, Exemplar, Measured, Onset, Term
from service.screens.evidence import evidence
from tests.service.screens.test_screens import ALARM, NOON, shown, words

HOSTILE = "[bold red]not markup[/] \x1b[2Jcleared"


def test_each_part_that_there_is_has_a_title_and_figures() -> None:
    alarm = replace(
        ALARM,
        onset=Onset(NOON, NOON - 600.0, NOON + 60.0, Measured(120.0, 80.0, 300.0)),
        clusters=(ClusterChange("flight, visa", 0.001, 0.2, (Exemplar("m-1", "book a flight", 0.99),), Measured(0.199, 0.12, 0.28)),),
        terms=(Term("flight", 0.11, 0.002), Term("loan", 0.0, 0.05)),
        contributions=(Contribution("product=trial", 0.93, 0.2), Contribution("locale=en", 0.6, 0.6)),
        missed=(Exemplar("r-1", "what is my balance", 0.2),),
    )
    parts = dict(evidence(alarm))
    assert list(parts) == [
        "since when",
        "what moved: shares of the traffic",
        "words that tell it: in which share of the texts",
        "who brings it: what most exceeds its traffic first",
        "of the reference: what came least",
    ]
    text = words(Group(*parts.values()))
    for fact in (
        "(90 % sure), likeliest",
        "120 samples (80 to 300) before the end of what was looked at",
        "▲ flight, visa 0.1 % 20.0 % +19.9 book a flight",
        "(+12.0 to +28.0)",
        "▲ flight 0.2 % 11.0 %",
        "▼ loan 5.0 % 0.0 %",
        "product=trial 93.0 % ███████████░ 20.0 %",
        "20.0 % r-1 what is my balance",
    ):
        assert fact in text


def test_the_drift_that_an_alarm_of_a_segment_shows_is_the_whole_streams() -> None:
    alarm = replace(ALARM, segment="locale=de", contributions=(Contribution("locale=en", 0.7, 0.6),))
    assert "who brings the same in the whole stream: what most exceeds its traffic first" in dict(evidence(alarm))


def test_what_was_looked_at_again_says_as_of_when() -> None:
    again = dict(evidence(replace(ALARM, as_of=ALARM.at_sample + 2_500)))["looked at again"]
    assert f"as of sample {ALARM.at_sample + 2_500:,}, 2,500 samples after the alarm opened" in words(again)
    assert "looked at again" not in dict(evidence(ALARM))


def test_words_and_segments_of_others_are_no_markup() -> None:
    alarm = replace(ALARM, terms=(Term(HOSTILE, 1.0, 0.0),), contributions=(Contribution(f"tag={HOSTILE}", 1.0, 0.5),))
    text = shown(Group(*dict(evidence(alarm)).values()), width=120)
    assert text.count("[bold red]not markup[/]") == 2
    assert "\x1b" not in text
