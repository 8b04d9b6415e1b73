"""Episodes of a stream: one for each family of channels, and no way around their rules."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from numpy.typing import NDArray

from detectors import Effect, Evidence
from service.alarms import HOLD_BACK_GROWTH, HOLD_BACK_SECONDS, Episode, HeldBack, Rules, calm, cross, should_open, withhold
from service.episodes import Traffic, family_of
from service.records import WHOLE, Alarm, AlarmState, Event, Family, Pane, PaneKey, Verdict
from service.reference import Origin, Reference, References
from service.streams import MonitorStreams

if TYPE_CHECKING:
    from tests.service.conftest import World

DAY = 86_400.0
RULES = Rules(tolerance=0.05, critical=0.25, calm_samples=1_000)


@pytest.mark.parametrize(
    ("channel", "family"),
    [("mmd", Family.INPUT), ("residual", Family.INPUT), ("confidence", Family.OUTPUT), ("length high", Family.QUALITY)],
)
def test_a_channel_tells_its_family(channel: str, family: Family) -> None:
    assert family_of(channel) is family


# --- the rules, in any order -----------------------------------------------------------------------------------------


class OneEpisode(RuleBasedStateMachine):
    """Any run of panes and verdicts: what opens had crossed, was above, mattered, and was not held back."""

    def __init__(self) -> None:
        super().__init__()
        self.episode = Episode()
        self.now = 0.0
        self.samples = 0
        self.closed = 0
        self.lives = 1
        self.estimate = 0.0
        self.calm_from: tuple[int, float] | None = None

    @rule(above=st.booleans(), low=st.floats(0, 0.9), upper=st.floats(0, 1), hours=st.floats(0.01, 60), samples=st.integers(16, 400))
    def pane(self, above: bool, low: float, upper: float, hours: float, samples: int) -> None:
        self.now, self.samples = self.now + 3_600 * hours, self.samples + samples
        evidence = Evidence(False, above, self.samples, 9.0, 4.0, 160, "mmd", lambda: (Effect(low + 0.05, low, low + 0.1), "mmd"))
        self.episode = cross(self.episode, evidence)
        if self.episode.alarm:
            self._follow(upper)
        elif should_open(self.episode, evidence, RULES, self.now):
            self._opened(evidence)
        else:
            self.episode = withhold(self.episode, evidence, RULES, self.now)

    @precondition(lambda self: self.episode.alarm)
    @rule(verdict=st.sampled_from([Verdict.FALSE, Verdict.SEASONAL, None]))
    def close(self, verdict: Verdict | None) -> None:
        held = HeldBack(HOLD_BACK_GROWTH * self.estimate, self.now + HOLD_BACK_SECONDS) if verdict else None
        self._forgotten(held)

    def _opened(self, evidence: Evidence) -> None:
        held = self.episode.held_back
        assert self.episode.crossed
        assert evidence.above
        assert evidence.effect.low > RULES.tolerance
        assert held is None or self.now >= held.until or evidence.effect.low > held.beyond
        opened = self.episode.opened + 1
        self.episode = replace(self.episode, alarm="a", crossed=False, calm_since=None, held_back=None, opened=opened)
        self.estimate, self.calm_from = evidence.effect.estimate, None

    def _follow(self, upper: float) -> None:
        self.episode, over = calm(self.episode, upper, samples=self.samples, now=self.now, rules=RULES)
        if upper >= RULES.tolerance:
            self.calm_from = None
            assert not over
            return
        self.calm_from = self.calm_from or (self.samples, self.now)
        stayed, elapsed = self.samples - self.calm_from[0], self.now - self.calm_from[1]
        assert over == (stayed >= RULES.calm_samples or (elapsed >= 7 * DAY and stayed >= 500))
        if over:
            self._forgotten(None)

    def _forgotten(self, held: HeldBack | None) -> None:
        self.closed, self.lives = self.closed + 1, self.lives + 1
        self.episode = replace(self.episode, alarm="", crossed=False, latched=False, calm_since=None, held_back=held)

    @invariant()
    def counts_add_up(self) -> None:
        assert self.episode.opened - self.closed == bool(self.episode.alarm)
        assert self.episode.opened <= self.episode.crossings <= self.lives
        assert self.episode.withheld <= self.closed


TestOneEpisode = OneEpisode.TestCase
TestOneEpisode.settings = settings(max_examples=60, stateful_step_count=40)


# --- families --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def answering(world: World, tmp_path_factory: pytest.TempPathFactory) -> Reference:
    """A reference whose model also says how sure it is."""
    sure = np.random.default_rng(4).uniform(0.6, 1.0, len(world.rows)).astype(np.float32)
    rows = replace(world.rows, confidence=sure)
    return References(tmp_path_factory.mktemp("answering")).build(world.settings, rows, Origin(world.embedder.fingerprint, 1_000.0))


def panes(world: World, reference: Reference, rows: NDArray[np.float32], *, unsure: bool, after: int) -> list[Pane]:
    """Panes of 16 rows, a second each; `unsure`: half of the answers come with hardly any confidence."""
    rng = np.random.default_rng(after + 1)
    sure = rng.uniform(0.6, 1.0, len(rows)).astype(np.float32)
    sure[rng.random(len(rows)) < (0.5 if unsure else 0.0)] = 0.3
    described = reference.summarizer.describe(rows, confidence=sure)
    found = []
    for n, start in enumerate(range(0, len(rows), 16), after + 1):
        key = PaneKey("chat", WHOLE, reference.version, world.panes(rows[:16])[0].key.partition, 16 * n)
        summary = reference.summarizer.summarize(described, slice(start, start + 16))
        found.append(Pane(key, 16 * n + 15, 16.0 * n, 16.0 * n + 15, summary, n))
    return found


def decided(streams: MonitorStreams, log: list[Pane]) -> list[Alarm]:
    return [alarm for entry in log for alarm in streams.apply(entry).alarms]


def test_each_family_has_an_episode_and_a_hold_back_of_its_own(world: World, answering: Reference) -> None:
    """The model loses its confidence on the usual traffic: a false alarm, says a person. Then new content comes as well."""
    streams = MonitorStreams(world.settings, answering)
    unsure = decided(streams, panes(world, answering, world.ordinary(480, 1), unsure=True, after=0))
    assert {(alarm.family, alarm.channel) for alarm in unsure} == {(Family.OUTPUT, "confidence")}
    verdict = Event("e1", "chat", "verdict", 9_000.0, "ana", unsure[0].id, {"verdict": "false"}, 31)
    assert streams.apply(verdict).alarms[0].state is AlarmState.RESOLVED

    episodes = streams.streams[WHOLE].episodes
    assert episodes[Family.OUTPUT].held_back is not None
    assert episodes[Family.INPUT].held_back is None
    both = decided(streams, panes(world, answering, world.drifted(640, 5), unsure=True, after=31))
    assert {alarm.family for alarm in both} == {Family.INPUT}
    assert streams.streams[WHOLE].episodes[Family.OUTPUT].withheld == 1

    restarted = MonitorStreams(world.settings, answering)
    assert restarted.restore(streams.checkpoint())
    assert restarted.streams[WHOLE].episodes == streams.streams[WHOLE].episodes


# --- traffic ---------------------------------------------------------------------------------------------------------

HOUR = 3_600.0


def steady(traffic: Traffic, start: float, hours: float, *, per_second: float = 10.0, every: float = 60.0) -> float:
    """A pane each minute from a log time on; returns what was watched."""
    return sum(traffic.add(round(per_second * every), start + every * (n + 1)) for n in range(int(hours * HOUR / every)))


def test_a_pause_says_nothing_of_the_traffic() -> None:
    """After three days of silence, or a leap of years, a steady stream reads as before; and so it does a day later."""
    for pause in (3 * DAY, 3_650 * DAY):
        traffic = Traffic()
        watched = steady(traffic, 1e6, 48)
        watched += steady(traffic, 1e6 + 2 * DAY + pause, 1)
        assert traffic.rate == pytest.approx(10.0, rel=0.06)
        assert watched == pytest.approx(50 * HOUR, rel=0.01)
        steady(traffic, 1e6 + 2 * DAY + pause + HOUR, 24)
        assert traffic.rate == pytest.approx(10.0, rel=0.03)


def test_a_stream_of_daily_batches_is_measured_over_its_days() -> None:
    traffic = Traffic()
    for day in range(20):
        for _ in range(10):
            traffic.add(8_640, 1e6 + day * DAY)
    assert traffic.rate == pytest.approx(1.0, rel=0.05)


def test_a_clock_that_stands_still_in_the_future_does_not_swell_the_traffic() -> None:
    traffic = Traffic()
    steady(traffic, 1e6, 48)
    traffic.add(600, 1e9)
    for _ in range(5_000):
        traffic.add(600, 1e9)
    assert traffic.rate is not None
    assert 10.0 < traffic.rate < 20.1


def test_samples_of_an_alarm_are_counted_on_when_another_family_closes(world: World, answering: Reference) -> None:
    """Both families alarm; the close of one has the shared detector start anew, and the other's alarm goes on counting."""
    streams = MonitorStreams(world.settings, answering)
    decided(streams, panes(world, answering, world.drifted(640, 5), unsure=True, after=0))
    assert {alarm.family for alarm in streams.alarms.values()} == {Family.INPUT, Family.OUTPUT}
    closing, staying = sorted(streams.alarms.values(), key=lambda alarm: alarm.family is Family.INPUT)
    streams.apply(Event("e1", "chat", "resolve", 9_000.0, "ana", closing.id, {}, 41))
    assert streams.samples_since(staying) == 640 - staying.at_sample

    decided(streams, panes(world, answering, world.drifted(320, 6), unsure=True, after=41))
    assert streams.samples_since(staying) == 960 - staying.at_sample
    again = next(alarm for alarm in streams.alarms.values() if alarm.family is closing.family)
    assert again.at_sample > 640


def test_what_a_window_shows_is_measured_once_while_none_moves(world: World) -> None:
    streams = MonitorStreams(world.settings, world.reference)
    stream, log = streams.streams[WHOLE], world.panes(world.drifted(320, 2))
    decided(streams, log)
    shown = stream.shown()
    assert stream.shown() is shown
    assert shown.effect.estimate == stream.evidence.effect.estimate
    decided(streams, world.panes(world.drifted(320, 2), after=20, segment="locale=de"))
    assert stream.shown() is shown
    decided(streams, world.panes(world.ordinary(16, 3), after=40))
    assert stream.shown() is not shown
    stream.forget()
    assert stream.shown().novel_share != shown.novel_share
