import math
from dataclasses import asdict, replace
from io import StringIO
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console, RenderableType

from service.records import (
    Accuracy,
    Alarm,
    AlarmState,
    Candidate,
    ClusterChange,
    CycleState,
    Exemplar,
    Family,
    Measured,
    RefreshCycle,
    Severity,
    Step,
    Verdict,
)
from service.screens import (
    alarm_explanation,
    alarm_list,
    cycle_timeline,
    status_screen,
)
from service.screens.candidates import candidate_table
from service.screens.evidence import cluster_table
from service.screens.verifying import verification_table

NOON = 1_767_268_800.0
LONG = "customer=" + "x" * 120

ALARM = Alarm(
    id="6cd3a78e35b1a4dc3032",
    monitor="support-chat",
    segment="all",
    family=Family.INPUT,
    reference_version=3,
    kind="new content",
    severity=Severity.CRITICAL,
    state=AlarmState.OPEN,
    at_sample=4_321,
    at_sequence=99,
    opened=NOON,
    window_samples=256,
    window_start=NOON - 400,
    effect=Measured(0.142, 0.08, 0.21),
    novel_share=Measured(0.09, 0.05, 0.14),
    channel="whitened",
    effect_channel="mmd",
    accuracy=Accuracy(Measured(0.91, 0.88, 0.93), Measured(0.95, 0.94, 0.96), Measured(0.8, 0.7, 0.9), Measured(0.1, -0.1, 0.3)),
)
ACCURACY = (
    "91.0 % (88.0 to 93.0), reference 95.0 % if a confidence still means what it meant there "
    "calibration slope 0.80 (0.70 to 0.90), intercept 0.10 (-0.10 to 0.30)"
)
CYCLE = RefreshCycle("0c3f5d7d", "support-chat", 3, "6cd3a78e35b1a4dc3032", 1, CycleState.ANNOTATING, NOON)
SET = {"rows": 800, "old_accuracy": 0.9, "new_accuracy": 0.935, "positive_flips": 31, "negative_flips": 3}
VERIFICATION: dict[str, Any] = {
    "golden": {**SET, "gain": {"estimate": 0.035, "low": 0.02, "high": 0.05}, "negative_flip_bound": 0.0083},
    "passed": True,
    "verdict": "promote",
    "reasons": ["broken at most 0.83 % of golden"],
    "max_negative_flips": 0.01,
    "confidence": 0.9,
    "error": 0.05,
}
STREAM = {"segment": "all", "samples": 5_230, "evidence": 17.2, "threshold": 11.3, "effect": {"estimate": 0.14, "low": 0.08, "high": 0.21}}
MONITOR: dict[str, Any] = {
    "monitor": "support-chat",
    "state": "drifting",
    "samples": 5_230,
    "undecided": {"panes": 3, "samples": 70},
    "reference_version": 3,
    "run_length": 20_000.0,
    "tolerance": 0.02,
    "missing_samples": 0,
    "traffic_per_second": 2.0,
    "expected_delay": [
        {"share": 0.05, "samples": None, "seconds": None},
        {"share": 0.1, "samples": 360.0, "seconds": 180.0},
        {"share": 0.2, "samples": 150.0, "seconds": 75.0},
        {"share": 0.5, "samples": 40.0, "seconds": 20.0},
    ],
    "streams": [{**STREAM, "alarm": ALARM.id}],
}


def shown(screen: RenderableType, width: int = 80) -> str:
    """The screen on a terminal without colour; no line may be wider than it."""
    out = StringIO()
    Console(file=out, width=width, color_system=None).print(screen)
    assert all(cell_len(line) <= width for line in out.getvalue().splitlines())
    return out.getvalue()


def words(screen: RenderableType) -> str:
    """Everything shown, on one line."""
    return " ".join(shown(screen).split())


# --- alarms -------------------------------------------------------------------------------------------------------


def test_accuracy_is_told_with_what_it_stands_on() -> None:
    alarm = words(alarm_explanation(ALARM))
    assert "effect measured in what samples mean, all directions alike (mmd)" in alarm
    assert f"accuracy, without labels {ACCURACY}" in " ".join(alarm.split())
    assert "accuracy" not in words(alarm_explanation(replace(ALARM, accuracy=None)))
    told = {**STREAM, "accuracy": asdict(ALARM.accuracy)} if ALARM.accuracy else {}
    assert f"accuracy, without labels: {ACCURACY}" in words(status_screen([{**MONITOR, "streams": [told]}]))


def test_the_alarm_list_shows_whole_ids_and_what_each_alarm_is() -> None:
    text = words(alarm_list([ALARM], now=NOON + 5_400))
    assert "6cd3a78e35b1a4dc3032 support-chat open 14.2 % 1.5 h ago new content all critical 8.0 to 21.0" in text
    long = replace(ALARM, id="f" * 20, segment=LONG, state=AlarmState.ACKNOWLEDGED)
    text = shown(alarm_list([ALARM, long], now=NOON))
    assert "f" * 20 in text
    assert "acknowledged" in text


