"""A look at the clock over a real store: cycles that no alarm opens, golden rows that keep up, and what is told of both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from io import StringIO
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from rich.console import Console

from service import annotation, refresh
from service.api.cycle_views import RefreshStatus
from service.cycles.occasions import Occasions
from service.cycles.standing import all_standings
from service.cycles.summary import summary
from service.cycles.telling import CycleNews
from service.cycles.top_up import drawn
from service.errors import InputError
from service.metrics import installed
from service.records import AnnotationBatch, BatchState, CycleState, Label, Purpose, RefreshCycle, Trigger
from service.report.material import Material
from service.screens.cycles import refresh_screen
from service.selecting.reading import Reading
from service.selecting.slices import Slice
from service.selecting.spending import is_top_up
from service.settings import Settings
from tests.service.refresh_bench import Bench, Site

if TYPE_CHECKING:
    from service.settings import MonitorSettings

pytestmark = pytest.mark.long

DAY = 86_400.0


class Watched:
    """The bench's site with what a look at the clock asks for besides."""

    names: Sequence[str] = ("chat",)
    settings = Settings()

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._site: Site = bench.site

    def effective(self, monitor: str) -> MonitorSettings:
        return self._site.effective(monitor)

    def embedder(self, monitor: str) -> Any:
        return self._site.embedder(monitor)

    def material(self, monitor: str, *, now: float) -> Material:
        return Material(self.effective(monitor), self._bench.store, self._site.references, self._bench.data_sets, now=now)


def watching(bench: Bench) -> Occasions:
    return Occasions(bench.store, bench.site.references, bench.data_sets, Watched(bench), bench.refresher)


def drifted(make_bench: Callable[..., Bench], **options: Any) -> Bench:
    """With traffic of which a part is new, and no cycle by an alarm."""
    bench = make_bench(refresh={"after_samples": 1_000_000, **options}, notify=["pager"])
    own = replace(bench.models["old.onnx"], fingerprint=bench.site.references.load("chat").fingerprint)
    bench.models = bench.site.models = {**bench.models, "old.onnx": own}
    bench.drift()
    return bench


def built(bench: Bench) -> float:
    return float(bench.site.references.versions("chat")[0]["created"])


def told(bench: Bench) -> list[str]:
    return sorted(item.kind for item in bench.store.outbox(limit=100) if item.destination == "pager" and item.kind.startswith("refresh"))


def test_a_cadence_opens_one_cycle_and_the_next_only_after_it_has_ended_and_rested(make_bench: Callable[..., Bench]) -> None:
    bench = drifted(make_bench, every_days=7, cool_down_hours=240)
    occasions, start = watching(bench), built(bench)
    assert occasions.step(start + 6 * DAY) == 0
    assert occasions.step(start + 7 * DAY) == 1
    opened = bench.cycle()
    assert (opened.trigger, opened.segment, opened.since) == (Trigger.CADENCE, "all", 0.0)
    assert opened.history[0].note == "the reference in force is 7 days ago, more than 7"

    assert occasions.step(start + 15 * DAY) == watching(bench).step(start + 15 * DAY) == 0
    refresh.cancel(bench.store, opened.id, actor="ana", now=start + 15 * DAY)
    assert occasions.step(start + 24 * DAY) == 0  # ten days of rest
    assert occasions.step(start + 25 * DAY) == 1
    assert len(bench.store.find(RefreshCycle)) == 2


def test_a_cycle_that_a_person_ended_is_not_opened_again_for_the_same_reason(make_bench: Callable[..., Bench]) -> None:
    bench = drifted(make_bench, max_model_days=10, cool_down_hours=0)
    occasions, start = watching(bench), built(bench)
    assert occasions.step(start + 10 * DAY) == 1
    refresh.cancel(bench.store, bench.cycle().id, actor="ana", now=start + 11 * DAY)
    assert occasions.step(start + 19 * DAY) == 0
    assert occasions.step(start + 20 * DAY) == 1


def test_where_nothing_opens_by_itself_people_are_told_once(make_bench: Callable[..., Bench]) -> None:
    bench = drifted(make_bench, every_days=7, automatic=False)
    occasions, start = watching(bench), built(bench)
    news = CycleNews(bench.store, Watched(bench), occasions.found)
    assert occasions.step(start + 7 * DAY) == 0
    assert {due.trigger for due in occasions.found["chat"]} == {Trigger.ALARM, Trigger.CADENCE}
    assert news.step(start + 7 * DAY) == 2
    assert news.step(start + 7 * DAY + 60) == 0
    again = CycleNews(bench.store, Watched(bench), occasions.found)
    again.step(start + 7 * DAY + 120)
    assert told(bench) == ["refresh.due", "refresh.due"]
    assert [labels for _, labels, _ in installed.occasional(occasions)] == [("chat", "alarm")]


