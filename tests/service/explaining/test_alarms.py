"""What an alarm is explained by: the kept samples of its window, and what was lost meanwhile."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from service.adapters.sqlite import SqliteStore
from service.controller import Controller
from service.episodes import Stream
from service.explaining.alarms import NOVEL, Recent, explain, is_due
from service.observe import Silent
from service.records import WHOLE, Alarm, AlarmState, ClusterChange, Family, Measured, Pane, Partition, Pooled, Severity
from service.streams import MonitorStreams

pytestmark = pytest.mark.long

if TYPE_CHECKING:
    from tests.service.conftest import World

PARTITION = Partition("ingest", "t1")
OPEN = Alarm(
    id="a1", monitor="chat", segment=WHOLE, family=Family.INPUT, reference_version=1, kind="new content", severity=Severity.WARNING,
    state=AlarmState.OPEN, at_sample=640, at_sequence=40, opened=1_640.0, window_samples=64, window_start=1_576.0,
    effect=Measured(0.2, 0.1, 0.3), novel_share=Measured(0.2, 0.1, 0.3), channel="mmd",
)  # fmt: skip


@pytest.fixture
def store() -> Iterator[SqliteStore]:
    with closing(SqliteStore(":memory:")) as store:
        yield store


def explained(store: SqliteStore, world: World, *, before: int, since: int) -> Alarm:
    """A drift of a tenth of the traffic being lost to a topic, with so many losses a pane before it and since."""
    log = world.log(store)
    log.add(world.ordinary(640, 1), losses={"type": before})
    kept = world.ordinary(1_600, 2)
    nearest = ((kept[:, None] - world.topics[None, :12]) ** 2).sum(2).argmin(1)
    log.add(np.resize(kept[nearest > 1], (1_280, kept.shape[1])), losses={"type": since})
    controller = Controller(world.settings, world.reference, store, Silent())
    while controller.step(now=5_000.0):
        pass
    return next(alarm for alarm in store.find(Alarm) if alarm.segment == WHOLE)


def test_a_loss_that_explains_the_drift_is_named(store: SqliteStore, world: World) -> None:
    alarm = explained(store, world, before=0, since=3)
    assert alarm.kind == "feed: input lost"
    (finding,) = [finding for finding in alarm.findings if finding.what == "lost samples"]
    assert finding.share == pytest.approx(3 / 19, abs=0.03)
    assert finding.expected == 0
    assert "`type`" in finding.advice


def test_what_was_always_lost_explains_nothing(store: SqliteStore, world: World) -> None:
    alarm = explained(store, world, before=3, since=3)
    assert alarm.kind == "changed mix"
    assert [finding.what for finding in alarm.findings] == []


# --- what moved, who brings it, since when ------------------------------------------------------------------------------


def pooled(world: World, rows: NDArray[np.float32], *, locales: Sequence[str] = ("en",), texts: Sequence[str] = ()) -> list[Pooled]:
    """Kept samples, one a second; the locales and texts in turn."""
    novelty = world.reference.summarizer.describe(rows).novelty.tolist()
    return [
        Pooled(
            "chat", f"s{at}", 1_000.0 + at, PARTITION, at, texts[at % len(texts)] if texts else None,
            {"locale": locales[at % len(locales)]}, None, None, row.astype(np.float16), new, 1,
        )
        for at, (row, new) in enumerate(zip(rows, novelty, strict=True))
    ]  # fmt: skip


def opening(world: World, rows: NDArray[np.float32]) -> tuple[Alarm, Stream, Pane]:
    """The first alarm that panes of the rows raise, not explained."""
    streams = MonitorStreams(world.settings, world.reference)
    for pane in world.panes(rows):
        for alarm, stream in streams.apply(pane).opened.items():
            return streams.alarms[alarm], stream, pane
    raise AssertionError("no alarm")


def told(world: World, rows: NDArray[np.float32], **shown: Sequence[str]) -> Alarm:
    """The alarm as it stands when all rows have come."""
    alarm, stream, pane = opening(world, rows)
    return explain(alarm, stream, replace(pane, last_offset=len(rows) - 1), Recent(pooled(world, rows, **shown)), world.reference)


def turned(world: World, *, n: int = 400) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """400 ordinary samples, then a quarter of them of one new topic; which are."""
    new = np.concatenate([np.zeros(400, np.bool_), np.random.default_rng(3).random(n) < 0.25])
    fresh = (world.topics[13] + 0.4 * np.random.default_rng(4).standard_normal((400 + n, 6))).astype(np.float32)
    return np.where(new[:, None], fresh, world.ordinary(400 + n, 5)), new


def test_a_new_topic_is_what_moved_first_and_what_is_shown(world: World) -> None:
    rows, new = turned(world)
    alarm = told(world, rows)
    (first, *_) = alarm.clusters
    assert first.cluster == NOVEL
    assert first.change is not None
    assert first.change.low > 0
    assert first.window_share - first.reference_share == pytest.approx(first.change.estimate)
    shown = [*alarm.exemplars, *first.exemplars]
    assert np.mean([new[int(exemplar.id[1:])] for exemplar in shown]) > 0.8
    assert {exemplar.id[0] for exemplar in alarm.missed} == {"r"}
    assert alarm.terms == ()


def test_the_change_began_when_it_did(world: World) -> None:
    alarm = told(world, turned(world)[0])
    assert alarm.onset is not None
    assert alarm.onset.earliest <= 1_400.0 <= alarm.onset.latest
    assert alarm.onset.earliest <= alarm.onset.time <= alarm.onset.latest
    assert alarm.onset.samples_ago.low <= 400 <= alarm.onset.samples_ago.high


def test_words_name_what_moved_and_tell_it_from_the_reference(world: World) -> None:
    rows, new = turned(world)
    texts = ["please book a flight" if each else "what do I owe" for each in new]
    labelled = replace(world.reference, rows=replace(world.rows, texts=("what do I owe",) * len(world.rows)))
    alarm, stream, pane = opening(world, rows)
    found = explain(alarm, stream, replace(pane, last_offset=len(rows) - 1), Recent(pooled(world, rows, texts=texts)), labelled)
    assert "flight" in found.clusters[0].cluster
    assert {term.term for term in found.terms} >= {"flight", "book"}
    assert all(term.window_share > term.reference_share for term in found.terms if term.term == "flight")


def test_the_one_segment_that_drifts_brings_the_drift(world: World) -> None:
    locales = ("en", "en", "de", "en", "fr")
    of_one = np.arange(800) % len(locales) == 2
    rows = np.where(((np.arange(800) >= 400) & of_one)[:, None], world.new(800, 7), world.ordinary(800, 8))
    whole = told(world, rows, locales=locales)
    assert whole.contributions[0].segment == "locale=de"
    assert whole.contributions[0].share > 0.8
    assert whole.contributions[0].traffic == pytest.approx(0.2, abs=0.05)

    alarm, stream, pane = opening(world, rows)
    own = replace(alarm, segment="locale=de", window_start=1_400.0)
    pool = pooled(world, rows, locales=locales)
    segment = explain(own, stream, replace(pane, last_offset=len(rows) - 1), Recent(pool), world.reference)
    assert segment.contributions[0].segment == "locale=de"
    assert {pool[int(exemplar.id[1:])].segments["locale"] for exemplar in segment.exemplars} == {"de"}


def test_an_explanation_knows_nothing_of_what_came_later(world: World) -> None:
    """The pool is hundreds of samples ahead of the pane that opens the alarm."""
    rows = np.concatenate([world.ordinary(320, 2), world.drifted(320, 102), world.new(640, 9)])
    alarm, stream, pane = opening(world, rows)
    found = explain(alarm, stream, pane, Recent(pooled(world, rows)), world.reference)
    shown = [*found.exemplars, *(exemplar for cluster in found.clusters for exemplar in cluster.exemplars)]
    assert [exemplar.id for exemplar in shown if exemplar.id[0] == "s"]
    assert all(int(exemplar.id[1:]) <= pane.last_offset for exemplar in shown if exemplar.id[0] == "s")


def test_nothing_kept_or_of_another_embedder_explains_nothing(world: World) -> None:
    alarm, stream, pane = opening(world, turned(world)[0])
    strangers = [replace(row, reference_version=7) for row in pooled(world, turned(world)[0])]
    assert explain(alarm, stream, pane, Recent([]), world.reference) is alarm
    assert explain(alarm, stream, pane, Recent(strangers), world.reference) is alarm


def test_a_scalar_channel_tells_the_beginning_by_its_own_values(world: World) -> None:
    rows, _ = turned(world)
    alarm, stream, pane = opening(world, rows)
    for channel in ("residual", "novelty", "mmd"):
        told = replace(alarm, channel=channel)
        found = explain(told, stream, replace(pane, last_offset=len(rows) - 1), Recent(pooled(world, rows)), world.reference)
        assert found.onset is not None
        assert found.onset.earliest <= 1_400.0 <= found.onset.latest


@given(st.integers(1, 600), st.integers(1, 64))
def test_an_alarm_is_told_again_at_each_fourfold_window_and_when_it_is_as_long_as_is_looked_at(window: int, pane: int) -> None:
    alarm = replace(OPEN, window_samples=window)
    told = [window + since for since in range(pane, 3_000, pane) if is_due(alarm, since, pane)]
    expected = {min(window * 4**k, 1_000) for k in range(1, 6)}
    assert {due for due in expected for at in told if at - pane < due <= at} == expected
    assert len(told) <= len(expected)
    assert not is_due(replace(alarm, family=Family.FEED), 3 * window, pane)


def test_alarms_stored_before_there_was_more_to_show_are_still_read() -> None:
    document = msgspec.to_builtins(OPEN)
    for name in ("onset", "contributions", "terms", "missed"):
        del document[name]
    document["clusters"] = [{"cluster": "novel", "reference_share": 0.01, "window_share": 0.2, "exemplars": []}]
    read = msgspec.json.decode(msgspec.json.encode(document), type=Alarm)
    assert read == replace(OPEN, clusters=(ClusterChange("novel", 0.01, 0.2),))
