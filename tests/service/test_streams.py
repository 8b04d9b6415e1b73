"""Decisions are a function of the log: the same panes and events give the same alarms, wherever a restart cuts them."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.alarms import Reason
from service.budget import Allocation
from service.errors import ArtefactError
from service.figures import describe_status
from service.records import WHOLE, Alarm, AlarmState, Event, Family, Pane, Regime
from service.settings import MonitorSettings
from service.streams import MonitorStreams

if TYPE_CHECKING:
    from tests.service.conftest import World

DAY = 86_400.0
Entry = Pane | Event


def verdict(alarm: Alarm, value: str, *, sequence: int = 0) -> Event:
    return Event("e1", "chat", "verdict", 9_000.0, "ana", alarm.id, {"verdict": value}, sequence)


def numbered(*parts: Iterable[Entry]) -> list[Entry]:
    """The parts as one log."""
    return [replace(entry, sequence=n) for n, entry in enumerate((entry for part in parts for entry in part), 1)]


def decided(streams: MonitorStreams, log: Iterable[Entry]) -> list[Alarm]:
    return [alarm for entry in log for alarm in streams.apply(entry).alarms]


def later(panes: Sequence[Pane], seconds: float) -> list[Pane]:
    return [replace(pane, first_time=pane.first_time + seconds, last_time=pane.last_time + seconds) for pane in panes]


@pytest.fixture
def streams(world: World) -> MonitorStreams:
    return MonitorStreams(world.settings, world.reference)


@pytest.fixture(scope="session")
def story(world: World) -> list[Entry]:
    """Quiet, then drift on the whole and in one locale, a verdict *false*, the drift goes on and grows; closed by size and by time."""
    quiet = world.panes(world.ordinary(640, 1))
    drift = world.panes(world.drifted(640, 2, 0.3), after=40)
    german = world.panes(world.drifted(320, 3, 0.6), after=80, segment="locale=de")
    tail = [pane for i in range(60, 80) for pane in world.panes(world.drifted(7, i, 0.9), after=i)]
    opened = decided(MonitorStreams(world.settings, world.reference), numbered(quiet, drift))[0]
    return numbered(quiet, drift[:10], [verdict(opened, "false")], drift[10:], german, tail)


# --- a function of the log -------------------------------------------------------------------------------------------


def test_the_story_has_something_to_tell(world: World, story: list[Entry]) -> None:
    alarms = decided(MonitorStreams(world.settings, world.reference), story)
    assert {alarm.segment for alarm in alarms} == {WHOLE, "locale=de"}
    assert {alarm.history[-1].reason for alarm in alarms} >= {Reason.DRIFT, Reason.FALSE_ALARM}


def test_the_same_log_gives_the_same_alarms_and_state(world: World, story: list[Entry]) -> None:
    one, other = (MonitorStreams(world.settings, world.reference) for _ in range(2))
    assert decided(one, story) == decided(other, story)
    assert one.checkpoint() == other.checkpoint()


@pytest.mark.long
@given(cut=st.integers(0, 1_000), again=st.integers(0, 1_000))
@settings(max_examples=15)
def test_a_restart_anywhere_changes_nothing(world: World, story: list[Entry], cut: int, again: int) -> None:
    undisturbed = MonitorStreams(world.settings, world.reference)
    expected = decided(undisturbed, story)

    cuts = sorted({cut % len(story), again % len(story)})
    found: list[Alarm] = []
    running = MonitorStreams(world.settings, world.reference)
    for start, end in zip((0, *cuts), (*cuts, len(story)), strict=True):
        restarted = MonitorStreams(world.settings, world.reference)
        assert restarted.restore(running.checkpoint())
        assert describe_status(restarted) == describe_status(running)
        found += decided(restarted, story[start:end])
        running = restarted

    assert found == expected
    assert describe_status(running) == describe_status(undisturbed)


def test_a_checkpoint_of_another_version_is_left_alone(world: World, streams: MonitorStreams, story: list[Entry]) -> None:
    decided(streams, story)
    other = MonitorStreams(world.settings, replace(world.reference, version=2))
    assert not other.restore(streams.checkpoint())
    assert (other.sequence, other.samples) == (0, 0)


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: b"",
        lambda _: b"PK nothing else",
        lambda file: rewritten(file, format=1),
        lambda file: rewritten(file, format=None),
        lambda file: rewritten(file, streams=[{"segment": "all"}]),
        lambda file: rewritten(file, without="0.levels"),
    ],
)
def test_a_checkpoint_of_another_format_is_one_error_that_says_what_to_do(
    world: World, streams: MonitorStreams, story: list[Entry], damage: Callable[[bytes], bytes]
) -> None:
    """And nothing of it is taken over."""
    decided(streams, story)
    other = MonitorStreams(world.settings, world.reference)
    before = describe_status(other)
    with pytest.raises(ArtefactError, match="run the version that wrote it, or start with another directory"):
        other.restore(damage(streams.checkpoint()))
    assert describe_status(other) == before


def rewritten(checkpoint: bytes, *, without: str = "", **head: Any) -> bytes:
    """A checkpoint with another head, None for a field that is not there; or without one of its arrays."""
    with np.load(io.BytesIO(checkpoint), allow_pickle=False) as file:
        arrays = {name: array for name, array in file.items() if name != without}
    document = json.loads(arrays["head"].tobytes()) | head
    arrays["head"] = np.frombuffer(json.dumps({name: value for name, value in document.items() if value is not None}).encode(), np.uint8)
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def test_a_checkpoint_is_small(streams: MonitorStreams, story: list[Entry]) -> None:
    decided(streams, story)
    assert len(streams.checkpoint()) < len(streams.streams) * 128_000 + 16_000


def test_panes_of_another_reference_are_counted_and_ignored(world: World, streams: MonitorStreams) -> None:
    decided(streams, numbered(world.panes(world.new(160, 1), version=2)))
    status = describe_status(streams)
    assert (status["other_versions"], status["samples"], status["state"]) == (10, 0, "warming up")
    assert status["sequence"] == 10
    assert streams.alarms == {}


def test_panes_of_an_untested_segment_are_ignored(world: World, streams: MonitorStreams) -> None:
    assert decided(streams, numbered(world.panes(world.new(320, 1), segment="locale=fr"))) == []
    assert streams.samples == 0


# --- alarms ----------------------------------------------------------------------------------------------------------


def test_ordinary_traffic_raises_nothing(world: World, streams: MonitorStreams) -> None:
    assert decided(streams, numbered(world.panes(world.ordinary(1_600, 5)))) == []


def test_new_content_opens_one_alarm_that_says_what_is_known(world: World, streams: MonitorStreams) -> None:
    log = numbered(world.panes(world.ordinary(640, 1)), world.panes(world.drifted(320, 2), after=40))
    opened = decided(streams, log)[0]

    assert (opened.state, opened.segment, opened.reference_version, opened.version) == (AlarmState.OPEN, WHOLE, 1, 1)
    assert [step.reason for step in opened.history] == [Reason.DRIFT]
    assert 640 < opened.at_sample <= 960
    assert opened.effect.low > streams.rules.tolerance
    assert opened.effect.low <= opened.effect.estimate <= opened.effect.high
    assert opened.opened == 1_000.0 + opened.at_sample - 1
    assert opened.window_start == pytest.approx(opened.opened - opened.window_samples, abs=40)
    assert list(streams.alarms) == [opened.id]
    assert streams.samples_since(opened) == 960 - opened.at_sample


def test_a_segments_window_is_dated_by_its_own_traffic(world: World, streams: MonitorStreams) -> None:
    """The segment takes one sample in twenty: its window reaches twenty times as far back as as many samples of the whole."""
    whole = world.panes(world.ordinary(3_200, 1))
    german = world.panes(np.concatenate([world.ordinary(80, 2), world.new(80, 3)]), segment="locale=de")
    slow = [replace(pane, last_time=1_000.0 + 20 * (pane.last_time - 1_000.0)) for pane in german]
    merged = sorted([*whole, *slow], key=lambda pane: (pane.last_time, pane.key.segment))

    (opened, *_) = [alarm for alarm in decided(streams, numbered(merged)) if alarm.segment == "locale=de"]
    assert opened.window_start == pytest.approx(opened.opened - 20 * opened.window_samples, rel=0.05, abs=400)


def test_a_segment_is_tested_against_its_own_slice(world: World) -> None:
    """German traffic has two topics of its own; they are ordinary there, and drift on the English stream."""
    topics = np.arange(12) < 2
    nearest = ((world.rows.embeddings[:, None] - world.topics[None, :12]) ** 2).sum(2).argmin(1)
    segments = tuple({"locale": "de" if topics[topic] else "en"} for topic in nearest)
    reference = replace(world.reference, rows=replace(world.rows, segments=segments), segment_values={"locale": ("de", "en")}, manifest={})
    usual = world.rows.embeddings[topics[nearest]]
    assert len(usual) >= 200
    rows = np.resize(np.random.default_rng(1).permutation(usual), (320, usual.shape[1]))

    streams = MonitorStreams(world.settings, reference)
    assert decided(streams, numbered(world.panes(rows, segment="locale=de"))) == []
    assert [alarm.segment for alarm in decided(streams, numbered(world.panes(rows, segment="locale=en")))][:1] == ["locale=en"]


# --- verdicts --------------------------------------------------------------------------------------------------------


def drifting(world: World, streams: MonitorStreams, share: float) -> tuple[Alarm, int]:
    """Drift to its alarm; and the last sequence number."""
    log = numbered(world.panes(world.ordinary(320, 1)), world.panes(world.drifted(640, 2, share), after=20))
    for entry in log:
        if streams.apply(entry).opened:
            return next(iter(streams.alarms.values())), entry.sequence
    raise AssertionError("no alarm")


def test_a_false_alarm_holds_the_same_drift_back_until_it_has_grown(world: World, streams: MonitorStreams) -> None:
    opened, at = drifting(world, streams, 0.2)
    (closed,) = streams.apply(verdict(opened, "false", sequence=at + 1)).alarms
    assert (closed.state, closed.history[-1].reason) == (AlarmState.RESOLVED, Reason.FALSE_ALARM)
    assert describe_status(streams)["state"] == "watching"
    limit = streams.streams[WHOLE].episodes[Family.INPUT].held_back
    assert limit is not None
    assert limit.beyond == pytest.approx(1.5 * opened.effect.estimate)

    same = world.panes(world.drifted(1_600, 7, 0.2), after=at)
    assert decided(streams, same) == []
    assert streams.streams[WHOLE].episodes[Family.INPUT].withheld == 1

    grown = decided(streams, world.panes(world.new(1_600, 9), after=at + 100))
    assert grown[0].state is AlarmState.OPEN
    assert grown[0].id != opened.id
    assert grown[0].effect.low > limit.beyond


@pytest.mark.parametrize("value", ["false", "seasonal"])
def test_a_held_back_drift_that_lasts_opens_after_a_week(world: World, streams: MonitorStreams, value: str) -> None:
    opened, at = drifting(world, streams, 0.35)
    streams.apply(verdict(opened, value, sequence=at + 1))
    assert decided(streams, world.panes(world.drifted(640, 7, 0.35), after=at)) == []

    before, after = 7 * DAY - 2_000.0, 7 * DAY + 2_000.0
    assert decided(streams, later(world.panes(world.drifted(320, 8, 0.35), after=at + 40), before)) == []
    again = decided(streams, later(world.panes(world.drifted(320, 9, 0.35), after=at + 60), after))
    assert again[0].state is AlarmState.OPEN


def test_a_resolved_drift_that_lasts_opens_anew(world: World, streams: MonitorStreams) -> None:
    opened, at = drifting(world, streams, 0.5)
    streams.apply(Event("e1", "chat", "resolve", 9_000.0, "ana", opened.id, {}, at + 1))
    assert streams.streams[WHOLE].evidence.samples == 0
    assert decided(streams, world.panes(world.drifted(640, 7, 0.5), after=at))[0].state is AlarmState.OPEN


def test_a_true_alarm_stays_open_and_its_detector_remembers(world: World, streams: MonitorStreams) -> None:
    opened, at = drifting(world, streams, 0.5)
    (confirmed,) = streams.apply(verdict(opened, "true", sequence=at + 1)).alarms
    assert confirmed.state is AlarmState.ACKNOWLEDGED
    assert streams.alarms == {opened.id: confirmed}
    assert streams.streams[WHOLE].evidence.samples == opened.at_sample


def test_an_event_on_an_alarm_that_is_over_does_nothing(world: World, streams: MonitorStreams) -> None:
    opened, at = drifting(world, streams, 0.5)
    streams.apply(verdict(opened, "false", sequence=at + 1))
    assert streams.apply(verdict(opened, "true", sequence=at + 2)).alarms == ()
    assert streams.sequence == at + 2


def test_an_alarm_resolves_when_the_drift_has_been_gone_for_long_enough(world: World, streams: MonitorStreams) -> None:
    streams.rules = replace(streams.rules, tolerance=0.06)
    opened, at = drifting(world, streams, 0.5)
    quiet = world.panes(world.ordinary(9_600, 20), after=at)
    spread = [replace(pane, last_time=pane.last_time + n * 3_600.0) for n, pane in enumerate(quiet)]
    resolved = next(alarm for alarm in decided(streams, spread) if alarm.state is AlarmState.RESOLVED)
    assert (resolved.id, resolved.history[-1].reason) == (opened.id, Reason.CALM)
    assert opened.id not in streams.alarms


# --- budget and status -----------------------------------------------------------------------------------------------


def test_shares_of_false_alarms_sum_to_the_budget(world: World, streams: MonitorStreams) -> None:
    """Per sample of the whole traffic: a segment sees only its share of the samples."""
    share = {WHOLE: 1.0, **world.reference.segment_shares}
    assert set(streams.streams) == {WHOLE, "locale=de", "locale=en"}
    rate = sum(share[stream.segment] / stream.run_length for stream in streams.streams.values())
    assert rate == pytest.approx(1 / world.settings.detection.first_run_length)


def test_without_segments_the_whole_has_the_whole_budget(world: World) -> None:
    alone = MonitorStreams(world.settings, replace(world.reference, segment_values={}))
    assert alone.streams[WHOLE].run_length == world.settings.detection.run_length


def test_a_run_length_beyond_the_reference_is_cut_to_what_it_supports(world: World) -> None:
    detection = world.settings.detection.model_copy(update={"run_length": 1e6})
    streams = MonitorStreams(world.settings.model_copy(update={"detection": detection}), world.reference)
    assert streams.run_length == pytest.approx(world.reference.model.calibration.supported)


def test_from_warming_up_over_watching_to_drifting(world: World, streams: MonitorStreams) -> None:
    first = describe_status(streams)
    assert (first["state"], first["missing_samples"], first["traffic_per_second"]) == ("warming up", 16, None)
    assert all(delay["seconds"] is None for delay in first["expected_delay"])

    decided(streams, numbered(world.panes(world.ordinary(320, 1))))
    watching = describe_status(streams)
    assert (watching["state"], watching["missing_samples"], watching["samples"], watching["sequence"]) == ("watching", 0, 320, 20)
    assert watching["traffic_per_second"] == pytest.approx(1.0, rel=0.1)
    assert watching["last_time"] == 1_319.0

    decided(streams, world.panes(world.drifted(320, 2), after=20))
    drifting = describe_status(streams)
    assert drifting["state"] == "drifting"
    whole = drifting["streams"][0]
    assert (whole["segment"], whole["samples"], whole["alarm"]) == (WHOLE, 640, next(iter(streams.alarms)))
    assert whole["evidence"] > whole["threshold"]
    assert (whole["crossings"], whole["opened"], whole["withheld"]) == (1, 1, 0)


def test_the_status_names_what_people_look_for(streams: MonitorStreams) -> None:
    status = describe_status(streams)
    assert set(status) == {
        "state", "mode", "reference_version", "run_length", "inflation", "supported_run_length", "tolerance", "samples",
        "missing_samples", "sequence", "traffic_per_second", "traffic_seconds", "last_time", "expected_delay", "longest_window",
        "streams", "allocation", "exposures", "other_versions", "untimed", "untimed_share", "feed", "truth", "maintenance",
    }  # fmt: skip
    delays = [delay["samples"] for delay in status["expected_delay"]]
    assert [delay["share"] for delay in status["expected_delay"]] == [0.05, 0.1, 0.2, 0.5]
    known = [samples for samples in delays if samples is not None]
    assert known == sorted(known, reverse=True)
    assert {tuple(stream) for stream in status["streams"]} == {
        ("segment", "family", "samples", "regime", "run_length", "asked_run_length", "traffic_per_second", "evidence", "threshold",
         "e_log10", "channel", "window_samples", "effect", "effect_channel", "novel_share", "accuracy", "alarm", "crossings", "opened",
         "withheld"),
    }  # fmt: skip


# --- allocations -----------------------------------------------------------------------------------------------------


def budgeted(world: World, **detection: Any) -> MonitorSettings:
    """The monitor without a run length of its own."""
    changed = world.settings.detection.model_copy(update={"run_length": None, **detection})
    return world.settings.model_copy(update={"detection": changed})


def allocation(lengths: dict[str, float], *, name: str = "r1", sequence: int = 0, shares: dict[str, float] | None = None) -> Event:
    parts = dict.fromkeys(lengths, 0.1) | (shares or {})
    given = Allocation(name, 500.0, "the traffic is known", lengths, dict.fromkeys(lengths, 1.0), parts, 3, "t")
    return Event(name, "chat", "allocation", 500.0, "driftgate", body=given.body(), sequence=sequence)


LENGTHS = {WHOLE: 3_000.0, "locale=de": 4_000.0, "locale=en": 900_000.0}


def test_an_allocation_tunes_every_stream_where_it_stands_in_the_log(world: World) -> None:
    streams = MonitorStreams(budgeted(world), world.reference)
    assert streams.run_length == pytest.approx(streams.tuning.supported)
    streams.apply(allocation(LENGTHS, sequence=1))

    supported = streams.tuning.supported
    assert [stream.run_length for stream in streams.streams.values()] == [3_000.0, 4_000.0, supported]
    assert [stream.regime for stream in streams.streams.values()] == [Regime.ACTIVE, Regime.ACTIVE, Regime.ADVISORY]
    status = describe_status(streams)
    assert status["allocation"]["run_lengths"] == LENGTHS
    assert [stream["asked_run_length"] for stream in status["streams"]] == list(LENGTHS.values())


def test_a_stream_that_was_given_no_share_stays_outside_whatever_its_reference_supports(world: World) -> None:
    """A new reference that supports the share asks for a new allocation first."""
    streams = MonitorStreams(budgeted(world), world.reference)
    streams.apply(allocation(LENGTHS, shares={"locale=de": 0.0}, sequence=1))
    assert streams.tuning.regime("locale=de") is Regime.ADVISORY
    streams.apply(allocation(LENGTHS, name="r2", sequence=2))
    assert streams.streams["locale=de"].regime is Regime.ACTIVE


def test_a_run_length_of_its_own_outlives_every_allocation(world: World, streams: MonitorStreams) -> None:
    before = [stream.run_length for stream in streams.streams.values()]
    streams.apply(allocation(LENGTHS, sequence=1))
    assert [stream.run_length for stream in streams.streams.values()] == before
    assert {stream.regime for stream in streams.streams.values()} == {Regime.ACTIVE}


@pytest.mark.long
@given(cut=st.integers(0, 200), lengths=st.tuples(*[st.floats(500, 5_000)] * 3))
@settings(max_examples=10)
def test_a_log_with_allocations_gives_the_same_alarms_wherever_it_is_cut(
    world: World, story: list[Entry], cut: int, lengths: tuple[float, ...]
) -> None:
    first, second = allocation(dict(zip(LENGTHS, lengths, strict=True))), allocation(LENGTHS, name="r2")
    log = numbered(story[:15], [first], story[15:45], [second], story[45:])
    undisturbed = MonitorStreams(budgeted(world), world.reference)
    expected = decided(undisturbed, log)
    assert expected

    running = MonitorStreams(budgeted(world), world.reference)
    found = decided(running, log[: cut % len(log)])
    restarted = MonitorStreams(budgeted(world), world.reference)
    assert restarted.restore(running.checkpoint())
    assert found + decided(restarted, log[cut % len(log) :]) == expected
    assert restarted.checkpoint() == undisturbed.checkpoint()


def test_what_outlives_a_reference_is_taken_over(world: World) -> None:
    old = MonitorStreams(budgeted(world), world.reference)
    decided(old, numbered([allocation(LENGTHS)], world.panes(world.ordinary(640, 1))))
    new = MonitorStreams(budgeted(world), replace(world.reference, version=2))
    new.inherit(old.checkpoint())

    assert new.samples == 0
    assert new.traffic.rate == old.traffic.rate
    assert [stream.run_length for stream in new.streams.values()] == [stream.run_length for stream in old.streams.values()]
    assert new.exposures == old.exposures


def test_what_could_have_been_a_false_alarm_is_counted(world: World) -> None:
    streams = MonitorStreams(budgeted(world), world.reference)
    german = world.panes(world.ordinary(320, 2), after=20, segment="locale=de")
    english = world.panes(world.ordinary(160, 3), after=40, segment="locale=en")
    decided(streams, numbered([allocation(LENGTHS)], world.panes(world.ordinary(640, 1)), german, english))
    (spent,) = streams.exposures.weeks.values()
    assert (spent.samples, spent.seconds) == (640, 624.0)
    assert spent.allowed == pytest.approx(640 / 3_000 + 320 / 4_000)


def test_an_advisory_stream_alarms_in_silence_unless_asked(world: World) -> None:
    drift: list[Entry] = [allocation({**LENGTHS, WHOLE: 1e6}), *world.panes(world.drifted(640, 2))]
    for advisory, quiet in (("silent", True), ("whole", False), ("notify", False)):
        streams = MonitorStreams(budgeted(world, advisory=advisory), world.reference)
        opened = decided(streams, numbered(drift))[0]
        assert (opened.regime, opened.quiet, opened.run_length) == (Regime.ADVISORY, quiet, streams.tuning.supported)


def test_a_shadow_decides_and_takes_nothing_of_the_budget(world: World) -> None:
    streams = MonitorStreams(budgeted(world, mode="shadow"), world.reference)
    opened = decided(streams, numbered(world.panes(world.drifted(640, 2))))[0]
    assert (opened.regime, opened.quiet) == (Regime.SHADOW, True)
    assert not streams.exposures.weeks
    assert describe_status(streams)["mode"] == "shadow"


def test_importance_shortens_a_segments_wait(world: World) -> None:
    segments = world.settings.segments.model_copy(update={"importance": {"locale=de": 4.0}})
    streams = MonitorStreams(world.settings.model_copy(update={"segments": segments}), world.reference)
    lengths = {segment: stream.run_length for segment, stream in streams.streams.items()}
    assert lengths["locale=de"] == pytest.approx(lengths[WHOLE] / 4)
    assert lengths["locale=en"] == pytest.approx(lengths[WHOLE])


# --- slow drift ------------------------------------------------------------------------------------------------------


def test_a_drift_that_takes_months_is_not_absorbed(world: World) -> None:
    """New content grows by 0.3 points a day for ninety days of 160 samples: no day can be told from the one before."""
    streams, opened = MonitorStreams(world.settings, world.reference), []
    for day in range(90):
        panes = world.panes(world.drifted(160, 1_000 + 3 * day, 0.25 * day / 90), after=10 * day)
        opened += decided(streams, later(panes, day * (DAY - 160.0)))
    assert opened
    assert opened[0].window_samples >= 320
    assert opened[0].opened - opened[0].window_start > DAY


def test_the_status_says_how_far_back_the_longest_window_reaches(world: World, streams: MonitorStreams) -> None:
    decided(streams, numbered(world.panes(world.ordinary(320, 1))))
    longest = describe_status(streams)["longest_window"]
    assert longest["seconds"] == pytest.approx(longest["samples"], rel=0.1)
    assert longest["pane_samples"] is None

    streams.traffic.samples *= 1_000
    longest = describe_status(streams)["longest_window"]
    assert longest["seconds"] < 7 * DAY
    assert longest["pane_samples"] == pytest.approx(16 * 7 * DAY / longest["seconds"], abs=1)