def test_what_could_not_be_opened_is_told_and_tried_again_later(make_bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch) -> None:
    bench = drifted(make_bench, every_days=7)
    occasions, start = watching(bench), built(bench)

    def refuse(*_: object, **__: object) -> None:
        raise InputError("no_budget", "nothing is left")

    with monkeypatch.context() as patched:
        patched.setattr(bench.refresher, "open", refuse)
        assert occasions.step(start + 7 * DAY) == 0
    assert [due.trigger for due in occasions.found["chat"]] == [Trigger.CADENCE]
    assert occasions.step(start + 7 * DAY + 60) == 0
    assert occasions.step(start + 7 * DAY + 700) == 1
    assert occasions.found["chat"] == ()


def test_news_of_a_whole_cycle_survive_restarts_and_name_what_is_stuck(make_bench: Callable[..., Bench]) -> None:
    bench = drifted(make_bench, automatic=False)
    cycle = bench.refresher.open("chat", "request", now=4_000.0)
    for now in (4_001.0, 4_002.0, 4_050.0):
        CycleNews(bench.store, Watched(bench), {}).step(now)
    assert told(bench) == ["refresh.opened"]
    late = 4_000.0 + 20 * DAY
    CycleNews(bench.store, Watched(bench), {}).step(late)
    assert told(bench) == ["refresh.late", "refresh.opened", "refresh.stuck"]
    bench.answer()
    bench.refresher.step(now=late + 1)
    refresh.cancel(bench.store, cycle.id, actor="ana", now=late + 2)
    CycleNews(bench.store, Watched(bench), {}).step(late + 30)
    CycleNews(bench.store, Watched(bench), {}).step(late + 30 * DAY)
    assert told(bench) == ["refresh.ended", "refresh.late", "refresh.opened", "refresh.stuck"]


# --- golden rows -----------------------------------------------------------------------------------------------------


def top_up(bench: Bench) -> AnnotationBatch:
    (batch,) = [batch for batch in bench.store.find(AnnotationBatch) if is_top_up(batch)]
    return batch


def test_a_stale_test_set_asks_for_random_golden_rows_and_gets_them(make_bench: Callable[..., Bench]) -> None:
    bench = drifted(make_bench, min_freshness=0.95, top_up=60, automatic=False)
    bench.golden(400)
    occasions = watching(bench)
    occasions.step(5_000.0)
    assert occasions.freshness["chat"].high < 0.95
    found = summary(bench.store, bench.site.effective("chat"), now=5_000.0, freshness=occasions.freshness["chat"])
    console = Console(width=140, file=StringIO())
    console.print(refresh_screen([found.figures]))
    assert "the test set covers" in console.file.getvalue()  # type: ignore[attr-defined]  # rich knows it as any file
    batch = top_up(bench)
    assert (batch.cycle, len(batch.items), batch.state) == ("", 60, BatchState.SENT)
    assert all(item.purpose is Purpose.TOP_UP and item.blind and item.predicted is None for item in batch.items)
    assert Trigger.FRESHNESS in {due.trigger for due in occasions.found["chat"]}

    watching(bench).step(5_100.0)
    top_up(bench)  # one at a time, whoever looks
    ids = [item.id for item in batch.items]
    truth = zip(ids, bench.truth(bench.vectors(ids)), strict=True)
    labels = [Label("chat", batch.id, name, label, 5_200.0, "ana") for name, label in truth]
    annotation.take_back(bench.store, labels, quota=1.0, now=5_200.0)
    occasions.step(5_300.0)
    golden = bench.data_sets.load("chat", "golden")
    parts = {sample.id: row.part for sample, row in zip(golden.samples, golden.rows, strict=True)}
    assert set(ids) <= parts.keys()
    assert sum(parts[name] in ("calibrate", "verify") for name in ids) > 50  # the others repeat rows of *select*
    assert not bench.data_sets.versions("chat", "train")

    watching(bench).step(5_400.0)  # who comes after a restart finds them there
    assert len(bench.data_sets.versions("chat", "golden")) == 2
    assert is_top_up(top_up(bench))  # and the budget of the period is spent


