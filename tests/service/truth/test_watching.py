"""Answers that become wrong are an alarm of their own, decided from the log's counts of labels."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from service.alarms import Reason
from service.figures import describe_status
from service.records import WHOLE, Alarm, AlarmState, Event, Family, Pane, Severity
from service.reference import Reference
from service.streams import MonitorStreams
from service.truth import watching as watching_module
from service.truth.telling import TRUTH
from service.truth.watching import ALIKE, MOVED, reference_pairs
from service.tuning import ANSWERS_SHARE

if TYPE_CHECKING:
    from tests.service.conftest import World

DAY = 86_400.0


def told(number: int, errors: Sequence[int], *, labels: int = 160, streams: Sequence[str] = (WHOLE,), version: int = 1) -> Event:
    """Labels in equal blocks, an hour after those before."""
    body = {"until": number, "versions": {str(version): {"streams": {each: [labels, *errors] for each in streams}, "delay": [60.0, 90.0]}}}
    return Event(f"t{number}", "chat", TRUTH, 10_000.0 + 3_600.0 * number, "driftgate", body=body, sequence=number)


def course(rates: Iterable[float], *, first: int = 1, seed: int = 0, streams: Sequence[str] = (WHOLE,)) -> list[Event]:
    """160 labels an hour, so many of them errors."""
    rng = np.random.default_rng(seed)
    return [told(number, rng.binomial(10, rate, 16).tolist(), streams=streams) for number, rate in enumerate(rates, first)]


def answering(world: World, *, errors: float = 0.1) -> Reference:
    """The world's reference, its rows labelled, and answered wrongly now and then."""
    rng = np.random.default_rng(5)
    wrong = rng.random(len(world.rows)) < errors
    labels = tuple("refund" for _ in wrong)
    answers = tuple("cancel" if each else "refund" for each in wrong)
    return replace(world.reference, rows=replace(world.reference.rows, labels=labels, predicted=answers))


@pytest.fixture(scope="session")
def reference(world: World) -> Reference:
    return answering(world)


def watching(world: World, reference: Reference, **truth: Any) -> MonitorStreams:
    """Compared with the reference, unless said otherwise."""
    told = world.settings.truth.model_copy(update={"against": "reference", **truth})
    settings = world.settings.model_copy(update={"truth": told})
    return MonitorStreams(settings, reference)


def decided(streams: MonitorStreams, log: Iterable[Pane | Event]) -> list[Alarm]:
    return [alarm for entry in log for alarm in streams.apply(entry).alarms]


def test_errors_as_in_the_reference_are_no_alarm(world: World, reference: Reference) -> None:
    assert decided(watching(world, reference), course([0.1] * 12)) == []


def test_answers_that_became_wrong_are_an_alarm_that_says_how_many(world: World, reference: Reference) -> None:
    streams = watching(world, reference)
    streams.sequence = 7
    (alarm,) = [a for a in decided(streams, course([0.1] * 4 + [0.3] * 4)) if len(a.history) == 1]
    assert (alarm.family, alarm.kind, alarm.segment, alarm.channel) == (Family.CONCEPT, ALIKE, WHOLE, "errors")
    assert alarm.effect.low < 0.2 < alarm.effect.high
    assert alarm.effect.low > 0
    assert (alarm.at_sequence, alarm.opened) == (5, 10_000.0 + 5 * 3_600.0)
    assert 0 < alarm.window_samples <= 5 * 160
    assert alarm.window_start < alarm.opened
    assert streams.alarms[alarm.id].state is AlarmState.OPEN
    status = describe_status(streams)
    assert (status["state"], status["truth"]["alarm"]) == ("drifting", alarm.id)


def test_a_large_increase_is_critical(world: World, reference: Reference) -> None:
    alarms = decided(watching(world, reference), course([0.1] * 4 + [0.6] * 2))
    assert alarms[-1].severity is Severity.CRITICAL


