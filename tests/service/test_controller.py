"""What the controller writes: every decision once, whoever else decides, wherever it stops."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.adapters.sqlite import SqliteStore
from service.alarms import Reason
from service.controller import Controller
from service.errors import ConflictError
from service.notifying.routing import Consequences
from service.observe import Silent
from service.privacy.forgetting import Forgetting, Places
from service.privacy.retaining import Retaining
from service.records import WHOLE, Alarm, AlarmState, Decision, Event, Pane, Severity
from service.settings import PrivacySettings, Settings

if TYPE_CHECKING:
    from tests.service.conftest import Log, World


@pytest.fixture
def store() -> Iterator[SqliteStore]:
    with closing(SqliteStore(":memory:")) as store:
        yield store


@pytest.fixture
def log(store: SqliteStore, world: World) -> Log:
    return world.log(store)


def controller(store: SqliteStore, world: World, *, version: int = 1, **options: Any) -> Controller:
    told = options.pop("notify", ())
    detection = world.settings.detection.model_copy(update={"critical": options.pop("critical", 0.25)})
    settings = world.settings.model_copy(update={"notify": told, "detection": detection})
    return Controller(settings, world.named(version=version), store, options.pop("observer", Silent()), **options)


def drain(*deciding: Controller, now: float = 5_000.0) -> int:
    return sum(iter(lambda: sum(each.step(now=now) for each in deciding), 0))


def alarms(store: SqliteStore) -> list[Alarm]:
    return sorted(store.find(Alarm), key=lambda alarm: alarm.at_sequence)


def drift(log: Log, world: World, *, seed: int = 2) -> None:
    log.add(world.ordinary(320, seed))
    log.add(world.drifted(320, seed + 100))


# --- what is written -------------------------------------------------------------------------------------------------


def test_a_drift_is_written_with_what_explains_it(store: SqliteStore, log: Log, world: World) -> None:
    drift(log, world)
    assert drain(controller(store, world)) == 40

    (alarm,) = alarms(store)
    assert alarm.state is AlarmState.OPEN
    assert alarm.history[0].reason == Reason.DRIFT
    assert 0 < len(alarm.exemplars) <= 10
    assert all(exemplar.text == f"text {exemplar.id[1:]}" for exemplar in alarm.exemplars)
    assert store.status("chat")["state"] == "drifting"
    assert store.decided("chat")[0] == 40


def test_an_explanation_is_told_from_more_samples_as_they_come(store: SqliteStore, log: Log, world: World) -> None:
    """Of what opened the alarm, then of what came since: nobody is told again."""
    log.add(world.ordinary(320, 2))
    log.add(world.drifted(32, 102))
    deciding = controller(store, world, notify=("pager",), critical=1.0)
    drain(deciding)
    before = alarms(store)
    log.add(world.drifted(640, 9))
    drain(deciding)

    (after,) = alarms(store)
    assert after.version > before[0].version
    assert before[0].as_of == 0
    assert after.at_sample < after.as_of <= 992
    assert [exemplar.id for exemplar in after.exemplars] != [exemplar.id for exemplar in before[0].exemplars]
    assert after.onset is not None
    assert {item.kind for item in store.outbox()} == {"alarm.opened"}


def test_exemplars_are_of_what_is_new(store: SqliteStore, log: Log, world: World) -> None:
    log.add(world.ordinary(320, 1))
    fresh = np.random.default_rng(5).random(320) < 0.5
    log.add(np.where(fresh[:, None], world.new(320, 2), world.ordinary(320, 3)))
    drain(controller(store, world))

    (alarm,) = alarms(store)
    assert all(fresh[int(exemplar.id[1:]) - 320] for exemplar in alarm.exemplars)


def test_rows_of_another_reference_explain_nothing(store: SqliteStore, log: Log, world: World) -> None:
    """After another embedder the pool still holds its vectors, of whatever dimension."""
    log.add(np.zeros((64, 6), np.float32), version=7)
    log.add(world.new(320, 1))
    drain(controller(store, world))

    (alarm,) = alarms(store)
    assert all(int(exemplar.id[1:]) >= 64 for exemplar in alarm.exemplars)


def test_several_steps_in_one_decision_are_one_change(store: SqliteStore, log: Log, world: World) -> None:
    """Opened by a fifth of new content and critical soon after, all within one batch."""
    log.add(np.concatenate([world.ordinary(320, 2), world.drifted(160, 102, 0.2), world.new(320, 3)]))
    deciding = controller(store, world, critical=1.0)
    drain(deciding)

    (alarm,) = alarms(store)
    assert [step.reason for step in alarm.history][:2] == [Reason.DRIFT, Reason.WORSE]
    assert (alarm.severity, alarm.version) == (Severity.CRITICAL, 1)
    assert deciding.streams.alarms[alarm.id] == alarm

    store.record_event(Event("e1", "chat", "acknowledge", 6_000.0, "ana", alarm.id))
    store.record_event(Event("e2", "chat", "resolve", 6_001.0, "ana", alarm.id))
    drain(deciding)
    assert (alarms(store)[0].version, alarms(store)[0].state) == (2, AlarmState.RESOLVED)


@pytest.mark.parametrize("how", ["forgotten", "too old"])
def test_an_alarm_goes_on_without_the_samples_that_were_let_go_of(
    store: SqliteStore, log: Log, world: World, tmp_path: Path, how: str
) -> None:
    """Its next step shows what the store's alarm shows by then, and no checkpoint brings back what went, also after a restart."""
    drift(log, world)
    deciding = controller(store, world)
    drain(deciding)
    (before,) = alarms(store)
    gone, places = before.exemplars[0], Places(tmp_path)
    if how == "forgotten":
        Forgetting(store, places).forget(gone.id, ["chat"], actor="ana", now=6_000.0)
    else:
        Retaining(store, places, {"chat": PrivacySettings(retention_days=1.0)}).step(now=40 * 86_400.0)

    restarted = controller(store, world)
    for n, kind in enumerate(("acknowledge", "resolve")):
        store.record_event(Event(f"e{n}", "chat", kind, 6_001.0 + n, "ana", before.id))
        drain(deciding if n == 0 else restarted)
        (after,) = alarms(store)
        assert not {gone.id, gone.text} & {exemplar.id if how == "forgotten" else exemplar.text for exemplar in after.exemplars}
        assert len(after.exemplars) >= len(before.exemplars) - 1
        kept = store.decided("chat")[2] or b""
        assert gone.text.encode() not in kept
        assert f'"{gone.id}"'.encode() not in kept
    assert after.state is AlarmState.RESOLVED