def test_segments_of_a_stream_that_is_open_as_a_whole_are_counted_beside_it() -> None:
    whole = replace(ALARM, segment="all", state=AlarmState.OPEN)
    inside = [replace(whole, id=f"alarm-of-segment-{at}", segment=f"locale={at}") for at in range(3)]
    over = replace(inside[0], id="over-already", state=AlarmState.RESOLVED)
    other = replace(inside[0], id="of-another-family", family=Family.QUALITY)
    text = words(alarm_list([whole, *inside, over, other], now=NOON, folded=True))
    assert "all and 3 of" in text
    assert "alarm-of-segment" not in text
    assert "over-already" in text
    assert "of-another-family" in text
    assert "alarm-of-segment-2" in words(alarm_list([whole, *inside], now=NOON))


def test_no_alarms_is_said() -> None:
    assert words(alarm_list([], now=NOON)) == "no alarms"


def test_an_explanation_tells_how_far_what_moved_and_which_samples_show_it() -> None:
    alarm = replace(
        ALARM,
        verdict=Verdict.TRUE,
        exemplars=(Exemplar("chat-7", "my Lumo hub won't pair", 0.995),),
        clusters=(
            ClusterChange("novel", 0.01, 0.13, (Exemplar("chat-8", "the hub is offline", 0.99),)),
            ClusterChange("refund, money", 0.1, 0.05),
            ClusterChange("hours", 0.02, 0.02),
        ),
        history=(Step("open", "drift", NOON), Step("acknowledged", "a person took it", NOON + 60, "ana", "looking into it")),
    )
    text = words(alarm_explanation(alarm, candidates=[Candidate("chat-9", "novel and dense", 0.12, "all", "hub dead", "app_crash", 4)]))
    for fact in (
        "new content on support-chat, stream all: critical, open, verdict true",
        "opened 2026-01-01 12:00:00Z at sample 4,321, against reference version 3",
        "over 256 samples since 2026-01-01 11:53:20Z, seen by what samples mean, rare directions weighed up (whitened), of its input",
        "14.2 % (8.0 to 21.0)",
        "9.0 % (5.0 to 14.0)",
        "├ 25 %",
        "▲ novel 1.0 % 13.0 % +12.0 the hub is offline",
        "▼ refund, money 10.0 % 5.0 % -5.0 –",
        "= hours 2.0 % 2.0 % +0.0 –",
        "99.5 % chat-7 my Lumo hub won't pair",
        "12.0 % 4 novel and dense (the model says 0/0/0 app_crash)",
        "acknowledged: a person took it [ana] – looking into it",
    ):
        assert fact in text


def test_an_explanation_without_clusters_exemplars_or_history_leaves_their_parts_out() -> None:
    text = words(alarm_explanation(ALARM))
    assert "what moved" not in text
    assert "samples that show it" not in text
    assert "candidates" not in text
    assert "no steps yet" in text


def test_other_peoples_text_is_neither_markup_nor_a_command_to_the_terminal() -> None:
    hostile = "[bold red]not markup[/] \x1b[2Jcleared\r\n[/unclosed"
    alarm = replace(
        ALARM,
        segment=f"tag={hostile}",
        exemplars=(Exemplar(hostile, hostile, 0.5),),
        clusters=(ClusterChange(hostile, 0.1, 0.2, (Exemplar("a", hostile, 0.5),)),),
        history=(Step("open", hostile, NOON, hostile, hostile),),
    )
    text = shown(alarm_explanation(alarm, candidates=[Candidate(hostile, hostile, 0.1, "all", hostile, hostile)]), width=200)
    assert text.count("[bold red]not markup[/]") >= 9
    assert "\x1b" not in text
    assert "[bold red]not markup[/]" in shown(alarm_list([alarm], now=NOON), width=200)


def test_wide_letters_and_long_names_stay_within_the_terminal() -> None:
    wide = "漢字の返品について🙂" * 20
    alarm = replace(ALARM, segment=LONG, exemplars=(Exemplar(LONG, wide, 1.0),), clusters=(ClusterChange(wide, 0.0, 1.0),))
    shown(alarm_explanation(alarm, candidates=[Candidate(LONG, wide, 1.0, LONG, wide, wide, 1_000_000)]))
    shown(alarm_list([alarm], now=NOON))
    shown(candidate_table([Candidate(LONG, "far", 0.5, LONG, wide)], limit=10))


def test_clusters_beyond_the_limit_are_counted() -> None:
    assert "… and 3 more" in words(cluster_table([ClusterChange(f"c{i}", 0.1, 0.2) for i in range(5)], limit=2))


# --- candidates ---------------------------------------------------------------------------------------------------


def test_candidates_without_text_or_prediction_are_shown_by_their_id_with_what_their_risk_is_made_of() -> None:
    said = words(candidate_table([Candidate("img-1", "novel", 0.3, "all", junk=0.2, influence=0.05)], limit=10))
    assert said.endswith("30.0 % 1 novel 20/0/5")
    assert "img-1 probe" in said
    assert words(candidate_table([], limit=10)) == "no candidates"