def test_a_top_up_closed_between_two_looks_is_taken_in_and_late_answers_follow(make_bench: Callable[..., Bench]) -> None:
    bench = drifted(make_bench, min_freshness=0.95, top_up=40, automatic=False)
    bench.golden(400)
    leader = watching(bench)
    leader.top_ups.tend(["chat"], now=4_900.0)
    watching(bench).step(5_000.0)
    batch = top_up(bench)
    labels = [Label("chat", batch.id, item.id, "late", 5_200.0, "ana") for item in batch.items]
    annotation.take_back(bench.store, labels[:20], quota=0.5, now=5_200.0)
    assert [leader.top_ups.tend(["chat"], now=5_300.0 + look) for look in range(2)] == [1, 0]
    first = bench.data_sets.load("chat", "golden")
    annotation.take_back(bench.store, labels[20:], quota=0.5, now=5_400.0)
    assert [leader.top_ups.tend(["chat"], now=5_500.0 + look) for look in range(2)] == [1, 0]
    after = bench.data_sets.load("chat", "golden")
    came = {sample.id for sample in after.samples} - {sample.id for sample in first.samples}
    assert came == {item.id for item in batch.items[20:]}


def test_golden_rows_teach_the_choice_nothing_and_cost_cycles_nothing(make_bench: Callable[..., Bench]) -> None:
    bench = drifted(make_bench, min_freshness=0.95, top_up=40, automatic=False)
    bench.golden(400)
    watching(bench).step(5_000.0)
    batch = top_up(bench)
    labels = [Label("chat", batch.id, item.id, "late", 5_200.0, "ana") for item in batch.items]
    annotation.take_back(bench.store, labels, quota=1.0, now=5_200.0)
    read = Reading(bench.store, bench.site.references, bench.data_sets, bench.site.effective("chat"), Slice("chat", 1))
    assert not read.material().answered
    assert not {row.id for row in read.gathered.rows} & {item.id for item in batch.items}
    budgets = {each["name"]: each["spent"] for each in summary(bench.store, read.settings, now=5_300.0).figures["budgets"]}
    assert budgets == {"candidates per cycle": 0, "golden rows per 30 days": 40}


def test_the_draw_is_of_samples_not_of_distinct_rows(bench: Bench) -> None:
    bench.drift()
    rare, often = bench.world.new(2, 91)
    bench.log.add(np.repeat(often[None], 200, axis=0) + np.random.default_rng(0).normal(size=(200, 6)).astype(np.float32) * 1e-4)
    bench.log.add(rare[None])
    read = Reading(bench.store, bench.site.references, bench.data_sets, bench.site.effective("chat"), Slice("chat", 1))
    weights = dict(zip((row.id for row in read.gathered.rows), read.gathered.weights.tolist(), strict=True))
    heavy = max(weights, key=lambda name: weights[name])
    share = weights[heavy] / sum(weights[row.id] for row in read.frame)
    firsts = [drawn(read, 1, np.random.default_rng(seed))[0].id for seed in range(400)]
    assert weights[heavy] > 150
    assert abs(firsts.count(heavy) / 400 - share) < 4 * np.sqrt(share / 400)


# --- at a glance -----------------------------------------------------------------------------------------------------


def test_one_screen_says_where_everything_is(make_bench: Callable[..., Bench]) -> None:
    bench = drifted(make_bench, automatic=False)
    settings = bench.site.effective("chat")
    bench.refresher.open("chat", "request", now=4_000.0)
    late = summary(bench.store, settings, now=4_000.0 + 20 * DAY)
    assert late.stuck
    assert RefreshStatus.model_validate(late.figures).open is not None
    console = Console(width=140, file=StringIO())
    console.print(refresh_screen([late.figures]))
    shown = console.file.getvalue()  # type: ignore[attr-defined]  # rich knows it as any file
    for words in ("annotating, opened by person", "0 of 40 answered", "STUCK", "next: label them", "candidates per cycle"):
        assert words in shown
    (of,) = all_standings(bench.store, bench.site.effective)
    assert {declaration.name: value for declaration, _, value in installed.cycles([of], now=5_000.0)} == {
        "driftgate_refresh_cycle_state": 1.0,
        "driftgate_refresh_cycle_age_seconds": 1_000.0,
        "driftgate_refresh_cycle_stuck": 0.0,
        "driftgate_refresh_approval_waits": 0.0,
    }

    over = refresh.cancel(bench.store, bench.cycle().id, actor="ana", now=5_000.0)
    rests = summary(bench.store, settings, now=5_001.0).figures
    assert (rests["open"], rests["last"]["cycle"], rests["rests_until"]) == (None, over.id, 5_000.0 + DAY)
    assert over.state is CycleState.CANCELLED
    assert refresh_screen([])