def test_each_alarm_is_told_once_to_each_destination(store: SqliteStore, log: Log, world: World) -> None:
    drift(log, world)
    deciding = controller(store, world, notify=("pager", "mail"))
    drain(deciding)
    (alarm,) = alarms(store)
    store.record_event(Event("e1", "chat", "resolve", 6_000.0, "ana", alarm.id))
    drain(deciding)

    items = store.outbox()
    assert sorted((item.kind, item.destination) for item in items) == [
        ("alarm.opened", "mail"), ("alarm.opened", "pager"), ("alarm.resolved", "mail"), ("alarm.resolved", "pager"),
        ("alarm.worse", "mail"), ("alarm.worse", "pager"),
    ]  # fmt: skip
    assert len({item.id for item in items}) == 6
    assert {item.payload["alarm"] for item in items} == {alarm.id}
    resolved = [item.payload["exemplars"] for item in items if item.kind == "alarm.resolved"]
    assert resolved == [[exemplar.id for exemplar in alarm.exemplars[:3]]] * 2


def test_figures_of_every_decision_are_told(store: SqliteStore, log: Log, world: World) -> None:
    seen: list[tuple[str, int]] = []
    told: list[AlarmState] = []

    class Watching(Silent):
        def decided(self, monitor: str, *, seconds: float, crossings: int = 0) -> None:
            assert seconds > 0
            seen.append((monitor, crossings))

        def alarm(self, alarm: Alarm) -> None:
            told.append(alarm.state)

    drift(log, world)
    drain(controller(store, world, observer=Watching()))
    assert seen == [("chat", 1)]
    assert {stream["family"] for stream in store.status("chat")["streams"]} == {"input"}
    assert told == [AlarmState.OPEN, AlarmState.OPEN], "it opened, and became critical"