def test_candidates_beyond_the_limit_are_counted() -> None:
    items = [Candidate(f"chat-{i}", "novel", 0.1, "all", f"text {i}") for i in range(25)]
    text = words(candidate_table(items, limit=20))
    assert "chat-19 " in text
    assert "chat-20 " not in text
    assert text.endswith("… and 5 more")


# --- refresh ------------------------------------------------------------------------------------------------------


def test_a_verification_shows_both_models_and_what_broke() -> None:
    text = words(verification_table(VERIFICATION))
    for fact in (
        "golden 800 90.0 % 93.5 % +3.5 31 3",
        "+2.0 to +5.0",
        "broken on golden: at most 0.8 % (at 95.0 % confidence), allowed 1.0 %",
        "the new model passed: promote",
        "• broken at most 0.83 % of golden",
    ):
        assert fact in text
    assert "challenge" not in text


def test_a_failed_verification_says_so_in_words() -> None:
    failed = {**VERIFICATION, "passed": False, "verdict": "insufficient"}
    assert "the new model did not pass: insufficient" in words(verification_table(failed))


@pytest.mark.parametrize("verification", [{}, {"golden": {}}, {"golden": None, "reasons": None}, {"challenge": {"rows": 5, "gain": None}}])
def test_a_verification_with_gaps_is_still_shown(verification: dict[str, Any]) -> None:
    assert "at most –" in words(verification_table(verification))


def test_a_timeline_shows_the_steps_taken_and_those_ahead() -> None:
    cycle = replace(
        CYCLE,
        state=CycleState.TRAINING,
        history=(Step("annotating", "an alarm opened", NOON), Step("training", "every label came back", NOON + 90, note="40 labels")),
    )
    text = words(cycle_timeline(cycle))
    for fact in (
        "support-chat, from reference version 3, attempt 1",
        "opened by 6cd3a78e35b1a4dc3032, 2026-01-01 12:00:00Z",
        "● +0 s annotating: an alarm opened",
        "● +1.5 min training: every label came back – 40 labels",
        "○ verifying ○ promoted",
    ):
        assert fact in text


def test_a_finished_cycle_has_nothing_ahead_and_shows_its_verification() -> None:
    for state in (CycleState.PROMOTED, CycleState.REJECTED, CycleState.CANCELLED):
        text = words(cycle_timeline(replace(CYCLE, state=state, verification=VERIFICATION)))
        assert "○" not in text
        assert "the new model passed" in text


# --- status -------------------------------------------------------------------------------------------------------


def test_the_status_of_a_drifting_monitor() -> None:
    text = words(status_screen([{**MONITOR, "dead_letters": {"empty": 3, "not_json": 1_200}}]))
    for fact in (
        "drifting: 5,230 samples, 2 a second, reference version 3",
        "one false alarm in 20,000 samples, tolerance 2.0 % of new content",
        "! all 5,230 ██████████ 17.2 / 11.3 14.0 (8.0 to 21.0)",
        "! open alarm 6cd3a78e35b1a4dc3032 on all",
        "new content 5 % 10 % 20 % 50 %",
        "expected delay – 3.0 min 1.2 min 20 s",
        "in samples never 360 150 40",
        "undecided: 70 samples (open panes: 3)",
        "dead letters: not_json 1,200, empty 3",
    ):
        assert fact in text
    assert "still missing" not in text


def test_a_monitor_before_its_first_decision_says_what_is_missing() -> None:
    early = {"monitor": "new", "state": "warming up", "samples": 10, "undecided": {"panes": 1, "samples": 10}}
    assert "new " in words(status_screen([early]))
    assert "warming up: 10 samples" in words(status_screen([early]))
    text = words(status_screen([{**early, "missing_samples": 240, "traffic_per_second": 2.0}]))
    assert "still missing: 240 samples, about 2.0 min at this traffic" in text
    text = words(status_screen([{**early, "missing_samples": 240, "traffic_per_second": None}]))
    assert "still missing: 240 samples undecided" in text


def test_figures_that_are_not_there_yet_are_dashes() -> None:
    stream = {"segment": LONG, "samples": 0, "evidence": None, "threshold": None, "effect": {"estimate": None, "low": 0, "high": 1}}
    text = words(
        status_screen([{**MONITOR, "streams": [stream, {**stream, "evidence": math.inf, "threshold": 3.0}], "expected_delay": []}])
    )
    assert "░░░░░░░░░░ 0.0 / 0.0 –" in text
    assert "██████████ inf / 3.0 –" in text


def test_many_streams_show_the_whole_one_and_those_closest_to_an_alarm() -> None:
    segments = [{**STREAM, "segment": f"customer=c{i:02d}", "evidence": float(i)} for i in range(40)]
    text = words(status_screen([{**MONITOR, "streams": [STREAM, *segments]}]))
    assert text.index(" all ") < text.index("customer=c39") < text.index("customer=c38")
    assert "customer=c10" not in text
    assert "… and 29 more" in text


def test_several_monitors_stand_below_each_other_and_none_is_said() -> None:
    text = words(status_screen([MONITOR, {**MONITOR, "monitor": "fraud-images"}]))
    assert text.index("support-chat ─") < text.index("fraud-images ─")
    assert "driftgate init" in words(status_screen([]))