def test_fewer_errors_are_no_alarm(world: World, reference: Reference) -> None:
    assert decided(watching(world, reference), course([0.1] * 4 + [0.01] * 12)) == []


def test_a_segments_answers_are_compared_with_its_own(world: World, reference: Reference) -> None:
    """German has 360 reference rows, French 120."""
    streams = watching(world, reference)
    log = course([0.1] * 2 + [0.4] * 3, streams=["locale=de"])
    (alarm, *_) = decided(streams, log)
    assert (alarm.segment, streams.concept.watches[WHOLE].labels) == ("locale=de", 0)
    assert "locale=de" in streams.streams


def test_without_reference_rows_the_first_labels_say_what_is_usual(world: World) -> None:
    streams = watching(world, world.reference, first_labels=500)
    assert decided(streams, course([0.3] * 3)) == []
    assert streams.concept.watches[WHOLE].test is None
    assert describe_status(streams)["truth"]["first_labels"] == 500
    assert decided(streams, course([0.3] * 9, first=4, seed=1)) == []
    assert decided(streams, course([0.5] * 6, first=20, seed=2))[0].effect.low > 0


def test_the_references_rows_are_counted_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many blocks of labels come for streams of which they are too few."""
    counted: list[Reference] = []

    def counts(reference: Reference) -> Mapping[str, tuple[int, int]]:
        counted.append(reference)
        return watched(reference)

    watched = watching_module._reference_errors
    monkeypatch.setattr(watching_module, "_reference_errors", counts)
    decided(watching(world, world.reference), course([0.1] * 2, streams=[WHOLE, "locale=de"]))
    assert len(counted) == 1


def test_a_stream_is_compared_with_its_own_rows_of_the_reference(world: World, reference: Reference) -> None:
    found = watching_module._reference_errors(reference)
    for segment in reference.slices:
        wrong = [label != answer for label, answer in reference_pairs(reference, segment)]
        assert found[segment] == (sum(wrong), len(wrong))


def test_a_reference_that_was_trained_on_is_no_alarm_unless_asked_for(world: World) -> None:
    flawless = answering(world, errors=0.0)
    assert decided(MonitorStreams(world.settings, flawless), course([0.1] * 12)) == []
    assert decided(watching(world, flawless), course([0.1] * 6))


def test_a_reference_that_was_trained_on_explains_nothing(world: World, reference: Reference) -> None:
    assert list(MonitorStreams(world.settings, reference).concept.usual(WHOLE)) == []
    assert len(list(watching(world, reference).concept.usual(WHOLE))) == len(reference.rows)


def test_answers_under_another_reference_are_no_concern_of_this_one(world: World, reference: Reference) -> None:
    streams = watching(world, reference)
    assert decided(streams, [replace(event, body=other(event)) for event in course([0.9] * 3)]) == []
    assert not streams.concept.begun


def other(event: Event) -> Mapping[str, Any]:
    return {**event.body, "versions": {"2": event.body["versions"]["1"]}}


def test_an_alarm_is_over_when_answers_are_right_again(world: World, reference: Reference) -> None:
    alarms = decided(watching(world, reference), course([0.1] * 4 + [0.3] * 4 + [0.1] * 40))
    assert alarms[-1].history[-1].reason == Reason.CALM
    assert alarms[-1].history[-1].time < 10_000.0 + 3_600.0 * 30


def test_an_alarm_lasts_as_long_as_answers_are_wrong(world: World, reference: Reference) -> None:
    alarms = decided(watching(world, reference), course([0.1] * 4 + [0.3] * 40))
    assert alarms[-1].state is not AlarmState.RESOLVED


def said(alarm: Alarm, verdict: str, *, after: Event) -> Event:
    return Event("v", "chat", "verdict", after.time, "ana", alarm.id, {"verdict": verdict}, after.sequence + 1)


def test_what_was_a_false_alarm_is_what_answers_are_like(world: World, reference: Reference) -> None:
    streams, log = watching(world, reference), course([0.1] * 4 + [0.2] * 8)
    (opened, *_) = decided(streams, log)
    (closed,) = decided(streams, [said(opened, "false", after=log[-1])])
    assert (closed.state, closed.history[-1].reason) == (AlarmState.RESOLVED, Reason.FALSE_ALARM)
    assert decided(streams, course([0.2] * 12, first=20, seed=3)) == []
    assert decided(streams, course([0.6] * 12, first=40, seed=4))


def test_a_true_alarm_stays_open(world: World, reference: Reference) -> None:
    streams, log = watching(world, reference), course([0.1] * 4 + [0.2] * 8)
    (opened, *_) = decided(streams, log)
    (stands,) = decided(streams, [said(opened, "true", after=log[-1])])
    assert stands.state is AlarmState.ACKNOWLEDGED
    assert streams.concept.watches[WHOLE].episode.alarm == opened.id


def test_an_alarm_says_whether_inputs_moved_too(world: World, reference: Reference) -> None:
    streams = watching(world, reference)
    moved = [alarm.family for alarm in decided(streams, world.panes(world.drifted(960, 2, 0.6)))]
    assert Family.INPUT in moved
    alarms = decided(streams, course([0.1] * 4 + [0.4] * 3, first=1_000))
    assert {alarm.kind for alarm in alarms if alarm.family is Family.CONCEPT} == {MOVED}


def test_from_the_first_label_on_the_budget_is_shared(world: World, reference: Reference) -> None:
    streams = watching(world, reference)
    before = {segment: stream.run_length for segment, stream in streams.streams.items()}
    decided(streams, course([0.1]))
    for segment, stream in streams.streams.items():
        assert stream.run_length == pytest.approx(min(before[segment], streams.tuning.run_length(segment)))
        labels = streams.tuning.answered(segment)
        assert 1 / stream.scan.run_length + 1 / labels == pytest.approx(1 / stream.run_length)
        assert stream.run_length / labels == pytest.approx(ANSWERS_SHARE)
    test = streams.concept.watches[WHOLE].test
    assert test is not None
    assert test.run_length == streams.tuning.answered(WHOLE)
    assert streams.streams[WHOLE].scan.run_length <= world.reference.model.calibration.supported


@pytest.mark.parametrize("cut", [1, 6, 14])
def test_a_restart_anywhere_changes_nothing(world: World, reference: Reference, cut: int) -> None:
    log = course([0.1] * 4 + [0.3] * 6 + [0.1] * 10, streams=[WHOLE, "locale=de"])
    whole = watching(world, reference)
    expected = decided(whole, log)
    first, second = watching(world, reference), watching(world, reference)
    before = decided(first, log[:cut])
    assert second.restore(first.checkpoint())
    assert [*before, *decided(second, log[cut:])] == expected
    assert describe_status(second)["truth"] == describe_status(whole)["truth"]
    assert expected


def test_a_checkpoint_of_before_there_were_labels_is_taken_up(world: World, reference: Reference) -> None:
    """As an older driftgate wrote it: its head knows nothing of answers, nor its settings of truth."""
    streams = watching(world, reference)
    decided(streams, world.panes(world.ordinary(320, 1)))
    with np.load(io.BytesIO(streams.checkpoint()), allow_pickle=False) as file:
        arrays = dict(file)
    head = json.loads(arrays["head"].tobytes())
    del head["concept"], head["deciding"]["truth"]
    older = io.BytesIO()
    np.savez(older, allow_pickle=False, **{**arrays, "head": np.frombuffer(json.dumps(head).encode(), np.uint8)})

    taken_up = watching(world, reference)
    assert taken_up.restore(older.getvalue())
    assert (taken_up.samples, taken_up.concept.begun, taken_up.settings.deciding) == (320, False, streams.settings.deciding)
    assert decided(taken_up, course([0.1] * 4 + [0.4] * 4))