# --- restarts --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def undisturbed(world: World) -> list[Alarm]:
    """What one controller that nothing stops writes of a drift."""
    with closing(SqliteStore(":memory:")) as store:
        drift(world.log(store), world)
        drain(controller(store, world))
        return alarms(store)


@pytest.mark.long
@given(cuts=st.lists(st.integers(1, 39), max_size=4), checkpoints=st.booleans())
@settings(max_examples=10)
def test_a_restart_anywhere_gives_the_same_alarms(world: World, undisturbed: list[Alarm], cuts: list[int], checkpoints: bool) -> None:
    rows = np.concatenate([world.ordinary(320, 2), world.drifted(320, 102)])
    edges = [0, *sorted({16 * cut for cut in cuts}), len(rows)]
    with closing(SqliteStore(":memory:")) as store:
        log = world.log(store)
        for start, end in pairwise(edges):
            log.add(rows[start:end])
            deciding = controller(store, world)
            drain(deciding)
            if checkpoints:
                deciding.checkpoint(now=5_000.0)
        found = alarms(store)

    (expected,) = undisturbed
    assert [(alarm.id, alarm.effect, alarm.exemplars, alarm.clusters) for alarm in found] == [
        (expected.id, expected.effect, expected.exemplars, expected.clusters)
    ]


class DiesOnce(SqliteStore):
    """Fails before or after the next decision is durable."""

    dies: str = ""

    def decide(self, decision: Decision) -> None:
        dies, self.dies = self.dies, ""
        if dies == "before":
            raise KeyboardInterrupt
        super().decide(decision)
        if dies == "after":
            raise KeyboardInterrupt


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_crash_around_a_decision_loses_and_doubles_nothing(world: World, undisturbed: list[Alarm], when: str) -> None:
    with closing(DiesOnce(":memory:")) as store:
        drift(world.log(store), world)
        dying = controller(store, world, notify=("pager",))
        store.dies = when
        with pytest.raises(KeyboardInterrupt):
            drain(dying)
        restarted = controller(store, world, notify=("pager",))
        drain(restarted)

        assert [alarm.id for alarm in alarms(store)] == [alarm.id for alarm in undisturbed]
        assert sorted(item.kind for item in store.outbox()) == ["alarm.opened", "alarm.worse"]
        assert restarted.streams.alarms == {alarm.id: alarm for alarm in alarms(store)}


def test_a_step_that_failed_in_memory_is_taken_up_from_the_store(world: World, undisturbed: list[Alarm]) -> None:
    """The same controller goes on after an error between applying and writing."""
    with closing(DiesOnce(":memory:")) as store:
        drift(world.log(store), world)
        deciding = controller(store, world)
        store.dies = "before"
        with pytest.raises(KeyboardInterrupt):
            drain(deciding)
        drain(deciding)
        assert [alarm.id for alarm in alarms(store)] == [alarm.id for alarm in undisturbed]


# --- two controllers -------------------------------------------------------------------------------------------------


def test_the_slower_of_two_takes_the_others_decisions_over(store: SqliteStore, log: Log, world: World) -> None:
    one, other = controller(store, world), controller(store, world)
    drift(log, world)
    assert drain(one) == 40
    assert other.step(now=5_000.0) == 40
    assert other.streams.alarms == one.streams.alarms
    assert len(alarms(store)) == 1

    log.add(world.ordinary(160, 9))
    assert other.step(now=5_000.0) == 10
    assert one.step(now=5_000.0) == 10
    assert one.streams.checkpoint() == other.streams.checkpoint()


def test_two_at_once_lose_and_double_nothing(tmp_path: Any, world: World, undisturbed: list[Alarm]) -> None:
    with closing(SqliteStore(tmp_path / "state.sqlite")) as mine, closing(SqliteStore(tmp_path / "state.sqlite")) as its:
        log = world.log(mine)
        both = [controller(mine, world, notify=("pager",)), controller(its, world, notify=("pager",))]
        stop = threading.Event()

        def run(deciding: Controller) -> None:
            while not stop.is_set():
                deciding.step(now=5_000.0)

        threads = [threading.Thread(target=run, args=(deciding,)) for deciding in both]
        for thread in threads:
            thread.start()
        rows = np.concatenate([world.ordinary(320, 2), world.drifted(320, 102)])
        for start in range(0, len(rows), 32):
            log.add(rows[start : start + 32])
        stop.set()
        for thread in threads:
            thread.join(timeout=30)
        drain(*both)

        (expected,) = undisturbed
        assert [(alarm.id, alarm.effect) for alarm in alarms(mine)] == [(expected.id, expected.effect)]
        assert sorted(item.kind for item in mine.outbox()) == ["alarm.opened", "alarm.worse"]
        assert mine.decided("chat")[0] == 40


def test_labels_alone_force_no_checkpoint(store: SqliteStore, log: Log, world: World) -> None:
    """They come once a minute; an event of another kind forces one, for the next reference inherits from it."""
    log.add(world.ordinary(64, 1))
    deciding = controller(store, world)
    drain(deciding)
    covered = store.decided("chat")[1]
    body = {"until": 1, "versions": {"1": {"streams": {WHOLE: [4, 0, 1, 0, 0]}, "delay": [60.0, 90.0]}}}
    store.record_event(Event("t1", "chat", "truth", 6_000.0, "driftgate", body=body))
    drain(deciding)
    assert store.decided("chat")[:2] == (covered + 1, covered)
    store.record_event(Event("e1", "chat", "acknowledge", 6_000.0, "ana", "nothing"))
    drain(deciding)
    assert store.decided("chat")[:2] == (covered + 2, covered + 2)


def test_a_checkpoint_that_is_overtaken_is_not_written(store: SqliteStore, log: Log, world: World) -> None:
    one, other = controller(store, world), controller(store, world)
    drift(log, world)
    drain(one)
    other.checkpoint(now=5_000.0)
    assert store.decided("chat")[0] == 40


# --- rebase ----------------------------------------------------------------------------------------------------------


def test_a_rebase_closes_the_former_alarms_and_says_so(store: SqliteStore, log: Log, world: World) -> None:
    drift(log, world)
    drain(controller(store, world))
    told = ("pager",)
    after = controller(store, world, version=2, notify=told)

    (alarm,) = alarms(store)
    assert (alarm.state, alarm.history[-1].reason) == (AlarmState.RESOLVED, Reason.REBASED)
    assert [item.kind for item in store.outbox()] == ["alarm.resolved"]
    status = store.status("chat")
    assert (status["reference_version"], status["state"], status["samples"]) == (2, "warming up", 0)

    controller(store, world, version=2, notify=told)
    assert [item.kind for item in store.outbox()] == ["alarm.resolved"]
    log.add(world.new(320, 3), version=2)
    drain(after)
    assert [alarm.reference_version for alarm in alarms(store)] == [1, 2]


def test_a_restart_soon_after_a_rebase_forgets_nothing(store: SqliteStore, log: Log, world: World) -> None:
    """The panes since the rebase are decided again from where the new reference took the log over."""
    drift(log, world)
    drain(controller(store, world))
    rebased = controller(store, world, version=2)
    log.add(world.ordinary(320, 3), version=2)
    drain(rebased)
    restarted = controller(store, world, version=2)
    assert restarted.streams.samples == 320
    assert restarted.streams.checkpoint() == rebased.streams.checkpoint()


def test_the_former_references_controller_stands_down(store: SqliteStore, log: Log, world: World) -> None:
    former = controller(store, world)
    drift(log, world)
    drain(former)
    rebased = controller(store, world, version=2)
    log.add(world.new(320, 3), version=2)
    drain(rebased)

    log.add(world.new(320, 4), version=2)
    assert drain(former) == 21  # taken over, not decided: the panes and the event of the rebase
    assert former.step(now=5_000.0) == 0
    former.checkpoint(now=5_000.0)
    assert drain(rebased) == 20
    assert store.status("chat")["reference_version"] == 2
    assert [(alarm.reference_version, alarm.state) for alarm in alarms(store)] == [(1, AlarmState.RESOLVED), (2, AlarmState.OPEN)]


def test_going_back_starts_the_former_reference_anew(store: SqliteStore, log: Log, world: World) -> None:
    drift(log, world)
    drain(controller(store, world))
    drain(controller(store, world, version=2))
    back = controller(store, world)
    assert (back.streams.samples, back.streams.sequence, back.streams.alarms) == (0, 41, {})
    log.add(world.drifted(320, 5))
    drain(back)
    assert [alarm.state for alarm in alarms(store)] == [AlarmState.RESOLVED, AlarmState.OPEN]


# --- what follows ----------------------------------------------------------------------------------------------------


def test_open_alarms_are_followed_after_every_decision(store: SqliteStore, log: Log, world: World) -> None:
    followed: list[tuple[str, int]] = []

    class Following:
        def follow(self, alarm: Alarm, *, samples: int, now: float) -> None:  # noqa: ARG002 - the port's
            assert store.get(Alarm, alarm.id) == alarm
            followed.append((alarm.id, samples))

    deciding = controller(store, world, follower=Consequences(store, Settings, Following()))
    drift(log, world)
    drain(deciding)
    log.add(world.ordinary(160, 7))
    drain(deciding)
    (alarm,) = alarms(store)
    assert followed == [(alarm.id, 640 - alarm.at_sample), (alarm.id, 800 - alarm.at_sample)]


def test_a_monitor_in_shadow_decides_and_records_and_tells_nobody(
    store: SqliteStore, log: Log, world: World, undisturbed: list[Alarm]
) -> None:
    """Neither a destination nor whoever opens refresh cycles; what it records is what an active one would."""

    class Following:
        def follow(self, alarm: Alarm, *, samples: int, now: float) -> None:  # noqa: ARG002 - the port's
            raise AssertionError("nobody follows a monitor in shadow")

    detection = world.settings.detection.model_copy(update={"mode": "shadow"})
    shadow = world.settings.model_copy(update={"notify": ("pager",), "detection": detection})
    deciding = Controller(shadow, world.reference, store, Silent(), follower=Consequences(store, Settings, Following()))
    drift(log, world)
    drain(deciding)
    (alarm,) = alarms(store)
    (active,) = undisturbed
    assert (alarm.id, alarm.effect, alarm.quiet, alarm.regime) == (active.id, active.effect, True, "shadow")
    store.record_event(Event("e1", "chat", "resolve", 6_000.0, "ana", alarm.id))
    drain(deciding)
    assert alarms(store)[0].state is AlarmState.RESOLVED
    assert store.outbox() == []


def test_a_follower_that_is_overtaken_costs_no_decision(store: SqliteStore, log: Log, world: World) -> None:
    class Overtaken:
        def follow(self, alarm: Alarm, *, samples: int, now: float) -> None:  # noqa: ARG002 - the port's
            raise ConflictError("somebody opened it meanwhile")

    drift(log, world)
    assert drain(controller(store, world, follower=Consequences(store, Settings, Overtaken()))) == 40
    assert len(alarms(store)) == 1


def test_panes_and_settings_of_the_run_are_those_of_the_log(store: SqliteStore, log: Log, world: World) -> None:
    """What is stored of a pane decides as the pane itself does."""
    drift(log, world)
    stored = [entry for entry in store.entries("chat", 0, 100) if isinstance(entry, Pane)]
    assert [pane.sequence for pane in stored] == list(range(1, 41))
    assert sum(pane.summary.count for pane in stored) == 640
